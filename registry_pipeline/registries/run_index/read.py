"""Capture the run index and the overrides log for a build."""

from __future__ import annotations

from typing import Final

from registry_pipeline.config import Repository
from registry_pipeline.registries.base.capture import CaptureReader
from registry_pipeline.registries.base.reader import BuildInputs, SourceContext

_MAX_SIZE: Final = 1 << 30


def read_run_index_inputs(repository: Repository, context: SourceContext) -> BuildInputs:
    """Capture the run index and count its records."""
    return _read_log("run_index", repository.config.run_index.path, repository, context)


def read_overrides_log_inputs(repository: Repository, context: SourceContext) -> BuildInputs:
    """Capture the overrides log and count its overrides and updates."""
    return _read_log("overrides_log", repository.config.run_index.overrides, repository, context)


def _read_log(registry_id: str, path: str, repository: Repository, context: SourceContext) -> BuildInputs:
    # The capture checks the form only. The rules are checked on the sealed bytes, in `baseline`.
    capture = CaptureReader(registry_id, repository, context)
    capture.take(path, capture.artifact, most=_MAX_SIZE)
    data = capture.files.get(capture.artifact)
    return capture.build_inputs(None if data is None or capture.refused else data.count(b"\n"))
