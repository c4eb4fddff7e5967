"""Describe a registry in a Python package of your own.

    from registry_pipeline.registry import Artifacts, BuildInputs, RegistrySpec, make_artifacts, read_sources

    SPEC = RegistrySpec(
        registry_id="price_bands",
        kind="built",
        title="How many prices are in each band.",
        artifacts=("PRICE_BANDS.json",),
        schemas=(("PRICE_BANDS.json", "price_bands.schema.json"),),
        depends_on=("my_prices",),
        record_key=("band",),
        reader=read,
        builder=build,
    )

The package names its SPEC as an entry point in the group `registry_pipeline.registries`, and a repository names the
package in `registry_packages`: see docs/how-to/add-a-registry.md. The reader is called with the repository and a
SourceContext, and returns BuildInputs. The builder is called with `BuildInputs.inputs` and a BuildContext, and returns
Artifacts. It should be a pure function: the same inputs give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from registry_pipeline.canonical import json_document, sha256_hex
from registry_pipeline.config import Repository
from registry_pipeline.files.read import read_regular_file
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.display import printable
from registry_pipeline.findings.finding import Finding
from registry_pipeline.registries.base.capture import find_matches
from registry_pipeline.registries.base.reader import BuildInputs, Previous, RegistrySpec, SourceContext
from registry_pipeline.runs.envelope import BuildContext, InputFile
from registry_pipeline.runs.sealed_run import Artifacts
from registry_pipeline.values import value_type

__all__ = [
    "Artifacts",
    "BuildContext",
    "BuildInputs",
    "Finding",
    "InputFile",
    "Previous",
    "RegistrySpec",
    "Repository",
    "SourceContext",
    "SourceFiles",
    "json_document",
    "make_artifacts",
    "read_sources",
]


@value_type
class SourceFiles:
    """The files of the sources of a registry.

    Attributes:
        content: the bytes by path.
        inputs: what run.json records about them, for `BuildInputs.files`.
        findings: a CAPTURE_MISSING for each source without a file, or that cannot be read.
    """

    content: Mapping[str, bytes]
    inputs: tuple[InputFile, ...]
    findings: tuple[Finding, ...]


def read_sources(repository: Repository, sources: Iterable[str]) -> SourceFiles:
    """Return the files that paths and globs name, as `sources` of a table `[registries.<registry_id>]` does."""
    content: dict[str, bytes] = {}
    findings: list[Finding] = []
    for source in sources:
        detail = ""
        try:
            matches = find_matches(repository, source).paths
            content |= {path: read_regular_file(repository.path(path)) for path in matches}
            detail = "" if matches else "no file matches it"
        except OSError as error:
            detail = error.strerror or "no reason given"
        if detail:
            findings.append(finding("CAPTURE_MISSING", printable(source), detail=detail, key="`sources`"))
    inputs = (InputFile(path, sha256_hex(data)) for path, data in sorted(content.items()) if path.isprintable())
    return SourceFiles(content, tuple(inputs), tuple(findings))


def make_artifacts(files: Mapping[str, bytes], *, records: int, metrics: Mapping[str, int] | None = None) -> Artifacts:
    """Return the result of a builder; Dagster compares the hash of all files with that of the build before."""
    content = sha256_hex(json_document([[name, sha256_hex(data)] for name, data in sorted(files.items())]))
    return Artifacts(dict(sorted(files.items())), records, content, metrics or {})
