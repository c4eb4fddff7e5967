"""The operations a repository allows and how far each is enforced, from its documents (SPEC 4.2).

Two styles of Markdown are read, chosen heading by heading and row by row; catalogs for machines are read by
`operations_document`. The parsers are pure: text in, values out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from registry_pipeline.canonical import sha256_hex
from registry_pipeline.config import Config
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, sorted_findings
from registry_pipeline.git.tree import Tree
from registry_pipeline.registries.base.operations_structured import is_structured, parse_operations_document
from registry_pipeline.registries.base.values import Operation, OperationCatalog
from registry_pipeline.runs.envelope import InputFile
from registry_pipeline.values import replace, value_type

_OPTION_HEADING: Final = re.compile(r"##\s+Option\s+(\w+)")
_OPERATION_HEADING: Final = re.compile(r"###\s+(OP-[A-Z]+[0-9]+)(?::\s*|\s+[\u2014\u2013-]\s+)(\S.*)")
_FIELD_LINE: Final = re.compile(r"(Option|Bound Executables):\s*(.*)")
_FIELD_ROW: Final = re.compile(r"\|\s*\*\*(Option|Bound Executables)\*\*\s*\|(.*)\|")
_LIST_ITEM: Final = re.compile(r"[-*]\s+(\S.*)")
_CODE: Final = re.compile(r"`([^`]+)`")
_BETWEEN_CELLS: Final = re.compile(r"(?<!\\)\|")
_ROW_OPERATION: Final = re.compile(r"(OP-[A-Z]+[0-9]+)(?:\s+(.+))?")
_LEVEL: Final = re.compile(r"C[0-9](?![0-9])")
_LEVEL_COLUMN: Final = 3


@value_type
class DefinedOperation:
    """An operation as one document defines it, and the line of its heading; `option` may be empty."""

    line: int
    operation: Operation


@value_type
class CoverageRow:
    """The coverage level that one row of a matrix states."""

    line: int
    operation_id: str
    level: str
    path: str


def read_operation_catalog(tree: Tree, config: Config) -> tuple[OperationCatalog, tuple[InputFile, ...]]:
    """Return the merged operations and coverage levels, and the documents they were read from.

    A document is Markdown or, by its suffix, JSON or YAML. One that is missing or malformed is a finding of severity
    error: without it the table would state less than the repository does.
    """
    files: list[InputFile] = []
    findings: list[Finding] = []
    defined: list[DefinedOperation] = []
    rows: list[CoverageRow] = []
    levels: list[CoverageRow] = []
    for path, data in _documents(tree, config.operations_catalog, files, findings):
        told = len(findings)
        if is_structured(path):
            found, stated = _stated_operations(data, path, findings)
            levels += stated
        else:
            found = parse_catalog_document(_text(data, path, findings), path)
        if not found and len(findings) == told:
            findings.append(finding("CATALOG_EMPTY", path))
        defined += found
    for path, data in _documents(tree, config.coverage_matrix, files, findings):
        if is_structured(path):
            rows += _stated_operations(data, path, findings)[1]
        else:
            rows += parse_matrix_document(_text(data, path, findings), path)
    # A level that a catalog states for itself stands behind the matrix, which is there to state levels.
    rows += levels
    operations = _merge_operations(defined, config.options, findings)
    coverage = _merge_levels(rows, findings)
    return OperationCatalog(operations, coverage, sorted_findings(findings)), tuple(dict.fromkeys(files))


def parse_catalog_document(text: str, path: str) -> list[DefinedOperation]:
    """Return the operations of one catalog document in their order; a heading with NON_CANONICAL ends them."""
    found: list[DefinedOperation] = []
    option = ""
    in_executables = False
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if line.startswith("#"):
            if "NON_CANONICAL" in line:
                break
            in_executables = False
            if heading := _OPTION_HEADING.match(line):
                option = heading[1]
            elif operation := _OPERATION_HEADING.fullmatch(line):
                defined = Operation(operation[1], option, operation[2].strip(), (), path)
                found.append(DefinedOperation(number, defined))
        elif found and line:
            in_executables = _read_field(found, line, in_executables=in_executables)
    return found


def _read_field(found: list[DefinedOperation], line: str, *, in_executables: bool) -> bool:
    """Add what a line says to the last operation; return whether a list of executables is open behind it."""
    last = found[-1]
    field = _FIELD_LINE.match(line) or _FIELD_ROW.fullmatch(line)
    if field is None:
        item = _LIST_ITEM.fullmatch(line) if in_executables else None
        if item is not None:
            found[-1] = _with_executables(last, item[1])
        return item is not None
    if field[1] == "Option":
        found[-1] = replace(last, operation=replace(last.operation, option=field[2].strip(" *`")))
        return False
    found[-1] = _with_executables(last, field[2])
    return True


def _with_executables(defined: DefinedOperation, text: str) -> DefinedOperation:
    named = _CODE.findall(text) or [text.strip()]
    executables = tuple(name for name in named if name)
    operation = defined.operation
    return replace(defined, operation=replace(operation, executables=(*operation.executables, *executables)))


def parse_matrix_document(text: str, path: str) -> list[CoverageRow]:
    """Return the levels that the rows of one matrix document state; a row without a level states none."""
    found: list[CoverageRow] = []
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line.startswith("|"):
            continue
        cells = [cell.strip(" \t*`") for cell in _BETWEEN_CELLS.split(line.removesuffix("|"))[1:]]
        operation = _ROW_OPERATION.fullmatch(cells[0]) if cells else None
        if operation is None:
            continue
        has_name = operation[2] is not None
        level = _LEVEL.match(cells[-1]) if has_name else None
        if not has_name and len(cells) > _LEVEL_COLUMN:
            level = _LEVEL.match(cells[_LEVEL_COLUMN])
        if level is not None:
            found.append(CoverageRow(number, operation[1], level[0], path))
    return found


def _documents(
    tree: Tree, paths: Sequence[str], files: list[InputFile], findings: list[Finding]
) -> Iterator[tuple[str, bytes]]:
    for path in dict.fromkeys(paths):
        try:
            data = tree.read(path)
        except OSError as error:
            findings.append(finding("CATALOG_MISSING", path, detail=error.strerror or "no reason given"))
            continue
        files.append(InputFile(path, sha256_hex(data)))
        yield path, data


def _text(data: bytes, path: str, findings: list[Finding]) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        findings.append(finding("CATALOG_MALFORMED", path, detail=f"the document is not UTF-8: {error.reason}"))
        return ""


def _stated_operations(
    data: bytes, path: str, findings: list[Finding]
) -> tuple[list[DefinedOperation], list[CoverageRow]]:
    """Return the operations of a document for machines, and the levels that it states for them."""
    stated, told = parse_operations_document(data, path)
    findings += told
    defined = [
        DefinedOperation(
            line, Operation(each["operation_id"], each["option"], each["name"], tuple(each["executables"]), path)
        )
        for line, each in stated
    ]
    levels = [
        CoverageRow(line, each["operation_id"], each["coverage_level"], path)
        for line, each in stated
        if "coverage_level" in each
    ]
    return defined, levels


def _merge_operations(
    defined: Iterable[DefinedOperation], options: Sequence[str], findings: list[Finding]
) -> tuple[Operation, ...]:
    """Keep the first definition of each operation; tell of contradictions and of options that are not configured."""
    merged: dict[str, DefinedOperation] = {}
    for here in defined:
        operation = here.operation
        first = merged.setdefault(operation.operation_id, here)
        for word in ("name", "option"):
            stated, got = getattr(first.operation, word), getattr(operation, word)
            if stated != got:
                place = f"{first.operation.source_path}:{first.line}"
                detail = f"{operation.operation_id} has another {word} than in {place}"
                findings.append(_contradiction(operation.source_path, here.line, detail, stated, got))
    for here in merged.values():
        if here.operation.option not in options:
            detail, path = here.operation.operation_id, here.operation.source_path
            found = here.operation.option or None
            findings.append(
                finding("CATALOG_OPTION_UNKNOWN", path, location=f"{here.line}:1", got=found, detail=detail)
            )
    return tuple(here.operation for here in merged.values())


def _merge_levels(rows: Iterable[CoverageRow], findings: list[Finding]) -> dict[str, str]:
    merged: dict[str, CoverageRow] = {}
    for row in rows:
        first = merged.setdefault(row.operation_id, row)
        if first.level != row.level:
            detail = f"{row.operation_id} has another level than in {first.path}:{first.line}"
            findings.append(_contradiction(row.path, row.line, detail, first.level, row.level))
    return {operation_id: row.level for operation_id, row in merged.items()}


def _contradiction(path: str, line: int, detail: str, expected: str, got: str) -> Finding:
    return finding("CATALOG_CONTRADICTION", path, location=f"{line}:1", expected=expected, got=got, detail=detail)
