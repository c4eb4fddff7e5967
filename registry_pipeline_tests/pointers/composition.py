"""The protocol of an activation, composed as the pipeline composes it, with steps that a test can interrupt."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from registry_pipeline.canonical import json_document, sha256_hex
from registry_pipeline.config import Repository
from registry_pipeline.errors import RefusedError
from registry_pipeline.files.atomic_write import refuse_changed_file, replace_file
from registry_pipeline.pointers.chain import ACTIVATION_TAG, RECORD_FILE, ChainState, make_chain_state
from registry_pipeline.pointers.plan import ActivationPlan, NothingToMove, plan_activation, plan_init
from registry_pipeline.pointers.state import create_intent, pointer_lock, read_chain, read_intent, remove_intent
from registry_pipeline.runs.reference import (
    Pointer,
    PointerFile,
    RunId,
    SealedRef,
    empty_pointer_file,
    pointer_file_bytes,
)
from registry_pipeline.runs.sealed_run import SealedRun
from registry_pipeline.runs.writer import seal_folder
from registry_pipeline.values import replace
from registry_pipeline_tests.pointers.requests import RUNS, request

STARTED = datetime(2026, 2, 20, 12, tzinfo=UTC)
STEPS = ("lock", "compare", "chain", "plan", "intent", "seal", "swap", "remove")
Reached = Callable[[str], None]


def make_store(repository: Repository) -> None:
    """Make an empty publish root and an empty pointer file."""
    repository.publish_root.mkdir(parents=True)
    repository.pointer_path.write_bytes(pointer_file_bytes(empty_pointer_file("2026-02-01T00:00:00Z")))


def read_state(repository: Repository) -> ChainState:
    """Return the state of the chain now."""
    return make_chain_state(
        read_chain(repository), repository.pointer_path.read_bytes(), read_intent(repository.pointer_path)
    )


def activate(repository: Repository, run: SealedRun, seen_sha256: str, reached: Reached = lambda _step: None) -> bool:
    """Activate one run and return whether any pointer moved. `seen_sha256` is the pointer file that its verdict saw."""
    with pointer_lock(repository.pointer_path, repository.root):
        reached("lock")
        refuse_changed_file(repository.pointer_path, seen_sha256)
        reached("compare")
        data = repository.pointer_path.read_bytes()
        state = read_state(repository)
        if state.refuses:
            raise RefusedError(", ".join(f.code for f in state.findings))
        remove_intent(repository.pointer_path)
        reached("chain")
        head = None if state.head is None else state.head.ref
        plan = plan_activation(replace(request([run]), pointers=parse(data), previous=head))
        reached("plan")
        if isinstance(plan, NothingToMove):
            return False
        assert isinstance(plan, ActivationPlan)
        if head is None:
            plan = plan.following(_commit(repository, plan_init(data, actor="a test", reason=""), reached))
        _commit(repository, plan, reached)
        return True


def parse(data: bytes) -> PointerFile:
    """Return the pointer file that these bytes of ours state."""
    document = json.loads(data)
    pointers = [
        Pointer(e["registry_id"], SealedRef.from_json(e["active_ref"]), e["active_ref_known"], e["active_asof_utc"], "")
        for e in document["pointers"]
    ]
    return PointerFile(document, tuple(pointers), sha256_hex(data))


def _commit(repository: Repository, plan: ActivationPlan, reached: Reached) -> SealedRef:
    place, record = repository.pointer_path, plan.record
    run_id = RunId(STARTED, ACTIVATION_TAG)
    while (repository.publish_root / str(run_id)).exists():
        run_id = run_id.next()
    create_intent(place, str(run_id), record.before_sha256, record.after_sha256)
    reached("intent")
    published = seal_folder(repository.publish_root, repository.staging_root, run_id, partial(_files, plan))
    assert published.run_id == run_id
    reached("seal")
    replace_file(place, plan.after_bytes, record.before_sha256)
    reached("swap")
    remove_intent(place)
    reached("remove")
    return SealedRef(str(run_id), RUNS, RECORD_FILE, published.root_sha256)


def _files(plan: ActivationPlan, run_id: RunId) -> dict[str, bytes]:
    envelope = {"run_id": str(run_id), "created_utc": "2026-02-20T12:00:00Z", "registry_id": ACTIVATION_TAG}
    return {**plan.artifacts.files, "run.json": json_document(envelope)}
