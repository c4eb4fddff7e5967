"""Find every regular expression of the package: those in its code and those in its JSON Schemas."""

from __future__ import annotations

import ast
import importlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

import registry_pipeline
from registry_pipeline.registries.run_index.line_pattern import LinePatterns
from registry_pipeline.registries.run_index.record import GRAMMARS, RUN, Grammar
from registry_pipeline.registries.run_index.scan import make_value_pattern
from registry_pipeline.schema import schema_folder

PACKAGE: Final = Path(registry_pipeline.__file__).parent
_USES: Final = {
    "search": "search",
    "match": "match",
    "fullmatch": "fullmatch",
    "findall": "scan",
    "finditer": "scan",
    "sub": "scan",
    "subn": "scan",
    "split": "scan",
}


@dataclass(frozen=True)
class Use:
    """A pattern and the ways in which it is applied: `search`, `match`, `fullmatch`, `scan`."""

    name: str
    pattern: re.Pattern[Any]
    modes: tuple[str, ...]


def _contents_of_lines(grammar: Grammar) -> Iterable[str]:
    return LinePatterns(RUN.fields, grammar, ["mood"])._contents.values()


# Patterns that a function compiles from parts, and how that function's callers apply them.
_COMPILED_BY_FUNCTIONS: Final[Mapping[str, tuple[tuple[re.Pattern[Any], ...], tuple[str, ...]]]] = {
    "registries.run_index.record:_forms": (
        tuple(form.pattern for grammar in GRAMMARS.values() for form in grammar.forms.values()),
        ("fullmatch",),
    ),
    # The whole pattern of a line is these, one after the other, with names and punctuation between them.
    "registries.run_index.line_pattern:_compile": (
        tuple(map(re.compile, sorted({text for each in GRAMMARS.values() for text in _contents_of_lines(each)}))),
        ("match",),
    ),
    "registries.run_index.scan:make_value_pattern": ((make_value_pattern("ART-a"),), ("scan",)),
}
# Patterns in a tuple or a mapping, or that are arguments, whose methods are not called by their name.
_IN_CONTAINERS: Final = {
    "registries.run_index.scan:_ASCII_ESCAPE": ("scan",),
    "registries.run_index.scan:FAILED_UNIQUENESS": ("scan",),
    "registries.run_index.scan:_KEYS": ("search", "scan"),
}


@cache
def code_patterns() -> tuple[Use, ...]:
    """Return every pattern that the code of the package compiles, named `module:NAME`."""
    return tuple(use for path, text in _sources().items() if _NAME_OF_RE.search(text) for use in _patterns_of(path))


# Each worker of pytest parses what it finds here before its first test. Most modules have no pattern.
_NAME_OF_RE: Final = re.compile(r"\bre\b")


@cache
def _sources() -> Mapping[Path, str]:
    return {path: path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def _parse(path: Path) -> ast.Module:
    return ast.parse(_sources()[path])


@cache
def _attributes(path: Path) -> frozenset[tuple[str, str]]:
    """Return every `name.attribute` of a module."""
    nodes = ast.walk(_parse(path))
    attributes = (node for node in nodes if isinstance(node, ast.Attribute))
    return frozenset((node.value.id, node.attr) for node in attributes if isinstance(node.value, ast.Name))


@cache
def schema_patterns() -> tuple[Use, ...]:
    """Return every pattern of the shipped JSON Schemas, named by its own text. `jsonschema` applies them by search."""
    folder = schema_folder()
    texts = {
        text
        for path in sorted([*folder.rglob("*.json"), *folder.rglob("*.yaml")])
        for text in _schema_texts(json.loads(path.read_bytes()) if path.suffix == ".json" else _yaml(path))
    }
    return tuple(Use(text, re.compile(text), ("search",)) for text in sorted(texts))


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_bytes())


def _schema_texts(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("pattern"), str):
            yield part["pattern"]
        named = part.get("patternProperties")
        yield from named if isinstance(named, dict) else ()
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _schema_texts(inner)


def _patterns_of(path: Path) -> Iterator[Use]:
    module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    for statement in _parse(path).body:
        assert not (isinstance(statement, ast.ImportFrom) and statement.module == "re"), f"{module}: use `import re`"
        calls = [node for node in ast.walk(statement) if _is_call_of_re(node)]
        if not calls:
            continue
        name = f"{module}:{_name_of(statement)}"
        if name in _COMPILED_BY_FUNCTIONS:
            patterns, modes = _COMPILED_BY_FUNCTIONS[name]
            yield from (Use(name, pattern, modes) for pattern in patterns)
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            value = getattr(importlib.import_module(f"registry_pipeline.{module}"), _name_of(statement))
            patterns = (value,) if isinstance(value, re.Pattern) else tuple(_contained(value))
            assert len(patterns) >= len(calls), f"{name}: its patterns are not found; list it in this file"
            modes = _IN_CONTAINERS.get(name) or _modes_of(_name_of(statement), module, path)
            yield from (Use(name, pattern, modes) for pattern in patterns)
        else:
            yield from (_direct(name, call) for call in calls)


def _is_call_of_re(node: ast.AST) -> bool:
    function = node.func if isinstance(node, ast.Call) else None
    return (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Name)
        and function.value.id == "re"
        and function.attr in {*_USES, "compile"}
    )


def _name_of(statement: ast.stmt) -> str:
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return statement.target.id
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0].id
    assert isinstance(statement, ast.FunctionDef | ast.ClassDef), ast.dump(statement)
    return statement.name


def _contained(value: Any) -> Iterator[re.Pattern[Any]]:
    for each in value.values() if isinstance(value, Mapping) else value:
        assert isinstance(each, re.Pattern)
        yield each


def _modes_of(name: str, module: str, path: Path) -> tuple[str, ...]:
    """Return how a pattern is applied: in its own module, and where it has a public name in every module."""
    paths = [path] if name.startswith("_") else [path for path, text in _sources().items() if name in text]
    methods = {method for each in paths for used, method in _attributes(each) if used == name}
    modes = sorted({_USES[method] for method in methods if method in _USES})
    assert modes, f"{module}:{name}: how it is applied is not found; list it in this file"
    return tuple(modes)


def _direct(name: str, call: Any) -> Use:
    """Return the pattern of `re.search(r"...", text)` and its like inside a function."""
    assert call.func.attr != "compile", f"{name}: compile it at the top of the module, or list it in this file"
    assert isinstance(call.args[0], ast.Constant), f"{name}: the pattern is no literal"
    return Use(name, re.compile(call.args[0].value), (_USES[call.func.attr],))
