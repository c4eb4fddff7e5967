"""Load and dump the YAML files of registries; a dump changes only the lines that have to change."""

from __future__ import annotations

import io
import math
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.errors import NotFoundError, RefusedError
from registry_pipeline.files.atomic_write import read_own_file, refuse_missing_folder, replace_file
from registry_pipeline.yaml.compose import (
    StrictYamlError,
    YamlNode,
    is_same_value,
    parse_plain_scalar,
    parse_yaml,
    parse_yaml_values,
)
from registry_pipeline.yaml.edit import EditError, edit_text
from registry_pipeline.yaml.values import measure_style

MAX_BYTES: Final = 64 << 20
_COMMENT: Final = re.compile(r"(?:^|(?<=[\s\[\]{},:-]))#[^\r\n]*", re.MULTILINE)


class YamlDocuments(list[Any]):
    """The documents of a file that contains several."""


def load_yaml(path: str | os.PathLike[str]) -> Any:
    """Return the data of a YAML file, with its comments (ruamel.yaml's round-trip types: dicts and lists).

    Values are read by YAML 1.2: `no` and a date are texts, `010` is ten. A file of several documents gives
    `YamlDocuments`, an empty one None.

    Raises:
        NotFoundError: the file does not exist (exit 7).
        RefusedError: not YAML, a duplicate key, or a value that JSON cannot represent (exit 5).
    """
    file = Path(path)
    data = read_yaml_file(file)
    nodes = _parse_nodes(data, str(file))
    if not nodes:
        return None
    documents = _load_round_trip(data.decode("utf-8"))
    # The data comes from another parser; a value that it reads differently would be written back unnoticed.
    if documents is None or not is_same_value([node.value for node in nodes], documents):
        raise RefusedError(f"{file}: two YAML parsers read different values", "quote what is ambiguous, and try again")
    return documents[0] if len(documents) == 1 else YamlDocuments(documents)


def dump_yaml(path: str | os.PathLike[str], data: Any) -> None:
    """Write `data` into a YAML file, which keeps the bytes of lines that need no change; equal values write nothing.

    `data` is what `load_yaml` returned, or plain values. The comments are those of the file: each stays with its
    entry. A missing file is created, in block style.

    Raises:
        NotFoundError: the folder does not exist (exit 7).
        RefusedError: no verified result was possible, or the path is a link (exit 5).
        BusyError: the file changed meanwhile; nothing was written (exit 6).
        WriteError: writing failed; the file is unchanged (exit 1).
    """
    file = Path(path)
    before = read_own_file(file, MAX_BYTES)
    values = [to_plain(document) for document in (data if isinstance(data, YamlDocuments) else [data])]
    after = edit_yaml(before or b"", values, str(file))
    # The hash detects a change of the file since it was read.
    if after != before:
        refuse_missing_folder(file)
        replace_file(file, after, None if before is None else sha256_hex(before))


def read_yaml_file(path: Path) -> bytes:
    """Return the bytes of a regular file.

    Raises:
        NotFoundError: the file does not exist (exit 7).
        RefusedError: a link, not a regular file, larger than `MAX_BYTES`, or unreadable (exit 5).
    """
    data = read_own_file(path, MAX_BYTES)
    if data is None:
        raise NotFoundError(f"there is no file {path}", "name one that exists")
    return data


def edit_yaml(before: bytes, after: Sequence[Any], name: str, nodes: Sequence[YamlNode] | None = None) -> bytes:
    """Return the bytes `before`, edited to contain the documents `after`; the same bytes if they do already.

    Nothing is written. `name` is the file in messages; `nodes` are the documents of `before`, if already parsed.

    Raises:
        RefusedError: `before` is not strict YAML, or no edit gives exactly the new values (exit 5).
    """
    documents = _parse_nodes(before, name) if nodes is None else nodes
    values = list(after)
    if is_same_value([node.value for node in documents], values) or (not documents and values == [None]):
        return before
    text = before.decode("utf-8")
    # (1) edits keep most of the text, (2) the round trip handles more layouts
    for method in (edit_text, _edit_by_round_trip):
        try:
            result = method(text, documents, values).encode("utf-8")
            # Neither method is trusted: the result must parse to exactly the new values.
            if is_same_value(parse_yaml_values(result), values):
                return result
        except (EditError, StrictYamlError):
            continue
    raise RefusedError(
        f"{name} cannot be changed without losing a comment, or an anchor that another entry uses",
        "edit this entry by hand, then run `registry-pipeline entries check`",
    )


