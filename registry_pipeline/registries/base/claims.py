"""Which registry a run folder belongs to, and which of its files are the artifacts (SPEC 2.3, 3, 4.5).

One rule for rooms that are blind to each other.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from registry_pipeline.capture_table import is_reserved_name
from registry_pipeline.files.read import MAX_BYTES
from registry_pipeline.registries.base.delta import DELTA_LOG
from registry_pipeline.registries.base.spec import RegistrySpec
from registry_pipeline.runs.envelope import Inputs
from registry_pipeline.runs.reference import SealedRef
from registry_pipeline.values import field, value_type

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
    held = {name for name in relpaths if spec.preserve_paths or "/" not in name}
    found = [name for name in spec.artifacts if name in held]
    others = sorted(name for name in held if name not in found and not is_reserved_name(name))
    if spec.multi_file:
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


_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_CHUNK: Final = 1 << 16
_DIGEST_AND_BLANKS: Final = 66
_PROGRESS_EVERY: Final = 256
RunKey = tuple[str, str]
"""A run root, as configured, and the name of a folder in it."""


@value_type
class Claim:
    """A run folder that says it belongs to a registry; `envelope` is its run.json where that names one, unproven."""

    registry_id: str
    run_root: str
    run_id: str
    envelope: Mapping[str, Any] = field(compare=False)

    @property
    def key(self) -> RunKey:
        """The run root and the folder's name."""
        return self.run_root, self.run_id

    @property
    def path(self) -> str:
        """The folder's place, relative to the governed repository."""
        return f"{self.run_root}/{self.run_id}"

    @property
    def previous(self) -> SealedRef | None:
        """The snapshot of its own registry that it says it continues."""
        return Inputs.from_json(self.envelope.get("inputs")).previous(self.registry_id)


def read_run_keys(root: Path, run_roots: Sequence[str]) -> list[RunKey]:
    """Return every directory in the run roots, by root in their order, then by name; no folder is opened.

    A run root that cannot be read has none here: the run registry tells of it.
    """
    keys: list[RunKey] = []
    for run_root in dict.fromkeys(run_roots):
        try:
            with os.scandir(root / run_root) as entries:
                names = sorted([entry.name for entry in entries if entry.is_dir(follow_symlinks=False)])
        except OSError:
            continue
        keys += [(run_root, name) for name in names]
    return keys


def read_claims(
    root: Path,
    keys: Iterable[RunKey],
    specs: Mapping[str, RegistrySpec],
    on_progress: Callable[[int], None] | None = None,
) -> list[Claim]:
    """Return the claims of those folders that make one, in their order; `on_progress` is told how many were read."""
    claims: list[Claim] = []
    places: dict[str, str] = {}
    artifacts = frozenset(spec.artifact for spec in specs.values() if spec.artifacts)
    for number, (run_root, run_id) in enumerate(keys, 1):
        place = places.get(run_root) or places.setdefault(run_root, os.fspath(root / run_root))
        claim = _read_claim(f"{place}/{run_id}", run_root, run_id, specs, artifacts)
        if claim is not None:
            claims.append(claim)
        if on_progress is not None and number % _PROGRESS_EVERY == 0:
            on_progress(number)
    return claims


def is_named_like_a_log(key: RunKey, specs: Mapping[str, RegistrySpec]) -> bool:
    """Tell whether a folder's name is that of a delta log, so that it must prove what it is."""
    return DELTA_LOG in specs and f"__{specs[DELTA_LOG].tag}" in key[1]


def _read_claim(
    folder: str, run_root: str, run_id: str, specs: Mapping[str, RegistrySpec], artifacts: frozenset[str]
) -> Claim | None:
    envelope = _naming_envelope(_read(f"{folder}/run.json"))
    if envelope is not None:
        return Claim(envelope["registry_id"], run_root, run_id, envelope)
    hash_file = _read(f"{folder}/MANIFEST.sha256") or b""
    sealed = [line[_DIGEST_AND_BLANKS:] for line in hash_file.decode("utf-8", "replace").splitlines()]
    registry_id = None if artifacts.isdisjoint(sealed) else registry_of(None, sealed, specs)[0]
    if registry_id is None and is_named_like_a_log((run_root, run_id), specs):
        registry_id = DELTA_LOG
    return None if registry_id is None else Claim(registry_id, run_root, run_id, {})


def _naming_envelope(data: bytes | None) -> dict[str, Any] | None:
    """Return a run.json that names a registry; nearly none of other runs need to be parsed to see that they do not."""
    if data is None or (b"registry_id" not in data and b"\\u" not in data):
        return None
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    named = value.get("registry_id") if isinstance(value, dict) else None
    return value if isinstance(named, str) and named else None


def _read(path: str) -> bytes | None:
    try:
        descriptor = os.open(path, _OPEN)
    except (OSError, ValueError):
        return None
    try:
        data = os.read(descriptor, _CHUNK)
        while len(data) >= _CHUNK and len(data) <= MAX_BYTES and (more := os.read(descriptor, len(data))):
            data += more
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return data
