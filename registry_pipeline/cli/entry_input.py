"""Read the entries that a user gives: files, standard input, and texts on the command line."""

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
from registry_pipeline.yaml.compose import StrictYamlError, YamlNode, parse_yaml

# A JSON escape; group 1 is longer than one character for a surrogate pair.
_ESCAPE: Final = re.compile(rb"\\(u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|.)")


def read_given_entries(
    types: Sequence[str], files: Sequence[str], texts: Sequence[str], folder: Path
) -> tuple[GivenEntry, ...]:
    """Return the entries in files (relative to `folder`) and texts, in their order; "-" is standard input.

    `types` has one type for all sources or one for each; without types each source maps types to lists of entries.

    Raises:
        UsageError: no source is given, or the number of types does not fit (exit 2).
        NotFoundError: a file does not exist (exit 7).
        RefusedError: a source is not YAML, or contains no entry (exit 5).
    """
    sources = [*(_read_file_source(name, folder) for name in files), *map(_make_text_source, texts)]
    if not sources:
        raise click.UsageError("name an entry: --entry-file FILE, --entry-json JSON, or - for standard input")
    if len(types) > 1 and (len(types) != len(sources) or (files and texts)):
        raise click.UsageError(
            "give one --type for all entries, or one for each --entry-file, or for each --entry-json"
        )
    given: list[GivenEntry] = []
    for number, (origin, data) in enumerate(sources):
        for node in _parse_documents(origin, data):
            if types:
                groups = [(types[number] if len(types) > 1 else types[0], node)]
            elif node.kind == "mapping" and all(items.kind == "sequence" for _, items in node.pairs()):
                groups = [(key.value, items) for key, items in node.pairs()]
            else:
                raise click.UsageError(f"give --type, or write {origin} as a mapping of types to lists of entries")
            # A document of a type is an entry or a list of entries.
            for type_name, group in groups:
                items = group.members if group.kind == "sequence" else (group,)
                given += [GivenEntry(type_name, item.value, origin, item) for item in items]
    if not given:
        raise RefusedError("the input contains no entry", "write each entry as a mapping")
    return tuple(given)


def _make_text_source(text: str) -> tuple[str, bytes]:
    """Return the origin and the bytes of a text of `--entry-json`; those of standard input for "-"."""
    return _read_file_source("-", Path()) if text == "-" else ("--entry-json", text.encode("utf-8", "surrogateescape"))


def _read_file_source(name: str, folder: Path) -> tuple[str, bytes]:
    """Return the origin and the bytes of a file, or of standard input for "-"; NotFoundError if it cannot be read."""
    if name == "-":
        return "standard input", sys.stdin.buffer.read()
    try:
        return name, (folder / name).read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {name}", "name one that exists, or - for standard input") from None
    except OSError as error:
        raise NotFoundError(f"{name} cannot be read: {error.strerror}", "name a file that can be read") from None


def _parse_documents(origin: str, data: bytes) -> list[YamlNode]:
    """Return the YAML or JSON documents of a source that are not null; raise RefusedError if it is not valid."""
    # JSON is parsed as YAML, so that findings have a line and a column.
    try:
        return [node for node in parse_yaml(_join_surrogates(data)) if node.value is not None]
    except StrictYamlError as error:
        raise RefusedError(f"{origin}:{error.location}: {error}", "correct the input; nothing changed") from None


def _join_surrogates(data: bytes) -> bytes:
    """Return JSON with one YAML escape for each surrogate pair, its only syntax that is not YAML; else `data`."""
    if b"\\ud" not in data.lower():
        return data
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return data  # not JSON: the YAML parser decides
    return _ESCAPE.sub(_join_surrogate_pair, data)


def _join_surrogate_pair(match: re.Match[bytes]) -> bytes:
    return match[0] if len(match[1]) == 1 else b"\\U%08x" % ord(json.loads(b'"%s"' % match[0]))
