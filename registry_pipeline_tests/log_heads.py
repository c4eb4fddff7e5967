"""The head of a repository's log of deltas, for tests of builds that overlap."""

from __future__ import annotations

from registry_pipeline.config import Repository
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.registries.base.reader import ChainFacts
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.registries.delta_log.read import find_log_head


def head_of(repository: Repository) -> str:
    """Return the run id of the one head; two heads, or one that does not verify, fail the test."""
    chain = read_chain_state(repository)
    facts = ChainFacts(chain.marked_bad, chain.accepted_foreign(repository.config.repository_id))
    search = find_log_head(repository, facts, SHIPPED.registries)
    assert search.head is not None, search.findings
    assert not search.refuses
    return search.head.ref.run_id
