"""Numbers, nesting and patterns that are too large, in any file: a finding or one line, in bounded time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from registry_pipeline.registries.entries.schemas import SCHEMA_FOLDER
from registry_pipeline_tests.captured_sources import DERIVED, INDEX, LEDGER, OVERRIDES, PACKS, RUN_INDEX
from registry_pipeline_tests.cli.conftest import CommandResult, Repository
from registry_pipeline_tests.cli.test_capturing import reseal
from registry_pipeline_tests.role_packs import PACK

pytestmark = pytest.mark.timeout(120)

LATER = "2026-03-02T12:00:00Z"
STAMP = "2026-03-01__120000"
VERSIONS = "docs/governance/EXPECTED_VERSIONS_v0_1.json"
POINTERS = "docs/phase_2_2/ACTIVE_REGISTRY_POINTERS_v0_1.json"
HOOK = ".system/hooks/heights_guard.yaml"
SLOW = "^(([a-z0-9.])+)+$"
VALUES = {
    "an integer of 5000 digits": b"9" * 5000,
    "a number beyond a double": b"1e400",
    "a hundred thousand brackets": b"[" * 100_000 + b"]" * 100_000,
}


def sound(result: CommandResult) -> CommandResult:
    """Assert what holds for every ending: neither a traceback nor an unexpected failure."""
    assert "Traceback" not in result.out + result.err
    assert result.code != 1, result.err
    return result


def insert(path: Path, value: bytes) -> bytes:
    """Return the bytes of a JSON file whose first object has one more member."""
    return path.read_bytes().replace(b"{", b'{"more": ' + value + b", ", 1)


def codes_and_paths(result: CommandResult, verb: str) -> set[tuple[str, str]]:
    """Return the code and path of each finding but those that the repository has anyway."""
    return {(each["code"], each["path"]) for each in sound(result).document(verb)["findings"]}


TOML = {
    "an integer of 5000 digits": ("stale_days = " + "9" * 5000, "has an integer of too many digits"),
    "a hexadecimal integer": ("stale_days = 0x" + "f" * 10_000, "stale_days: Input should be less than or equal to"),
    "more days than 64 bits count": ("stale_days = 99999999999999999999", "stale_days: Input should be less than or"),
    "a float beyond a double": ("stale_days = 1e400", "stale_days: Input should be a valid integer"),
    "a float of many digits": (f"stale_days = {'1' * 100_000}.0", "stale_days: Input should be a valid integer"),
    "the first year": ("history_start = 0001-01-01", "history_start: Input should be greater than or equal to"),
    "the last year": ("history_start = 9999-12-31", "history_start: Input should be less than or equal to"),
    "no day": ("history_start = 2026-13-45", "is not TOML"),
    "nested arrays": (f"run_roots = {'[' * 50_000}{']' * 50_000}", "is nested too deeply"),
    "nested tables": ("roles = " + "{a=" * 5000 + "1" + "}" * 5000, "is nested too deeply"),
    "a key of many parts": (".".join("a" * 20_000) + " = 1", "has more than 1000 dots on line 1"),
    "a table of many parts": ("[" + ".".join("a" * 20_000) + "]", "has more than 1000 dots on line 1"),
    "a long key": ("k" * 100_000 + " = 1", f"unknown key {'k' * 80}…"),
    "many keys": ("\n".join(f"k{n} = 1" for n in range(20_000)), "unknown key k9; and 19990 more"),
    "many wrong values": (f"run_roots = [{'1,' * 50_000}]", "and 49990 more"),
    "a long path": (f'publish_root = "{"a/" * 50_000}b"', "publish_root: Value error, must have at most 4096 char"),
    "a large file": ("#" * (256 << 10), "is larger than 256 KiB"),
    "an overlap of roots": (
        'run_roots = [".codex/RUNS", "a/b/c", "a"]',
        "the run root 'a/b/c' is inside 'a'",
    ),
}


@pytest.mark.parametrize(("text", "message"), TOML.values(), ids=TOML)
def test_a_toml_with_an_extreme_value_is_one_line_and_exit_2(built: Repository, text: str, message: str) -> None:
    (built.root / "registry-pipeline.toml").write_text(text + "\n")

    result = sound(built("status"))

    assert (result.code, result.err.count("\n")) == (2, 1)
    assert message in result.err
    assert len(result.err) < 2000


def test_thousands_of_run_roots_are_read_in_bounded_time(built: Repository) -> None:
    roots = ", ".join(f'"r{number}"' for number in range(5000))
    (built.root / "registry-pipeline.toml").write_text(f'run_roots = [".codex/RUNS", {roots}]\n')

    assert sound(built("status")).code == 0


SOURCES = {
    LEDGER: "CAPTURE_MALFORMED",
    VERSIONS: "CAPTURE_MALFORMED",
    f"{PACKS}/c3_regime_trend_v1.json": "CAPTURE_MALFORMED",
    f"{DERIVED}/one/derived_validation_report.json": "CAPTURE_MALFORMED",
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize(("path", "code"), SOURCES.items(), ids=SOURCES)
def test_an_extreme_value_in_a_captured_document_is_a_finding(
    built: Repository, path: str, code: str, value: bytes
) -> None:
    (built.root / path).write_bytes(insert(built.root / path, value))

    assert (code, path) in codes_and_paths(built("build", "--json", now=LATER), "build")


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_an_extreme_value_in_a_role_pack_is_a_violation(built: Repository, value: bytes) -> None:
    (built.root / PACK).write_bytes(insert(built.root / PACK, value))

    result = sound(built("roles", "check", "--json"))

    assert result.code == 3
    assert {"RR018", "RR029"} & {each["code"] for each in result.document("roles-check")["findings"]}
    assert {code for code, _ in codes_and_paths(built("build", "role_registry", "--json", now=LATER), "build")} & {
        "RR018",
        "CAPTURE_MALFORMED",
    }


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize(("noun", "path"), [("run-index", RUN_INDEX), ("overrides", OVERRIDES)])
def test_an_extreme_value_in_a_log_is_a_finding_of_its_line(
    built: Repository, noun: str, path: str, value: bytes
) -> None:
    (built.root / path).write_bytes(insert(built.root / path, value))

    result = sound(built(noun, "check", "--json"))
    listed = sound(built(noun, "list", "--json"))

    assert result.code == 3
    assert "line 1" in {each["location"] for each in result.document(f"{noun}-check")["findings"]}
    assert listed.code in (0, 3)


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_an_extreme_value_in_the_pointer_file_refuses_every_move(built: Repository, value: bytes) -> None:
    built.pointers.write_bytes(insert(built.pointers, value))

    status, build = sound(built("status", "--json")), sound(built("build", "--json", now=LATER))

    assert (status.code, build.code) == (3, 3)
    assert ("POINTER_SHAPE", POINTERS) in codes_and_paths(status, "status")


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize("name", ["POINTER_ACTIVATION_v0_1.json", "POINTERS_AFTER.json"])
def test_an_extreme_value_in_an_activation_record_breaks_the_chain(built: Repository, name: str, value: bytes) -> None:
    folder = built.runs / f"{STAMP}__pointer_activation__02"
    reseal(folder, **{name: insert(folder / name, value)})

    result = sound(built("verify", "--chain", "--pointers", "--json"))

    assert result.code == 3
    assert any(code.startswith("CHAIN_") for code, _ in codes_and_paths(result, "verify"))
    assert sound(built("status")).code == 3


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_an_extreme_value_in_a_run_json_is_a_finding_and_the_run_stays_listed(built: Repository, value: bytes) -> None:
    folder = built.runs / "2026-02-03__030000__op-b02"
    reseal(folder, **{"run.json": insert(folder / "run.json", value)})

    result = sound(built("verify", folder.name, "--json"))

    codes = {each["code"] for each in result.document("verify")["results"][0]["findings"]}
    assert (result.code, bool(codes & {"RUN_JSON_INVALID", "RUN_JSON_NON_FINITE"})) == (3, True)
    build = sound(built("build", "run_registry", "--json", now=LATER))
    assert ("RUN_RESEALED", f".codex/RUNS/{folder.name}") in codes_and_paths(build, "build")
    assert folder.name in sound(built("runs", "--limit", "0", "--json", now=LATER)).out


def test_a_run_id_with_a_number_of_thousands_of_digits_is_a_finding(built: Repository) -> None:
    folder = built.runs / f"{STAMP}__drift_signals_build"
    envelope = json.loads((folder / "run.json").read_bytes())
    envelope["run_id"] += "__" + "1" * 5000
    reseal(folder, **{"run.json": json.dumps(envelope, indent=2).encode()})

    result = sound(built("verify", folder.name, "--json"))

    findings = result.document("verify")["results"][0]["findings"]
    assert (result.code, ("ENVELOPE_INVALID", "/run_id") in {(f["code"], f["location"]) for f in findings}) == (3, True)


@pytest.mark.parametrize("value", [b"1e400", b"Infinity", b"NaN"])
def test_a_sealed_artifact_with_a_number_outside_json_can_be_compared_and_not_queried(
    built: Repository, value: bytes
) -> None:
    drift, runs = (f"{STAMP}__{name}_build" for name in ("drift_signals", "run_registry"))
    for name, artifact in ((drift, "DRIFT_SIGNALS_v0_1.json"), (runs, "RUN_REGISTRY_v0_1.jsonl")):
        reseal(built.runs / name, **{artifact: insert(built.runs / name / artifact, value)})

    for old, new in (
        ("2026-01-15__101010__drift_signals_build", drift),
        ("2026-01-14__101010__run_registry_build", runs),
    ):
        sound(built("diff", old, new, "--json"))
    listed = sound(built("runs", "--json"))

    assert listed.code == 3
    assert value not in listed.out.encode()


ENTRIES = {
    "a hexadecimal integer": "0x" + "f" * 10_000,
    "an octal integer": "0o" + "7" * 10_000,
    "an integer of 5000 digits": "9" * 5000,
    "a number beyond a double": "1e400",
    "a hundred nested lists": "[" * 100 + "]" * 100,
}


@pytest.mark.parametrize("value", ENTRIES.values(), ids=ENTRIES)
def test_an_extreme_value_in_an_entry_is_a_finding_at_its_line(built: Repository, value: str) -> None:
    path = built.root / HOOK
    path.write_text(path.read_text() + f"x-more: {value}\n")
    line = path.read_text().count("\n")

    result = sound(built("entries", "check", "--json"))

    (found,) = [each for each in result.document("entries-check")["findings"] if each["path"] == HOOK]
    assert (result.code, found["code"], found["location"].partition(":")[0]) == (3, "EN001", str(line))
    assert sound(built("build", "--json", now=LATER)).code in (0, 3)


@pytest.mark.parametrize("value", ENTRIES.values(), ids=ENTRIES)
def test_an_entry_with_an_extreme_value_is_not_added(built: Repository, value: str) -> None:
    before = built.files()

    result = sound(built("entries", "add", "--type", "hook", "--entry-json", f'{{"id": "a", "x-more": {value}}}'))

    assert result.code == 5
    assert built.files() == before


UNUSABLE = {
    "a repetition beyond all machines": "a{1,99999999999}",
    "repetitions of repetitions": "(a{1000}){1000}",
    "no pattern": "(",
}


@pytest.mark.parametrize("pattern", UNUSABLE.values(), ids=UNUSABLE)
def test_a_pattern_that_cannot_be_used_is_a_finding_of_its_schema(built: Repository, pattern: str) -> None:
    own = built.root / SCHEMA_FOLDER / "hook.schema.yaml"
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text(json.dumps({"properties": {"id": {"pattern": pattern}}}))
    _capture_with(built, {"properties": {"version": {"pattern": pattern}}})

    assert ("EN003", f"{SCHEMA_FOLDER}/hook.schema.yaml") in codes_and_paths(
        built("entries", "check", "--json"), "entries-check"
    )
    assert ("CAPTURE_SCHEMA_UNUSABLE", "own.json") in codes_and_paths(_build(built), "build")


def test_a_schema_with_too_many_levels_is_a_finding(built: Repository) -> None:
    text = '{"properties": {"a": ' * 300 + "true" + "}}" * 300
    _capture_with(built, json.loads(text))

    assert ("CAPTURE_SCHEMA_UNUSABLE", "own.json") in codes_and_paths(_build(built), "build")


@pytest.mark.parametrize("pattern", [SLOW, r"^(a*)*b\1$"], ids=["nested repetitions", "a back reference"])
def test_a_pattern_that_backtracks_without_end_is_a_finding(built: Repository, pattern: str) -> None:
    _capture_with(built, {"properties": {"version": {"pattern": pattern}}})
    _change_versions(built, version="a" * 60 + "!")

    assert ("CAPTURE_MALFORMED", VERSIONS) in codes_and_paths(_build(built), "build")


def test_a_pattern_that_backtracks_without_end_in_a_schema_of_entries_is_a_finding(built: Repository) -> None:
    own = built.root / SCHEMA_FOLDER / "hook.schema.yaml"
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text(json.dumps({"properties": {"x-more": {"pattern": SLOW}}}))
    path = built.root / HOOK
    path.write_text(path.read_text() + f"x-more: {'a' * 60}!\n")

    assert ("EN001", HOOK) in codes_and_paths(built("entries", "check", "--json"), "entries-check")


def test_a_number_that_cannot_be_compared_with_its_schema_is_a_finding(built: Repository) -> None:
    _capture_with(built, {"properties": {"more": {"multipleOf": 7}}})
    _change_versions(built, more=10**400)

    assert ("CAPTURE_MALFORMED", VERSIONS) in codes_and_paths(_build(built), "build")


def _build(repository: Repository) -> CommandResult:
    return repository("build", "expected_versions", "--only", "--json", now=LATER)


def _capture_with(repository: Repository, schema: Any) -> None:
    """Let a schema of the repository check its expected versions."""
    toml = repository.root / "registry-pipeline.toml"
    toml.write_text(toml.read_text() + '\n[captured.expected_versions]\nschema = "own.json"\n')
    (repository.root / "own.json").write_text(json.dumps(schema))


def _change_versions(repository: Repository, **changes: Any) -> None:
    path = repository.root / VERSIONS
    path.write_text(json.dumps(json.loads(path.read_bytes()) | changes))


def test_a_table_of_very_many_columns_is_checked_in_bounded_time(built: Repository) -> None:
    names = ",".join(f"c{number}" for number in range(200_000))
    (built.root / INDEX).write_text(f"{names},c0\n")

    assert ("CAPTURE_MALFORMED", INDEX) in codes_and_paths(
        built("build", "fingerprint_index", "--only", "--json"), "build"
    )


def test_a_long_ledger_that_lost_an_entry_is_compared_in_bounded_time(built: Repository) -> None:
    names = [f"{number:06}.sql" for number in range(60_000)]
    ledger = built.root / LEDGER
    ledger.write_text(json.dumps(names))
    assert sound(built("build", "migration_ledger", now=LATER)).code == 0
    assert built.active("migration_ledger").startswith("2026-03-02")
    ledger.write_text(json.dumps(names[1:]))

    result = built("build", "migration_ledger", "--json", now="2026-03-03T12:00:00Z")

    findings = sound(result).document("build")["findings"]
    assert ["'000000.sql'" in each["message"] for each in findings if each["code"] == "CAPTURE_ENTRY_REMOVED"] == [True]


@pytest.mark.parametrize("jobs", ["0", "1025", "9" * 30])
def test_a_huge_number_of_processes_is_a_usage_error(built: Repository, jobs: str) -> None:
    assert sound(built("verify", "--all", "--jobs", jobs)).code == 2