def _parse_nodes(data: bytes, name: str) -> Sequence[YamlNode]:
    try:
        return parse_yaml(data)
    except StrictYamlError as error:
        raise RefusedError(
            f"{name}:{error.location}: {error}", "correct the file, then run `registry-pipeline entries check`"
        ) from None


def _edit_by_round_trip(text: str, documents: Sequence[YamlNode], values: Sequence[Any]) -> str:
    """Return the text that ruamel.yaml writes for the new values; raise EditError if a comment would be lost."""
    if len(documents) != len(values) and documents:
        raise EditError("documents are added or removed")
    loaded = _load_round_trip(text)
    if loaded is None:
        raise EditError("ruamel.yaml cannot read it")
    merged = [_merge_value(old, new) for old, new in zip(loaded or [None], values, strict=True)]
    stream = io.StringIO()
    style, yaml = measure_style(documents, "\n"), _make_round_trip_parser()
    yaml.indent(mapping=style.mapping, sequence=style.sequence + 2, offset=style.sequence)
    try:
        yaml.dump_all(merged, stream)
    except Exception as error:  # noqa: BLE001 - any failure of the library means: no result by this method
        raise EditError(str(error)) from None
    result = stream.getvalue()
    # The pattern also matches inside texts, which can only make this check stricter.
    if set(_COMMENT.findall(text)) - set(_COMMENT.findall(result)):
        raise EditError("a comment would be lost")
    return result


def _merge_value(old: Any, new: Any) -> Any:
    """Change a loaded value to equal a new one, and return it; a value of another kind is replaced by the new one."""
    # What does not change keeps its layout and comments.
    if isinstance(old, dict) and isinstance(new, dict):
        for name in [name for name in old if name not in new]:
            del old[name]
        for name, value in new.items():
            # Assigning an equal value would drop its comments.
            if name not in old or not is_same_value(old[name], value):
                old[name] = _merge_value(old.get(name), value)
        return old
    if isinstance(old, list) and isinstance(new, list):
        old[:] = [_merge_value(old[at], value) if at < len(old) else value for at, value in enumerate(new)]
        return old
    return new


def to_plain(value: Any) -> Any:
    """Return a copy of a value in plain dicts, lists and scalars; raise RefusedError if JSON cannot represent it."""
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):
                raise RefusedError(f"the key {name!r} is not a text", "use a text as key")
        return {str(name): to_plain(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    if type(value).__name__ == "ScalarBoolean":  # ruamel.yaml's boolean is an int
        return bool(value)
    kind = next((kind for kind in (int, float, str) if isinstance(value, kind)), None)
    if kind is None or (kind is float and not math.isfinite(value)):
        raise RefusedError(f"{value!r} is not a JSON value", "write it as a text or a number")
    return kind(value)


def _load_round_trip(text: str) -> list[Any] | None:
    """Return the documents in ruamel.yaml's types, or None if it cannot read the text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about redefined anchors, which YAML allows
        try:
            return list(_make_round_trip_parser().load_all(text))
        except Exception:  # noqa: BLE001 - any failure of the library means: not readable by it
            return None


def _make_round_trip_parser() -> Any:
    from ruamel.yaml import YAML  # noqa: PLC0415 - most changes need only edits

    yaml = YAML(typ="rt", pure=True)
    yaml.Resolver = _make_core_resolver()
    yaml.preserve_quotes = True
    yaml.width = 1 << 20  # never fold a line
    return yaml


@cache
def _make_core_resolver() -> Any:
    from ruamel.yaml.resolver import VersionedResolver  # noqa: PLC0415
    from ruamel.yaml.tag import Tag  # noqa: PLC0415

    names = {bool: "bool", int: "int", float: "float", type(None): "null"}

    class CoreResolver(VersionedResolver):
        # ruamel.yaml also reads dates, `=` and digits with underscores, which YAML 1.2 does not have.
        def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
            if isinstance(value, str) and implicit[0] and value != "<<":
                name = names.get(type(parse_plain_scalar(value)), "str")
                return Tag(suffix=f"tag:yaml.org,2002:{name}")
            return super().resolve(kind, value, implicit)

    return CoreResolver
