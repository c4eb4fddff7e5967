"""The run index and the overrides log, captured as they lie there (SPEC 3 and 11).

What their records mean is judged on the sealed bytes, by the rules of the runbook. A log that ends in the middle of a
line is malformed: something is being appended, or a crash is yet to be settled.
"""

from __future__ import annotations

from typing import Final

from registry_pipeline.config import Repository
from registry_pipeline.registries.base.capture import CaptureReader
from registry_pipeline.registries.base.reader import BuildInputs, SourceContext

_LARGEST: Final = 1 << 30


def read_run_index_inputs(repository: Repository, context: SourceContext) -> BuildInputs:
    """Capture the run index; its records are counted, current or not."""
    return _read("run_index", repository.config.run_index.path, repository, context)


def read_overrides_log_inputs(repository: Repository, context: SourceContext) -> BuildInputs:
    """Capture the overrides log; overrides and updates are counted."""
    return _read("overrides_log", repository.config.run_index.overrides, repository, context)


def _read(registry_id: str, path: str, repository: Repository, context: SourceContext) -> BuildInputs:
    taking = CaptureReader(registry_id, repository, context)
    taking.take(path, taking.artifact, most=_LARGEST)
    data = taking.files.get(taking.artifact)
    return taking.gathered(None if data is None or taking.refused else data.count(b"\n"))
