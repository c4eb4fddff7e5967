from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.canonical import json_line, sha256_hex
from registry_pipeline.config import Config, Repository
from registry_pipeline.errors import EvidenceError, RefusedError
from registry_pipeline.registries.base.reader import BuildInputs, Previous, SourceContext
from registry_pipeline.registries.base.upstream import parse_run_rows
from registry_pipeline.registries.base.values import ExpectedVersions, SystemDrift
from registry_pipeline.registries.drift_signals.read import read_drift_signals_inputs
from registry_pipeline.registries.op_status_table.build import RunEvidence
from registry_pipeline.registries.op_status_table.read import read_op_status_table_inputs
from registry_pipeline.registries.run_registry.build import make_run_line
from registry_pipeline.registries.run_registry.read import read_run_registry_inputs
from registry_pipeline.runs.envelope import InputFile, RunRow, ScannedRun
from registry_pipeline_tests.registries.builder_values import scanned, scanned_runs
from registry_pipeline_tests.registries.repositories import commit, repository, write

RECORD = {
    "registry_version": "0.1",
    "run_id": "r",
    "run_root": ".codex/RUNS",
    "run_key": ".codex/RUNS::r",
    "created_utc": None,
    "operation_id": "OP-A01",
    "git_commit": None,
    "working_tree_state": None,
    "has_run_json": True,
    "has_manifest_sha256": False,
}
EXPECTED_PATH = "docs/governance/EXPECTED_VERSIONS_v0_1.json"
SNAPSHOT = "EXPECTED_VERSIONS_v0_1_snapshot.json"


def repository_at(root: Path) -> Repository:
    config = Config(
        operations_catalog=("catalog.md",), coverage_matrix=("matrix.md",), threshold_sources=("pack.json",)
    )
    write(root, {"catalog.md": "## Option A\n### OP-A01: One\n", "matrix.md": "| OP-A01 One | C3 |\n"})
    return Repository(root, config)


def upstream(**changes: Any) -> dict[str, dict[str, bytes]]:
    files = {
        "run_registry": {"RUN_REGISTRY_v0_1.jsonl": json_line(RECORD)},
        "op_status_table": {"OPERATION_STATUS_TABLE_v0_1.json": b'[{"status_version": "0.1"}]'},
        "expected_versions": {SNAPSHOT: b'{"expected": {"schema_version": "0.1"}}'},
    }
    return {name: value for name, value in (files | changes).items() if value is not None}


def registry(data: bytes) -> dict[str, dict[str, bytes]]:
    return upstream(run_registry={"RUN_REGISTRY_v0_1.jsonl": data})


def test_the_scan_leaves_out_what_the_context_names(tmp_path: Path) -> None:
    write(tmp_path, {".codex/RUNS/a/x": "", ".codex/RUNS/b/x": "", "reports/runs/a/x": ""})
    progress: list[int] = []
    context = SourceContext(exclude_runs=frozenset({(".codex/RUNS", "a")}), on_progress=progress.append)

    gathered = read_run_registry_inputs(Repository(tmp_path, Config()), context)

    assert [(run.run_root, run.run_id) for run in gathered.inputs.lines] == [
        (".codex/RUNS", "b"),
        ("reports/runs", "a"),
    ]
    assert progress == [3]


def test_the_status_table_is_given_the_rows_of_the_upstream_registry_and_the_documents(tmp_path: Path) -> None:
    gathered = read_op_status_table_inputs(repository_at(tmp_path), SourceContext(upstream=upstream()))

    latest = RunRow(".codex/RUNS", "r", None, "OP-A01", None, None, True, False)
    assert gathered.inputs.evidence == RunEvidence({"OP-A01": (latest, {".codex/RUNS"})}, has_legacy_runs=False, runs=1)
    assert gathered.inputs.catalog.coverage == {"OP-A01": "C3"}
    assert gathered.inputs.system_drift is None
    assert gathered.inputs.drift_signals_run is None
    assert gathered.files == tuple(
        InputFile(name, sha256_hex((tmp_path / name).read_bytes())) for name in ("catalog.md", "matrix.md")
    )


