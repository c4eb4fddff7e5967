"""The page of every shipped JSON Schema: docs/reference/schemas.md.

A schema becomes a table with one row for each field, at any depth. A definition with fields of its own has its rows
once: after those of its schema, or at the end of the page if several schemas have the same one.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from registry_pipeline.registries.catalog import SHIPPED

Node = Mapping[str, Any]
# field, type, required, meaning
Row = tuple[str, str, str, str]
Rows = tuple[Row, ...]

# Conditions between fields, which a table of fields cannot show.
_CONDITIONS: Final = ("if", "allOf", "dependentRequired", "not")
# Three descriptions cite an older specification by number. The files are sealed with runs, so they keep it.
_CITATION: Final = re.compile(r" \(SPEC [^)]*\)")
_CODE_OR_TAG: Final = re.compile(r"(`[^`]*`)|<")
_GROUPS: Final = (
    ("Files in run folders, and the pointer file", "*.schema.json"),
    ("Registry entries", "entries/*.schema.yaml"),
    ("Documents that commands print", "cli/*.schema.json"),
)
_HEAD: Final = """\
# Schemas

Every JSON Schema (draft 2020-12) that ships in `schemas/`. `[]` is an item of a list and `*` any key of an object. A
name in pointed brackets, as `<finding>`, is a definition, with its fields below or under [Shared
definitions](#shared-definitions). The files decide; they also state
lengths and conditions between fields. How schemas are applied: [Schema
validation](specification.md#schema-validation), [JSON output](specification.md#json-output).
"""


def make_schemas_page(folder: Path) -> str:
    """Return the page of all schemas below a folder."""
    groups = {title: [_read_schema(folder, path) for path in sorted(folder.glob(glob))] for title, glob in _GROUPS}
    definitions = Counter(
        rows for schemas in groups.values() for _, schema in schemas for rows in _list_definitions(schema)
    )
    shared = {rows for rows, number in definitions.items() if number > 1}
    lines = [_HEAD]
    for title, schemas in groups.items():
        lines += [f"## {title}", ""]
        for name, schema in schemas:
            lines += _describe_schema(name, schema, shared)
    lines += ["## Shared definitions", "", *_format_table(row for rows in sorted(shared) for row in rows)]
    return "\n".join(lines)


def _read_schema(folder: Path, path: Path) -> tuple[str, Node]:
    text = path.read_text(encoding="utf-8")
    schema = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    return path.relative_to(folder).as_posix(), schema


def find_anchor(name: str) -> str:
    """Return the anchor of a schema's heading, as GitHub makes it."""
    return re.sub(r"[^\w -]", "", name.lower()).replace(" ", "-")


def _describe_schema(name: str, schema: Node, shared: Collection[Rows]) -> Iterator[str]:
    users = [f"`{artifact}`" for spec in SHIPPED.registries.values() for artifact, file in spec.schemas if file == name]
    about = [schema["title"], *([schema["description"]] if "description" in schema else [])]
    yield from (f"### {name}", "", _finish(". ".join(_CITATION.sub("", text).rstrip(".") for text in about)))
    if users:
        yield _finish(f"Artifact: {', '.join(dict.fromkeys(users))}")
    if any(key in schema for key in _CONDITIONS):
        yield "The file also states conditions between fields."
    own = [row for rows in _list_definitions(schema) if rows not in shared for row in rows]
    yield from ("", *_format_table([*_list_rows(schema, schema, ""), *own]))


def _format_table(rows: Iterable[Row]) -> Iterator[str]:
    yield from ("| field | type | required | meaning |", "|---|---|---|---|")
    yield from (f"| {' | '.join(escape_cell(cell) for cell in row)} |" for row in rows)
    yield ""


def _finish(text: str) -> str:
    return f"{escape_tags(text)}."


def escape_cell(text: str) -> str:
    """Return a text for a cell of a table; what looks like a tag is shown."""
    return escape_tags(text).replace("|", "\\|").replace("\n", " ")


def escape_tags(text: str) -> str:
    """Return a text in which `<` outside of code is no markup."""
    return _CODE_OR_TAG.sub(lambda match: match[1] or "&lt;", text)


def _list_rows(schema: Node, node: Node, path: str) -> Iterator[Row]:
    """Yield the rows of the fields below a node: of its properties, its items and its alternatives."""
    prefix = f"{path}." if path else ""
    required = node.get("required", ())
    for name, child in node.get("properties", {}).items():
        field = f"{prefix}{name}"
        yield f"`{field}`", _format_type(schema, child), "yes" if name in required else "no", _explain(schema, child)
        yield from _list_rows(schema, _inline(schema, child), field)
    if isinstance(node.get("additionalProperties"), Mapping):
        child = node["additionalProperties"]
        yield f"`{prefix}*`", _format_type(schema, child), "no", _explain(schema, child)
        yield from _list_rows(schema, _inline(schema, child), f"{prefix}*")
    if isinstance(node.get("items"), Mapping):
        yield from _list_rows(schema, _inline(schema, node["items"]), f"{path}[]")
    for child in (*node.get("anyOf", ()), *node.get("oneOf", ())):
        yield from _list_rows(schema, _inline(schema, child), path)


def _list_definitions(schema: Node) -> list[Rows]:
    """Return the rows of each definition that has fields of its own."""
    definitions = schema.get("$defs", {}).items()
    return [tuple(_list_rows(schema, node, f"<{name}>")) for name, node in definitions if _is_named(node)]


def _is_named(node: Node) -> bool:
    """Return whether a definition has fields of its own, so that rows name it instead of repeating them."""
    return "properties" in node


def _find_definition(schema: Node, node: Node) -> tuple[str, Node] | None:
    if "$ref" not in node:
        return None
    name = node["$ref"].removeprefix("#/$defs/")
    return name, schema["$defs"][name]


def _inline(schema: Node, node: Any) -> Node:
    """Return a node with its definition filled in; without fields if it has rows of its own."""
    if not isinstance(node, Mapping):
        return {}
    definition = _find_definition(schema, node)
    if definition is None:
        return node
    return {} if _is_named(definition[1]) else {**_inline(schema, definition[1]), **node}


def _format_type(schema: Node, node: Any) -> str:
    if not isinstance(node, Mapping):
        return "any"
    definition = _find_definition(schema, node)
    if definition is not None:
        return f"`<{definition[0]}>`" if _is_named(definition[1]) else _format_type(schema, definition[1])
    if "const" in node:
        return f"`{json.dumps(node['const'])}`"
    if "enum" in node:
        return ", ".join(f"`{json.dumps(value)}`" for value in node["enum"])
    alternatives = (*node.get("anyOf", ()), *node.get("oneOf", ()))
    if alternatives and "type" not in node:
        return " or ".join(dict.fromkeys(_format_type(schema, child) for child in alternatives))
    types = node.get("type", "any")
    names = [types] if isinstance(types, str) else list(types)
    if "items" in node:
        names = [f"array of {_format_type(schema, node['items'])}" if name == "array" else name for name in names]
    return " or ".join(names)


def _explain(schema: Node, node: Any) -> str:
    if not isinstance(node, Mapping):
        return ""
    node = {**_inline(schema, node), **node}
    limits = [f"{word} {node[key]}" for key, word in (("minimum", "at least"), ("maximum", "at most")) if key in node]
    texts = [node.get("description", ""), node.get("time_semantics", ""), ", ".join(limits)]
    if "pattern" in node and "description" not in node:
        texts.append(f"matches `{node['pattern']}`")
    return _CITATION.sub("", "; ".join(text.rstrip(".") for text in texts if text))
