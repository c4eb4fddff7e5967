"""Read the operations that a repository allows, and their coverage levels, from its documents.

Rules: docs/reference/specification.md, "Operations catalog".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

from registry_pipeline.canonical import StrictJsonError, parse_strict_json, sha256_hex
from registry_pipeline.config import Config
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, sorted_findings
from registry_pipeline.git.tree import Tree
from registry_pipeline.registries.base.values import Operation, OperationCatalog
from registry_pipeline.runs.envelope import InputFile
from registry_pipeline.schema import check_value
from registry_pipeline.values import replace, value_type
from registry_pipeline.yaml.values import UnreadableError, parse_json_values

_OPTION_HEADING: Final = re.compile(r"##\s+Option\s+(\w+)")
_OPERATION_HEADING: Final = re.compile(r"###\s+(OP-[A-Z]+[0-9]+)(?::\s*|\s+[\u2014\u2013-]\s+)(\S.*)")
_FIELD_LINE: Final = re.compile(r"(Option|Bound Executables):\s*(.*)")
_FIELD_ROW: Final = re.compile(r"\|\s*\*\*(Option|Bound Executables)\*\*\s*\|(.*)\|")
_LIST_ITEM: Final = re.compile(r"[-*]\s+(\S.*)")
# A line such as "```a``` b" is code inside a paragraph, and no fence.
_FENCE: Final = re.compile(r"(`{3,})[^`]*|(~{3,}).*")
_CODE: Final = re.compile(r"`([^`]+)`")
_CELL_SEPARATOR: Final = re.compile(r"(?<!\\)\|")
_ROW_OPERATION: Final = re.compile(r"(OP-[A-Z]+[0-9]+)(?:\s+(.+))?")
_LEVEL: Final = re.compile(r"C[0-9](?![0-9])")
_LEVEL_COLUMN: Final = 3


@value_type
class CoverageRow:
    """The coverage level that one row of a document states."""

    line: int
    operation_id: str
    level: str
    path: str


def read_operation_catalog(tree: Tree, config: Config) -> tuple[OperationCatalog, tuple[InputFile, ...]]:
    """Return the merged operations and coverage levels, and the documents that they were read from.

    Of operations and levels that are stated twice the first counts. A missing or malformed document is a finding of
    the catalog; nothing is raised.
    """
    files: list[InputFile] = []
    findings: list[Finding] = []
    operations: list[Operation] = []
    matrix_rows: list[CoverageRow] = []
    catalog_rows: list[CoverageRow] = []
    # (1) the catalog and its addenda
    for path, data in _read_documents(tree, config.operations_catalog, files, findings):
        count_before = len(findings)
        if is_structured(path):
            document_operations, rows = _parse_structured(data, path, findings)
            catalog_rows += rows
        else:
            document_operations = parse_catalog_document(_decode(data, path, findings), path)
        if not document_operations and len(findings) == count_before:
            findings.append(finding("CATALOG_EMPTY", path))
        operations += document_operations
    # (2) the coverage matrix
    for path, data in _read_documents(tree, config.coverage_matrix, files, findings):
        if is_structured(path):
            matrix_rows += _parse_structured(data, path, findings)[1]
        else:
            matrix_rows += parse_matrix_document(_decode(data, path, findings), path)
    # (3) Merge. The first level of an operation counts, so the matrix wins over a level in the catalog.
    merged = _merge_operations(operations, config.options, findings)
    coverage = _merge_levels([*matrix_rows, *catalog_rows], findings)
    return OperationCatalog(merged, coverage, sorted_findings(findings)), tuple(dict.fromkeys(files))


def parse_catalog_document(text: str, path: str) -> list[Operation]:
    """Return the operations that one Markdown catalog defines, in its order, duplicates included.

    A heading that contains NON_CANONICAL ends the list. Fenced code and lines that are not recognised are ignored.
    """
    operations: list[Operation] = []
    option = ""
    in_operation = in_executables = False
    # Two styles of fields occur: lines and rows of a table.
    for number, line in _find_lines_outside_code(text):
        if line.startswith("#"):
            if "NON_CANONICAL" in line:
                break
            in_executables = False
            if heading := _OPTION_HEADING.match(line):
                option, in_operation = heading[1], False
            elif heading := _OPERATION_HEADING.fullmatch(line):
                operations.append(Operation(heading[1], option, heading[2].strip(), (), path, number))
                in_operation = True
        elif in_operation and line:
            operations[-1], in_executables = _add_line(operations[-1], line, in_executables=in_executables)
    return operations


def _find_lines_outside_code(text: str) -> Iterator[tuple[int, str]]:
    """Yield the 1-based number and the stripped text of each line that is not inside fenced code."""
    fence = ""
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not fence:
            # A fence that is never closed reaches to the end of the document, as in every Markdown renderer.
            opening = _FENCE.fullmatch(line)
            fence = opening[1] or opening[2] if opening else ""
            yield number, line
        elif line.startswith(fence) and not line.strip(fence[0]):
            fence = ""


def _add_line(operation: Operation, line: str, *, in_executables: bool) -> tuple[Operation, bool]:
    """Return the operation with what one line adds to it, and whether a list item on the next line is an executable."""
    field = _FIELD_LINE.match(line) or _FIELD_ROW.fullmatch(line)
    if field is None:
        item = _LIST_ITEM.fullmatch(line) if in_executables else None
        return (operation, False) if item is None else (_add_executables(operation, item[1]), True)
    if field[1] == "Option":
        return replace(operation, option=field[2].strip(" *`")), False
    return _add_executables(operation, field[2]), True


def _add_executables(operation: Operation, text: str) -> Operation:
    names = _CODE.findall(text) or [text.strip()]
    return replace(operation, executables=(*operation.executables, *filter(None, names)))


def parse_matrix_document(text: str, path: str) -> list[CoverageRow]:
    """Return the levels that the rows of one Markdown matrix state, in order; rows without a level are skipped."""
    rows: list[CoverageRow] = []
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line.startswith("|"):
            continue
        cells = [cell.strip(" \t*`") for cell in _CELL_SEPARATOR.split(line.removesuffix("|"))[1:]]
        operation = _ROW_OPERATION.fullmatch(cells[0]) if cells else None
        if operation is None:
            continue
        # With a name after the id, the level is in the last column; without one, it is in the fourth.
        column = -1 if operation[2] is not None else _LEVEL_COLUMN
        level = _LEVEL.match(cells[column]) if column < len(cells) else None
        if level is not None:
            rows.append(CoverageRow(number, operation[1], level[0], path))
    return rows


def _read_documents(
    tree: Tree, paths: Sequence[str], files: list[InputFile], findings: list[Finding]
) -> Iterator[tuple[str, bytes]]:
    """Yield each path once with its bytes, and append it to `files`; one that cannot be read goes to `findings`."""
    for path in dict.fromkeys(paths):
        try:
            data = tree.read(path)
        except OSError as error:
            # An error: without the document, operations would be missing from the status table.
            findings.append(finding("CATALOG_MISSING", path, detail=error.strerror or "no reason given"))
            continue
        files.append(InputFile(path, sha256_hex(data)))
        yield path, data


def _decode(data: bytes, path: str, findings: list[Finding]) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        findings.append(finding("CATALOG_MALFORMED", path, detail=f"the document is not UTF-8: {error.reason}"))
        return ""


def _parse_structured(data: bytes, path: str, findings: list[Finding]) -> tuple[list[Operation], list[CoverageRow]]:
    """Return the operations and the levels of a JSON or YAML document; append its problems to `findings`."""
    items, problems = parse_operations_document(data, path)
    findings += problems
    operations = [
        Operation(item["operation_id"], item["option"], item["name"], tuple(item["executables"]), path, line)
        for line, item in items
    ]
    levels = [
        CoverageRow(line, item["operation_id"], item["coverage_level"], path)
        for line, item in items
        if "coverage_level" in item
    ]
    return operations, levels


def _merge_operations(
    operations: Iterable[Operation], options: Sequence[str], findings: list[Finding]
) -> tuple[Operation, ...]:
    """Return the first definition of each operation; append contradictions and unknown options to `findings`."""
    merged: dict[str, Operation] = {}
    for operation in operations:
        first = merged.setdefault(operation.operation_id, operation)
        for attribute in ("name", "option"):
            expected, got = getattr(first, attribute), getattr(operation, attribute)
            if expected != got:
                detail = f"{operation.operation_id} has another {attribute} than in {first.source_path}:{first.line}"
                findings.append(_make_contradiction(operation.source_path, operation.line, detail, expected, got))
    for operation in merged.values():
        if operation.option not in options:
            path, location = operation.source_path, f"{operation.line}:1"
            got, detail = operation.option or None, operation.operation_id
            findings.append(finding("CATALOG_OPTION_UNKNOWN", path, location=location, got=got, detail=detail))
    return tuple(merged.values())


def _merge_levels(rows: Iterable[CoverageRow], findings: list[Finding]) -> dict[str, str]:
    """Return the first level of each operation; append contradictions to `findings`."""
    merged: dict[str, CoverageRow] = {}
    for row in rows:
        first = merged.setdefault(row.operation_id, row)
        if first.level != row.level:
            detail = f"{row.operation_id} has another level than in {first.path}:{first.line}"
            findings.append(_make_contradiction(row.path, row.line, detail, first.level, row.level))
    return {operation_id: row.level for operation_id, row in merged.items()}


def _make_contradiction(path: str, line: int, detail: str, expected: str, got: str) -> Finding:
    return finding("CATALOG_CONTRADICTION", path, location=f"{line}:1", expected=expected, got=got, detail=detail)


OPERATIONS_SCHEMA: Final = "OPERATIONS_CATALOG_v0_1.schema.json"
MAX_BYTES: Final = 1 << 18
"""The size limit: a catalog of a thousand operations is smaller, and YAML of this size takes seconds."""
_SUFFIXES: Final = (".json", ".yaml", ".yml")
_MAX_PROBLEMS: Final = 20
_OPERATION_KEY: Final = re.compile(r'"operation_id"\s*:')
_ERROR_LOCATION: Final = re.compile(r"line (\d+) column (\d+)")


def is_structured(path: str) -> bool:
    """Return whether a document is JSON or YAML by its suffix; all others are Markdown."""
    return PurePosixPath(path).suffix.lower() in _SUFFIXES


def parse_operations_document(data: bytes, path: str) -> tuple[list[tuple[int, Mapping[str, Any]]], list[Finding]]:
    """Return the operations of a document, each with its line, or only the findings that say why it is malformed."""
    # Either all operations or none: half a catalog would state less than the repository does.
    if len(data) > MAX_BYTES:
        return [], [_make_malformed(path, f"the document is larger than {MAX_BYTES >> 10} KiB")]
    try:
        value, lines = _read_json(data) if path.lower().endswith(".json") else parse_json_values(data)
    except UnreadableError as error:
        return [], [_make_malformed(path, str(error), error.location)]
    problems = check_value(OPERATIONS_SCHEMA, value)
    findings = [_make_malformed(path, p.message, _find_location(lines, p.pointer)) for p in problems[:_MAX_PROBLEMS]]
    if len(problems) > _MAX_PROBLEMS:
        findings.append(_make_malformed(path, f"and {len(problems) - _MAX_PROBLEMS} more problems"))
    if findings:
        return [], findings
    return [(lines.get(f"/operations/{index}", 1), item) for index, item in enumerate(value["operations"])], []


def _make_malformed(path: str, detail: str, location: str | None = None) -> Finding:
    return finding("CATALOG_MALFORMED", path, location=location, detail=detail)


def _find_location(lines: Mapping[str, int], pointer: str) -> str | None:
    """Return the location of a JSON pointer, or of the closest parent whose line is known, or None."""
    while pointer not in lines and pointer:
        pointer = pointer.rpartition("/")[0]
    return f"{lines[pointer]}:1" if pointer in lines else None


def _read_json(data: bytes) -> tuple[Any, dict[str, int]]:
    """Return the value of strict JSON, and the line of each operation by JSON pointer."""
    try:
        value = parse_strict_json(data)
    except StrictJsonError as error:
        match = _ERROR_LOCATION.search(str(error))
        raise UnreadableError(f"not JSON: {error}", f"{match[1]}:{match[2]}" if match else None) from None
    operations = value.get("operations") if isinstance(value, dict) else None
    # The parser gives no positions. The n-th `operation_id` key belongs to the n-th operation if the counts agree.
    text = data.decode("utf-8")
    lines = [text.count("\n", 0, match.start()) + 1 for match in _OPERATION_KEY.finditer(text)]
    if not isinstance(operations, list) or len(lines) != len(operations):
        return value, {}
    return value, {f"/operations/{index}": line for index, line in enumerate(lines)}
