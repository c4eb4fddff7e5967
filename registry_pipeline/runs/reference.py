"""Run ids (`YYYY-MM-DD__HHMMSS__<tag>[__asof_YYYY-MM-DD][__NN]`) and references to sealed runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

from registry_pipeline.values import asdict, value_type

_RUN_ID: Final = re.compile(
    r"(?P<stamp>[0-9]{4}-[0-9]{2}-[0-9]{2}__[0-9]{6})__(?P<tag>[A-Za-z0-9][A-Za-z0-9_.-]*?)"
    r"(?:__asof_(?P<partition>[0-9]{4}-[0-9]{2}-[0-9]{2}))?(?:__(?P<number>0[2-9]|[1-9][0-9]+))?"
)
_STAMP: Final = "%Y-%m-%d__%H%M%S"
_MAX_LENGTH: Final = 255


@value_type
class RunId:
    """The parts of a run id; `str()` returns the id.

    Attributes:
        stamp: UTC, whole seconds.
        tag: the kind of run.
        partition: the day that a daily snapshot describes, as YYYY-MM-DD.
        number: 1 for a name without a suffix.
    """

    stamp: datetime
    tag: str
    partition: str | None = None
    number: int = 1

    def __str__(self) -> str:
        asof = f"__asof_{self.partition}" if self.partition else ""
        suffix = f"__{self.number:02d}" if self.number > 1 else ""
        return f"{self.stamp.astimezone(UTC).strftime(_STAMP)}__{self.tag}{asof}{suffix}"

    @classmethod
    def parse(cls, text: str) -> RunId | None:
        """Return the parts of a run id, or None if the text is not in the form that we write."""
        match = _RUN_ID.fullmatch(text)
        # A longer text names no folder, and Python refuses to convert thousands of digits.
        if match is None or len(text) > _MAX_LENGTH:
            return None
        try:
            stamp = datetime.strptime(match["stamp"], _STAMP).replace(tzinfo=UTC)
        except ValueError:
            return None
        return cls(stamp, match["tag"], match["partition"], int(match["number"] or 1))

    def next(self) -> RunId:
        """Return the id to try if this name is taken: `__02`, then `__03` and so on."""
        return RunId(self.stamp, self.tag, self.partition, self.number + 1)


Known = bool | Literal["unknown"]
RunIdentity = tuple[str, str]
"""A run id and the ROOT_SHA256 of the folder: one run with one content, in whatever run root."""


@value_type(order=True)
class SealedRef:
    """A reference to one sealed run and, by its root hash, to its exact content."""

    run_id: str
    run_root: str
    relpath: str | None
    manifest_sha256: str

    @property
    def identity(self) -> RunIdentity:
        """The run and its content, whichever run root and file the reference names."""
        return self.run_id, self.manifest_sha256

    @property
    def path(self) -> str:
        """The run folder, relative to the repository."""
        return f"{self.run_root}/{self.run_id}"

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of the reference."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> SealedRef | None:
        """Return the reference that a JSON object states, or None if it has another shape."""
        if not isinstance(value, dict):
            return None
        run_id, root, relpath = value.get("run_id"), value.get("run_root"), value.get("relpath")
        digest = value.get("manifest_sha256")
        if not (isinstance(run_id, str) and isinstance(root, str) and isinstance(digest, str)):
            return None
        if not (relpath is None or isinstance(relpath, str)):
            return None
        return cls(run_id, root, relpath, digest)


@value_type
class Pointer:
    """One entry of the pointer file; `ref` is None if no run is known to be active."""

    registry_id: str
    ref: SealedRef | None
    known: Known
    asof_utc: str | None
    notes: str

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of the entry."""
        return {
            "registry_id": self.registry_id,
            "active_ref": None if self.ref is None else self.ref.to_json(),
            "active_ref_known": self.known,
            "active_asof_utc": self.asof_utc,
            "notes": self.notes,
        }


@value_type
class PointerFile:
    """The parsed pointer file.

    Attributes:
        document: the top-level object with all of its keys, unknown ones included, in their order.
        pointers: the valid entries.
        sha256: the hash of the bytes that were read; None if there is no file.
    """

    document: Mapping[str, Any]
    pointers: tuple[Pointer, ...]
    sha256: str | None

    def get(self, registry_id: str) -> Pointer | None:
        """Return the pointer of a registry, or None if the file does not name it."""
        return next((p for p in self.pointers if p.registry_id == registry_id), None)

    def active(self, registry_id: str) -> SealedRef | None:
        """Return the active reference of a registry, or None."""
        pointer = self.get(registry_id)
        return pointer.ref if pointer is not None and pointer.known is True else None


@value_type
class Move:
    """The change of one pointer; `from_ref` is None if no run was active before, `to_ref` if none is afterwards."""

    registry_id: str
    from_ref: SealedRef | None
    to_ref: SealedRef | None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object of the move in an activation record."""
        return asdict(self)
