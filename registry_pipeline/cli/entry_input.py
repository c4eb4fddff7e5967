"""Entries as people hand them in: from files, from standard input, from the command line (SPEC 10)."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from registry_pipeline.errors import NotFoundError, RefusedError
from registry_pipeline.registries.entries.service import GivenEntry
from registry_pipeline.yaml.compose import StrictYamlError, YamlNode, read_yaml

_ESCAPE: Final = re.compile(rb"\\(u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|.)")
"""An escape of JSON; group 1 has more than one character where it is a pair of surrogates."""


def read_given(
    types: Sequence[str], files: Sequence[str], texts: Sequence[str], folder: Path
) -> tuple[GivenEntry, ...]:
    """Return the entries that the options name, in their order; JSON is YAML too.

    `types` has one name for all, or as many as there are files, or as many as there are texts; without any, each text
    is a mapping of types to lists of entries.

    Raises:
        UsageError: nothing is named, or the numbers do not match (exit 2).
        NotFoundError: there is no such file (exit 7).
        RefusedError: a text is no YAML, or no entry (exit 5).
    """
    sources = [*(_read_file(name, folder) for name in files), *map(_read_text, texts)]
    if not sources:
        raise click.UsageError("name an entry: --entry-file FILE, --entry-json JSON, or - for standard input")
    if len(types) > 1 and (len(types) != len(sources) or (files and texts)):
        raise click.UsageError(
            "give one --type for all entries, or one for each --entry-file, or for each --entry-json"
        )
    given: list[GivenEntry] = []
    for at, (origin, data) in enumerate(sources):
        nodes = _nodes(origin, data)
        if types:
            name = types[at] if len(types) > 1 else types[0]
            given += [GivenEntry(name, node.value, origin, node) for each in nodes for node in _items(each)]
        else:
            given += _bundled(origin, nodes)
    if not given:
        raise RefusedError("there is no entry in what was given", "an entry is a mapping, a YAML document of its own")
    return tuple(given)


def _read_text(text: str) -> tuple[str, bytes]:
    return _read_file("-", Path()) if text == "-" else ("--entry-json", text.encode("utf-8", "surrogateescape"))


def _read_file(name: str, folder: Path) -> tuple[str, bytes]:
    if name == "-":
        return "standard input", sys.stdin.buffer.read()
    try:
        return name, (folder / name).read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {name}", "name one that exists, or - for standard input") from None
    except OSError as error:
        raise NotFoundError(f"{name} cannot be read: {error.strerror}", "name a file that can be read") from None


def _nodes(origin: str, data: bytes) -> list[YamlNode]:
    try:
        return [node for node in read_yaml(_without_pairs(data)) if node.value is not None]
    except StrictYamlError as error:
        raise RefusedError(f"{origin}:{error.location}: {error}", "mend what was given; nothing changed") from None


def _without_pairs(data: bytes) -> bytes:
    """Return JSON with one escape of YAML for each pair of surrogates: the one point where JSON is no YAML."""
    if b"\\ud" not in data.lower():
        return data
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return data  # no JSON: what it means is YAML's to say
    return _ESCAPE.sub(_joined, data)


def _joined(found: re.Match[bytes]) -> bytes:
    return found[0] if len(found[1]) == 1 else b"\\U%08x" % ord(json.loads(b'"%s"' % found[0]))


def _items(node: YamlNode) -> tuple[YamlNode, ...]:
    """Return the entries of a document: those of a list, else the document itself."""
    return node.members if node.kind == "sequence" else (node,)


def _bundled(origin: str, nodes: list[YamlNode]) -> list[GivenEntry]:
    """Return the entries of mappings of types to lists of entries."""
    given = []
    for node in nodes:
        if node.kind != "mapping" or not all(value.kind == "sequence" for _, value in node.pairs()):
            raise click.UsageError(f"say --type, or let {origin} be a mapping of types to lists of entries")
        given += [
            GivenEntry(key.value, each.value, origin, each) for key, value in node.pairs() for each in value.members
        ]
    return given
