"""Build a captured registry: the files of its source, unchanged."""

from __future__ import annotations

from registry_pipeline.canonical import json_document, sha256_hex
from registry_pipeline.registries.base.values import CapturedInputs
from registry_pipeline.runs.envelope import BuildContext
from registry_pipeline.runs.sealed_run import Artifacts


def build_captured(inputs: CapturedInputs, context: BuildContext) -> Artifacts:
    """Return the captured files, sorted by name; a source without records of its own has one record for each file."""
    # A capture has no time of its own.
    del context
    files = dict(sorted(inputs.files.items()))
    content = sha256_hex(json_document([[name, sha256_hex(data)] for name, data in files.items()]))
    metrics = {"files": len(files), "bytes": sum(len(data) for data in files.values())}
    return Artifacts(files, len(files) if inputs.records is None else inputs.records, content, metrics)
