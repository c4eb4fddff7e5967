"""YAML files of the registries: read as YAML 1.2, written with the smallest change that says the new values (SPEC 10).

Two roads lead to a new text: a splice, which leaves untouched lines alone, and ruamel.yaml's round trip where a layout
cannot be spliced. Either outcome is read again and compared with what it shall say before it is handed on.
"""

from __future__ import annotations

import io
import math
import os
import re
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.errors import NotFoundError, RefusedError
from registry_pipeline.files.atomic_write import read_own_file, refuse_missing_folder, replace_file
from registry_pipeline.yaml.compose import StrictYamlError, YamlNode, read_yaml, same_value
from registry_pipeline.yaml.edit import UnsplicedError, splice
from registry_pipeline.yaml.fast_values import read_yaml_values
from registry_pipeline.yaml.layout import layout_of
from registry_pipeline.yaml.scalars import read_plain_scalar

MAX_BYTES: Final = 64 << 20
KEY_FIELDS: Final = ("module_id", "ability_id", "operation_key", "id", "when_to_use")
"""What tells the entries of a list apart, by preference."""
_COMMENT: Final = re.compile(r"(?:^|(?<=[\s\[\]{},:-]))#[^\r\n]*", re.MULTILINE)


class YamlDocuments(list[Any]):
    """The documents of a file that has several of them, as `load_yaml` returns and `dump_yaml` takes them."""


def load_yaml(path: str | os.PathLike[str]) -> Any:
    """Return the data of a YAML file, with its comments (ruamel.yaml's round-trip types: dicts and lists).

    Values are those of YAML 1.2: `no` is a text, `010` is ten, a date is a text. A file of several documents gives
    `YamlDocuments`, an empty one None. Anchors and merge keys are kept.

    Raises:
        NotFoundError: there is no such file (exit 7).
        RefusedError: it is no YAML, a key stands twice in one mapping, or a value is none that JSON has (exit 5).
    """
    place = Path(path)
    data = read_yaml_file(place)
    try:
        plain = read_yaml(data)
    except StrictYamlError as error:
        raise _refused(place, error) from None
    if not plain:
        return None
    documents = _round_trip_load(data.decode("utf-8"))
    if documents is None or not same_value([node.value for node in plain], documents):
        raise RefusedError(
            f"{place}: two readers of YAML disagree about its values", "quote what is ambiguous, and try again"
        )
    return documents[0] if len(documents) == 1 else YamlDocuments(documents)


def dump_yaml(path: str | os.PathLike[str], data: Any) -> None:
    """Make a YAML file say `data` (of `load_yaml`, or plain), changing no line that need not change.

    Comments are those of the file: each stays with its entry. Where the file says `data` already, its bytes stay as
    they are. A new file is written in block style.

    Raises:
        NotFoundError: there is no such folder (exit 7).
        RefusedError: the outcome could not be proven to say `data`, or the path is a link (exit 5).
        BusyError: the file changed while its new text was made; nothing was written (exit 6).
        WriteError: the disk refused; the file is as it was (exit 1).
    """
    place = Path(path)
    before = read_own_file(place, MAX_BYTES)
    wanted = [_plain(each) for each in (data if isinstance(data, YamlDocuments) else [data])]
    after = rewrite(before or b"", wanted, str(place))
    if after != before:
        refuse_missing_folder(place)
        replace_file(place, after, None if before is None else sha256_hex(before))


def read_yaml_file(path: Path) -> bytes:
    """Return the bytes of a regular file that is no link.

    Raises:
        NotFoundError: there is none (exit 7).
        RefusedError: it is a link, no regular file, larger than `MAX_BYTES`, or cannot be read (exit 5).
    """
    data = read_own_file(path, MAX_BYTES)
    if data is None:
        raise NotFoundError(f"there is no file {path}", "name one that exists")
    return data


def rewrite(before: bytes, after: Sequence[Any], name: str, nodes: Sequence[YamlNode] | None = None) -> bytes:
    """Return the bytes of a file changed so that its documents say `after`; the same bytes where they do already.

    `after` are plain values; `nodes` are the documents of `before` where the caller has read them already; `name` is
    for messages.

    Raises:
        RefusedError: `before` is not strict YAML, or no outcome could be proven (exit 5).
    """
    try:
        documents = read_yaml(before) if nodes is None else nodes
    except StrictYamlError as error:
        raise _refused(Path(name), error) from None
    wanted = list(after)
    if same_value([node.value for node in documents], wanted) or (not documents and wanted == [None]):
        return before
    text = before.decode("utf-8")
    for road in (_spliced, _round_tripped):
        outcome = road(text, documents, wanted)
        if outcome is not None and _says(outcome, wanted):
            return outcome
    raise RefusedError(
        f"{name} cannot be changed without losing a comment, or an anchor that another entry uses",
        "edit this entry by hand, then `registry-pipeline entries check`",
    )


