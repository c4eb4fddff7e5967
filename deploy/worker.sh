#!/bin/sh
# Start a Celery worker: deploy/worker.sh NAME [option of `celery worker` ...]. NAME is unique among all workers.
set -eu
name=${1:?usage: deploy/worker.sh NAME [option ...]}
shift
: "${DAGSTER_HOME:?is not set: the folder with dagster.yaml}"
: "${REGISTRY_PIPELINE_REPO:?is not set: the path of the repository}"
: "${CELERY_BROKER_URL:?is not set: where the steps are queued}"
: "${CELERY_RESULT_BACKEND:?is not set: where the results of steps are kept}"
# --include loads the code location once, before the worker starts its processes. --disable-prefetch leaves a step in
# the queue until a process is free: else a short step would wait behind a long one.
exec celery --app dagster_celery.app worker --include registry_pipeline.definitions --queues dagster \
    --hostname "$name@%h" --disable-prefetch --loglevel INFO "$@"