def test_an_empty_registry_is_no_run_and_no_failure(tmp_path: Path) -> None:
    gathered = read_op_status_table_inputs(repository_at(tmp_path), SourceContext(upstream=registry(b"")))

    assert gathered.inputs.evidence == RunEvidence({}, has_legacy_runs=False, runs=0)


def test_without_its_documents_no_status_table_is_built(tmp_path: Path) -> None:
    gathered = read_op_status_table_inputs(Repository(tmp_path, Config()), SourceContext(upstream=upstream()))

    assert gathered.inputs is None
    assert {found.code for found in gathered.findings} == {"CATALOG_MISSING"}


def test_the_drift_that_is_fed_back_is_read_from_the_previous_snapshot(tmp_path: Path) -> None:
    flags = {"canon_dirty": True, "schema_drift": None, "threshold_drift": False}
    previous = Previous("d1", {"DRIFT_SIGNALS_v0_1.json": json.dumps({"system_drift": flags}).encode()})
    context = SourceContext(upstream=upstream(), previous={"drift_signals": previous})

    inputs = read_op_status_table_inputs(repository_at(tmp_path), context).inputs

    assert inputs.system_drift == SystemDrift(canon_dirty=True, schema_drift=None, threshold_drift=False)
    assert inputs.drift_signals_run == "d1"


@pytest.mark.parametrize("data", [b"{}", b"[]", b"{", None, b'{"system_drift": []}'])
def test_a_malformed_previous_drift_is_named(tmp_path: Path, data: bytes | None) -> None:
    files = {} if data is None else {"DRIFT_SIGNALS_v0_1.json": data}
    context = SourceContext(upstream=upstream(), previous={"drift_signals": Previous("d1", files)})

    with pytest.raises(EvidenceError, match=r"drift_signals: DRIFT_SIGNALS_v0_1\.json cannot be parsed"):
        read_op_status_table_inputs(repository_at(tmp_path), context)


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b"\xff",
        b"null",
        json_line({**RECORD, "run_key": None}),
        json_line({**RECORD, "has_run_json": 1}),
        json_line({**RECORD, "created_utc": 5}),
        json_line({name: value for name, value in RECORD.items() if name != "git_commit"}),
    ],
)
def test_a_malformed_line_of_the_upstream_registry_is_named_by_its_number(tmp_path: Path, line: bytes) -> None:
    context = SourceContext(upstream=registry(json_line(RECORD) + line.strip() + b"\n"))

    with pytest.raises(EvidenceError, match=r"run_registry: RUN_REGISTRY_v0_1\.jsonl line 2 cannot be parsed"):
        read_op_status_table_inputs(repository_at(tmp_path), context)


_WARNINGS: list[Any] = [[], ["envelope read by adapter x"], {}]
LINES = [
    *(json_line(RECORD | {"run_id": name}).strip() for name in ("r", "s", "\ud800")),
    *(json_line(RECORD | {"warnings": warnings}).strip() for warnings in _WARNINGS),
    bytes(make_run_line(scanned("w")).text).strip(),
    json.dumps(RECORD | {"run_id": "\u00fc"}, ensure_ascii=False).encode(),
    b" " + json_line(RECORD).strip() + b" \r",
    b"",
    b"null",
    b"{",
    b'{"a":',
    b"1}",
    b"\xff",
    json_line(RECORD).strip() * 2,
]


@given(st.lists(st.sampled_from(LINES), max_size=6), st.sampled_from([b"", b"\n"]))
def test_lines_are_parsed_as_each_by_itself(lines: list[bytes], end: bytes) -> None:
    def parse_each() -> Iterator[RunRow]:
        for number, line in enumerate(lines, 1):
            # A line by itself is line 1.
            try:
                yield from parse_run_rows(line)
            except EvidenceError as error:
                raise EvidenceError(error.message.replace(" line 1 ", f" line {number} ", 1), error.advice) from None

    assert outcome(lambda: parse_run_rows(b"\n".join(lines) + end)) == outcome(parse_each)