def _says(data: bytes, wanted: Sequence[Any]) -> bool:
    """Prove an outcome: read again, it says what it shall."""
    try:
        return same_value(read_yaml_values(data), list(wanted))
    except StrictYamlError:
        return False


def _spliced(text: str, documents: Sequence[YamlNode], wanted: Sequence[Any]) -> bytes | None:
    try:
        return splice(text, documents, wanted, KEY_FIELDS).encode("utf-8")
    except UnsplicedError:
        return None


def _round_tripped(text: str, documents: Sequence[YamlNode], wanted: Sequence[Any]) -> bytes | None:
    """Return what ruamel.yaml's round trip makes, None where a comment got lost on the way."""
    if len(documents) != len(wanted) and documents:
        return None
    loaded = _round_trip_load(text)
    if loaded is None:
        return None
    loaded = loaded or [None]
    merged = [_merged(old, new) for old, new in zip(loaded, wanted, strict=True)]
    stream = io.StringIO()
    layout, yaml = layout_of(documents, "\n"), _round_trip()
    yaml.indent(mapping=layout.mapping, sequence=layout.sequence + 2, offset=layout.sequence)
    try:
        yaml.dump_all(merged, stream)
    except Exception:  # noqa: BLE001 - whatever the other library cannot write is not proven
        return None
    outcome = stream.getvalue()
    lost = set(_COMMENT.findall(text)) - set(_COMMENT.findall(outcome))
    return None if lost else outcome.encode("utf-8")


def _merged(old: Any, new: Any) -> Any:
    """Put new values into round-trip data, so that what stays keeps its layout and comments."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in [name for name in old if name not in new]:
            del old[name]
        for name, value in new.items():
            if name not in old or not same_value(old[name], value):
                old[name] = _merged(old.get(name), value)
        return old
    if isinstance(old, list) and isinstance(new, list):
        old[:] = [_merged(old[at], value) if at < len(old) else value for at, value in enumerate(new)]
        return old
    return new


def _plain(value: Any) -> Any:
    """Return round-trip data as plain values, which is what is compared and written.

    Raises:
        RefusedError: a value, or a key, that JSON does not have (exit 5).
    """
    if isinstance(value, dict):
        for name in value:
            if not isinstance(name, str):
                raise RefusedError(f"the key {name!r} is no text", "make it one")
        return {str(name): _plain(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    if type(value).__name__ == "ScalarBoolean":
        return bool(value)
    kind = next((kind for kind in (int, float, str) if isinstance(value, kind)), None)
    if kind is None or (kind is float and not math.isfinite(value)):
        raise RefusedError(f"{value!r} is no value that JSON has", "write it as a text or a number")
    return kind(value)


def _round_trip_load(text: str) -> list[Any] | None:
    """Return what ruamel.yaml reads, None where it cannot read what libyaml can (a tab behind a value)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of anchors that are set anew, which YAML allows
        try:
            return list(_round_trip().load_all(text))
        except Exception:  # noqa: BLE001 - whatever the other library cannot read takes no part in the proof
            return None


def _round_trip() -> Any:
    """Return ruamel.yaml's round trip, with the values of YAML 1.2's core schema and no other."""
    from ruamel.yaml import YAML  # noqa: PLC0415  # lazily: the splice has no need of it

    yaml = YAML(typ="rt", pure=True)
    yaml.Resolver = _core_resolver()
    yaml.preserve_quotes = True
    yaml.width = 1 << 20
    return yaml


@cache
def _core_resolver() -> Any:
    from ruamel.yaml.resolver import VersionedResolver  # noqa: PLC0415
    from ruamel.yaml.tag import Tag  # noqa: PLC0415

    names = {bool: "bool", int: "int", float: "float", type(None): "null"}

    class CoreResolver(VersionedResolver):
        """ruamel.yaml's own table has dates, `=` and digits with underscores, which YAML 1.2 has not."""

        def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
            if isinstance(value, str) and implicit[0] and value != "<<":
                named = names.get(type(read_plain_scalar(value)), "str")
                return Tag(suffix=f"tag:yaml.org,2002:{named}")
            return super().resolve(kind, value, implicit)

    return CoreResolver


def _refused(place: Path, error: StrictYamlError) -> RefusedError:
    return RefusedError(f"{place}:{error.location}: {error}", "mend the file, then `registry-pipeline entries check`")
