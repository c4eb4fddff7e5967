"""The pointer file against its contract, the table and the store: a folder of `cases/pointers` for each way to fail."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.canon import parse_utc
from registry_pipeline.config import Config, Governed
from registry_pipeline.model.codes import finding
from registry_pipeline.model.envelope import InputRegistry, Inputs
from registry_pipeline.model.finding import Finding, sorted_findings
from registry_pipeline.model.refs import PointerFile, SealedRef
from registry_pipeline.model.verdict import Verdict
from registry_pipeline.schema import check_value
from registry_pipeline.validate.pointers import check_pointers, parse_pointer_file
from registry_pipeline_tests.validate.registry_rows import POINTERS_SCHEMA, SPECS

CASES = Path(__file__).parents[1] / "cases" / "pointers"
STORE: dict[str, Any] = json.loads((CASES / "store.json").read_text())
SHOWN = ".codex/ACTIVE_REGISTRY_POINTERS_v0_1.json"
FOLDERS = sorted(path for path in CASES.iterdir() if path.is_dir())


def verdict_of(ref: SealedRef) -> Verdict | None:
    run = STORE["runs"].get(ref.run_id)
    if run is None:
        return None
    path = f"{ref.run_root}/{ref.run_id}"
    findings = tuple(finding(code, path, detail="altered") for code in run["codes"])
    root, stated = run["root_sha256"], run.get("repository_id")
    return Verdict(path, ref.run_id, run["registry_id"], run["verdict"], root, findings, repository_id=stated)


def inputs_of(ref: SealedRef) -> Inputs | None:
    upstream = STORE["runs"][ref.run_id]["upstream"]
    refs = {
        name: SealedRef(run, ".codex/RUNS", None, STORE["runs"][run]["root_sha256"]) for name, run in upstream.items()
    }
    return Inputs(tuple(InputRegistry(name, "upstream", used) for name, used in refs.items())) if refs else None


def check(parsed: PointerFile, now: datetime, repository_id: str | None = None) -> tuple[Finding, ...]:
    return check_pointers(
        parsed,
        governed=Governed(Path("/nowhere"), Config(pointers=SHOWN, repository_id=repository_id)),
        specs=SPECS,
        verdict_of=verdict_of,
        inputs_of=inputs_of,
        now=now,
        marked_bad=STORE["marked_bad"],
        accepted_foreign=frozenset(STORE["accepted_foreign"].items()),
    )


def read_case(case: Path) -> bytes | None:
    path = case / "pointers.json"
    return path.read_bytes() if path.exists() else None


def now() -> datetime:
    moment = parse_utc(STORE["now"])
    assert moment is not None
    return moment


@pytest.mark.parametrize("case", FOLDERS, ids=lambda case: case.name)
def test_a_case_folder_is_judged_as_expected(case: Path) -> None:
    expected = json.loads((case / "expected.json").read_text())

    parsed, form = parse_pointer_file(read_case(case), SHOWN)
    findings = sorted_findings([*form, *check(parsed, now(), expected.get("repository_id"))])

    told = [{"code": f.code, "severity": f.severity.value, "location": f.location} for f in findings]
    order = partial(json.dumps, sort_keys=True)
    assert sorted(expected["findings"], key=order) == sorted(told, key=order)
    assert expected["read"] == sorted(p.registry_id for p in parsed.pointers)
    assert case.name.startswith("good__") == (expected["findings"] == [])


@pytest.mark.parametrize("case", FOLDERS, ids=lambda case: case.name)
def test_what_the_schema_refuses_the_parser_refuses_too(case: Path) -> None:
    data = read_case(case)
    try:
        document = json.loads(data or b"")
    except (ValueError, RecursionError):
        return

    _, form = parse_pointer_file(data, SHOWN)

    if check_value(POINTERS_SCHEMA, document):
        assert form
    if not form:
        assert check_value(POINTERS_SCHEMA, document) == []


def test_keys_that_are_not_ours_are_kept_in_their_place() -> None:
    data = (CASES / "good__further_top_level_keys" / "pointers.json").read_bytes()

    parsed, _ = parse_pointer_file(data, SHOWN)

    assert list(parsed.document) == list(json.loads(data))


def test_a_pointer_that_was_found_invalid_is_not_in_force() -> None:
    case = CASES / "good__found_invalid_is_not_verified_as_active"

    parsed, _ = parse_pointer_file(read_case(case), SHOWN)

    assert parsed.active("run_registry") is None
    pointer = parsed.get("run_registry")
    assert pointer is not None
    assert pointer.ref is not None


@pytest.mark.parametrize("code", ["POINTER_DUPLICATE", "POINTER_SHA_FORM", "POINTER_RUN_ID_FORM", "POINTER_PATH"])
def test_nothing_is_read_through_a_broken_entry(code: str) -> None:
    for case in CASES.glob(f"{code}__*"):
        parsed, _ = parse_pointer_file(read_case(case), SHOWN)

        assert parsed.active("run_registry") is None


def test_a_file_beyond_any_honest_size_is_refused_unread() -> None:
    padded = (CASES / "good__full_stack" / "pointers.json").read_bytes() + b" " * (4 * 1024 * 1024)

    parsed, (told,) = parse_pointer_file(padded, SHOWN)

    assert (told.code, parsed.pointers) == ("POINTER_SHAPE", ())


def test_more_pointers_than_any_table_has_are_one_finding() -> None:
    document = {"pointer_contract_version": "0.1", "pointers": [{}] * 1001}

    _, told = parse_pointer_file(json.dumps(document).encode(), SHOWN)

    assert [f.location for f in told] == ["/pointers"]


def test_the_moment_of_activation_may_be_now() -> None:
    parsed, _ = parse_pointer_file(read_case(CASES / "good__full_stack"), SHOWN)

    assert check(parsed, datetime(2026, 3, 1, 10, 0, 0, tzinfo=UTC)) == ()


def test_a_mixed_set_names_both_runs_and_the_command() -> None:
    parsed, _ = parse_pointer_file(read_case(CASES / "POINTER_INPUTS_MIXED__rebuilt_alone"), SHOWN)

    (told,) = check(parsed, now())

    assert told.expected == "2026-03-02__100000__run_registry_build"
    assert told.got == "2026-03-01__100000__run_registry_build"
    assert "build run_registry" in told.hint


def test_only_runs_under_a_configured_root_are_verified() -> None:
    asked: list[str] = []
    parsed, _ = parse_pointer_file(read_case(CASES / "POINTER_RUN_ROOT__not_configured"), SHOWN)

    check_pointers(
        parsed,
        governed=Governed(Path("/nowhere"), Config(pointers=SHOWN)),
        specs=SPECS,
        verdict_of=lambda ref: asked.append(ref.run_id),
        inputs_of=inputs_of,
        now=now(),
        marked_bad={},
    )

    assert asked == []


def test_a_pointer_that_was_only_moved_in_memory_is_checked_by_its_order() -> None:
    parsed, _ = parse_pointer_file(read_case(CASES / "POINTER_ASOF__future"), SHOWN)
    moved = PointerFile({"pointer_contract_version": "0.1", "pointers": []}, parsed.pointers, None)

    assert [f.location for f in check(moved, now())] == ["/pointers/0/active_asof_utc"]
