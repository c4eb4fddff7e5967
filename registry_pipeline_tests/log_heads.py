"""The head of a repository's log of deltas, for tests of builds that overlap."""

from __future__ import annotations

from datetime import UTC, datetime

from registry_pipeline.config import Repository
from registry_pipeline.pipeline.sealed_store import Store
from registry_pipeline.registries.catalog import REGISTRIES
from registry_pipeline.registries.delta_log.read import find_log_head


def head_of(repository: Repository) -> str:
    """Return the run id of the one head; two heads, or one that does not verify, fail the test."""
    search = find_log_head(repository, Store(repository, datetime(2026, 3, 3, tzinfo=UTC)), REGISTRIES)
    assert search.head is not None, search.findings
    assert not search.refuses
    return search.head.ref.run_id