@given(
    scanned_runs,
    st.none() | st.tuples(st.integers(0, 400), st.sampled_from([b"", b'"', b"0", b"n", b"\x00", b",", b"\n"])),
)
def test_a_line_as_the_run_registry_writes_it_gives_the_row_that_parsing_gives(
    run: ScannedRun, change: tuple[int, bytes] | None
) -> None:
    line = bytes(make_run_line(run).text)
    if change is not None:
        position, byte = change
        line = line[:position] + byte + line[position + 1 :]

    # A line that begins with a space has another form, so it is parsed.
    row, parsed = outcome(lambda: parse_run_rows(line)), outcome(lambda: parse_run_rows(b" " + line))

    assert isinstance(row, str) == isinstance(parsed, str)
    assert isinstance(row, str) or row == parsed


@pytest.mark.parametrize("name", ["true", "null", "envelope read by adapter x"])
def test_a_text_that_looks_like_another_value_stays_a_text(name: str) -> None:
    stated = dict.fromkeys(("created_utc", "operation_id", "git_commit", "working_tree_state"), name)
    run = scanned(name, envelope=stated, has_manifest_json=False)

    (row,) = parse_run_rows(bytes(make_run_line(run).text))

    assert row == RunRow("runs", name, name, name, name, name, True, True)


def outcome(parse: Callable[[], Iterable[RunRow]]) -> tuple[RunRow, ...] | str:
    try:
        return tuple(parse())
    except EvidenceError as error:
        return error.message


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_a_row_if_it_is_a_json_object_with_the_members_of_one(line: bytes) -> None:
    try:
        expected = json.loads(line or b"null")
    except ValueError:
        expected = None

    rows = outcome(lambda: parse_run_rows(line))

    assert ([row.run_id for row in rows if isinstance(row, RunRow)] or None) == (expected and [expected["run_id"]])


def test_a_missing_upstream_is_refused_with_the_command_to_run(tmp_path: Path) -> None:
    for read in (read_op_status_table_inputs, read_drift_signals_inputs):
        with pytest.raises(RefusedError) as caught:
            read(repository_at(tmp_path), SourceContext())
        assert "registry-pipeline build run_registry" in caught.value.advice


def drift(root: Path, files: dict[str, dict[str, bytes]]) -> BuildInputs:
    return read_drift_signals_inputs(repository_at(root), SourceContext(upstream=files))


def test_drift_signals_are_given_what_was_observed(tmp_path: Path) -> None:
    write(repository(tmp_path), {"pack.json": '{"version": "v7"}', "docs/governance/RUN_ENVELOPE_STANDARD_v0_1.md": ""})
    commit(tmp_path, {})

    gathered = drift(tmp_path, upstream())

    inputs = gathered.inputs
    assert inputs.expected == ExpectedVersions("0.1", None)
    assert inputs.expected_path == EXPECTED_PATH
    assert (inputs.observed_run_registry, inputs.observed_op_status_table) == ("0.1", "0.1")
    assert (inputs.observed_run_envelope, inputs.observed_threshold) == ("0.1", "v7")
    assert [line[65:] for line in inputs.tracked] == [
        b"docs/governance/RUN_ENVELOPE_STANDARD_v0_1.md",
        b"pack.json",
    ]
    assert [file.path for file in gathered.files] == ["pack.json"]


def test_what_was_not_observed_is_unknown(tmp_path: Path) -> None:
    files = registry(b"") | {"op_status_table": {"OPERATION_STATUS_TABLE_v0_1.json": b"[]"}}
    del files["expected_versions"]

    inputs = drift(tmp_path, files).inputs

    assert inputs.expected is None
    assert (inputs.observed_run_registry, inputs.observed_op_status_table) == (None, None)
    assert (inputs.observed_run_envelope, inputs.observed_threshold, inputs.tracked) == (None, None, None)


def test_expected_versions_are_read_from_the_snapshot_and_never_from_the_file(tmp_path: Path) -> None:
    write(tmp_path, {EXPECTED_PATH: '{"expected": {"schema_version": "9.9"}}'})

    assert drift(tmp_path, upstream()).inputs.expected == ExpectedVersions("0.1", None)
    assert drift(tmp_path, upstream(expected_versions=None)).inputs.expected is None
