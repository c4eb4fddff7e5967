"""Which registry a run folder belongs to, and which of its files are the artifacts (SPEC 2.3, 3, 4.5).

One rule for rooms that are blind to each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from registry_pipeline.model.captures import is_own_name
from registry_pipeline.model.spec import RegistrySpec

_VERSION: Final = re.compile(r"_v[0-9]+_[0-9]+(?=[._])")


def registry_of(
    run_json: Mapping[str, Any] | None, relpaths: Iterable[str], specs: Mapping[str, RegistrySpec]
) -> tuple[str | None, bool]:
    """Return the registry that a run belongs to, and whether its run.json names it.

    Without a name in run.json the first registry of the table counts whose main artifact is in the folder.
    """
    named = (run_json or {}).get("registry_id")
    if isinstance(named, str) and named:
        return named, True
    held = set(relpaths)
    return next((name for name, spec in specs.items() if spec.artifacts and spec.artifact in held), None), False


def artifacts_in(spec: RegistrySpec, relpaths: Iterable[str]) -> tuple[str, ...]:
    """Return the artifacts that a run folder of a registry holds, those of the registry's row first.

    Some names only the folder knows: those of many files, of which the ones with a schema count, and that of a captured
    file to which the repository gave another name, which is then the only file but what the folder needs for itself.
    """
    held = {name for name in relpaths if spec.keeps_paths or "/" not in name}
    found = [name for name in spec.artifacts if name in held]
    others = sorted(name for name in held if name not in found and not is_own_name(name))
    if spec.many_files:
        return (*found, *(name for name in others if spec.schema_of(name)))
    if spec.is_one_capture and not found and len(others) == 1:
        suffix = spec.artifact[spec.artifact.rindex(".") :]
        return tuple(name for name in others if name.endswith(suffix) and not is_other_version(name, spec.artifact))
    return tuple(found)


def main_artifact(spec: RegistrySpec, relpaths: Iterable[str]) -> str | None:
    """Return the name that a reference to the run gives: its main artifact as the folder holds it, None without one."""
    held = artifacts_in(spec, relpaths) if spec.artifacts else ()
    return held[0] if held else None


def is_other_version(name: str, artifact: str) -> bool:
    """Tell whether two names differ in their version alone, as `A_v0_1.json` and `A_v0_2.json` do."""
    return name != artifact and _VERSION.sub("", name) == _VERSION.sub("", artifact)
