"""`entries` and `registry_add_entry` on the command line: output, exit codes, and the files on the disk."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from registry_pipeline.cli.main import add_entry
from registry_pipeline.yaml.compose import parse_yaml_values
from registry_pipeline_tests.cli.conftest import CommandResult, Repository, environment
from registry_pipeline_tests.command_line import run_command, run_process
from registry_pipeline_tests.entries.harbour import HARBOUR, LEDGER, MATURITY
from registry_pipeline_tests.entries.harbour import ROUTE as NIGHT_ROUTE
from registry_pipeline_tests.entries.small import INSTANCES, TYPES

GAUGE = '{"id": "gauge", "description": "Reads one gauge."}'
ROUTE = (
    '{"scope": "a", "topic": "b", "description": "x", "module_id": "heron", "routes": '
    '[{"when_to_use": "now", "related_docs": [{"path": "README.md", "stage": ["plan"]}]}]}'
)
HERON = '{"module_id": "heron", "description": "A gauge.", "module_type": "gauge", "status": "active"}'


@pytest.fixture
def empty(tmp_path: Path, home: Path) -> Repository:
    """A plain folder with a toml and has no entry yet."""
    root = tmp_path / "repository"
    (root / ".codex/RUNS").mkdir(parents=True)
    return Repository(root, home)


@pytest.fixture
def two(empty: Repository) -> Repository:
    """A repository with one module type and one module of it."""
    assert empty("entries", "add", "--type", "module_type", "--entry-json", GAUGE).code == 0
    assert empty("entries", "add", "--type", "module_instance", "--entry-json", HERON).code == 0
    return empty


@pytest.fixture
def harbour(tmp_path: Path, home: Path) -> Repository:
    """A repository whose entries have the shapes that architecture documents print."""
    root = tmp_path / "harbour"
    shutil.copytree(HARBOUR, root)
    (root / ".codex/RUNS").mkdir(parents=True)
    return Repository(root, home)


def add(repository: Repository, *words: str) -> CommandResult:
    return repository("entries", "add", "--json", *words)


def test_an_entry_is_written_and_reported(empty: Repository) -> None:
    document = add(empty, "--type", "module_type", "--entry-json", GAUGE).document("entries-add")

    assert document["verdict"] == "pass"
    assert document["changed_files"] == [TYPES]
    assert parse_yaml_values((empty.root / TYPES).read_bytes()) == [{"types": [json.loads(GAUGE)]}]


def test_the_second_time_nothing_changes(two: Repository) -> None:
    before = two.files()

    document = add(two, "--type", "module_type", "--entry-json", GAUGE).document("entries-add")

    assert document["changed_files"] == []
    assert two.files() == before


def test_an_invalid_entry_is_refused_with_location_and_suggestion_and_nothing_changes(two: Repository) -> None:
    before = two.files()

    result = add(
        two, "--type", "module_instance", "--entry-json", HERON.replace("gauge", "guage").replace("heron", "h")
    )

    document = result.document("entries-add")
    (found,) = document["findings"]
    assert (result.code, document["verdict"], document["changed_files"]) == (5, "fail", [])
    assert (found["code"], found["path"], found["location"]) == ("EN010", INSTANCES, "4:18")
    assert "did you mean gauge?" in found["message"]
    assert (found["expected"], found["got"]) == ("one of gauge", "guage")
    assert two.files() == before


def test_no_check_is_recorded_and_listed_until_the_entry_is_written_again(two: Repository) -> None:
    bad = HERON.replace("gauge", "guage").replace("heron", "h")

    result = two("entries", "add", "--type", "module_instance", "--entry-json", bad, "--no-check")
    checked = two("entries", "check", "--json")
    fussy = two("entries", "check", "--fail-on", "warning")
    corrected = bad.replace("guage", "gauge")
    again = two("entries", "add", "--type", "module_instance", "--entry-json", corrected, "--update")
    clean = two("entries", "check", "--json")

    assert result.code == 0
    document = checked.document("entries-check")
    assert (checked.code, document["verdict"]) == (0, "warn")
    assert [each["code"] for each in document["findings"]] == ["EN010", "EN090"]
    assert "h: EN010, by Ada" in document["findings"][1]["message"]
    assert fussy.code == 4
    assert again.code == 0
    assert clean.document("entries-check")["findings"] == []


def test_invalid_content_exits_3_and_a_file_that_is_no_yaml_does_not_stop_the_rest(two: Repository) -> None:
    (two.root / INSTANCES).write_bytes((two.root / INSTANCES).read_bytes().replace(b"gauge", b"guage"))
    (two.root / ".system/hooks").mkdir(parents=True)
    (two.root / ".system/hooks/torn.yaml").write_text("id: [\n")

    result = two("entries", "check", "--json")

    assert result.code == 3
    codes = {(each["code"], each["path"]) for each in result.document("entries-check")["findings"]}
    assert codes == {("EN001", ".system/hooks/torn.yaml"), ("EN010", INSTANCES)}


def test_a_dry_run_shows_the_diff_and_changes_nothing(two: Repository) -> None:
    before = two.files()
    entry = '{"id": "service", "description": "Serves."}'

    result = two("entries", "add", "--type", "module_type", "--entry-json", entry, "--dry-run", "--diff")

    assert result.code == 0
    assert "+  - id: service\n+    description: Serves.\n" in result.out
    assert f"would change: {TYPES}" in result.out
    assert "\n-" not in result.out.replace(f"--- a/{TYPES}", "")
    assert two.files() == before


def test_several_entries_of_several_types_are_one_change(empty: Repository) -> None:
    (empty.root / "entries.yaml").write_text(f"module_instance: [{HERON}]\nmodule_type: [{GAUGE}]\n")

    both = add(empty, "--entry-file", "entries.yaml").document("entries-add")

    assert both["changed_files"] == [INSTANCES, TYPES]
    assert both["counts"]["entries"] == 2


def test_if_one_of_several_fails_none_is_written(empty: Repository) -> None:
    bad = HERON.replace("gauge", "guage")
    (empty.root / "entries.yaml").write_text(f"module_instance: [{bad}]\nmodule_type: [{GAUGE}]\n")

    result = empty("entries", "add", "--entry-file", "entries.yaml")

    assert result.code == 5
    assert not (empty.root / "modules").exists()


@pytest.mark.parametrize("source", [("-",), ("--entry-file", "-"), ("--entry-json", "-")])
def test_an_entry_comes_from_standard_input(empty: Repository, source: tuple[str, ...]) -> None:
    words = ("entries", "add", "--type", "module_type", *source)
    text = "id: gauge\ndescription: Reads one gauge.\n---\nid: service\ndescription: Serves.\n"

    result = run_command(*words, cwd=empty.root, env=environment(empty.home), stdin=text.encode())

    assert result.code == 0
    assert len(parse_yaml_values((empty.root / TYPES).read_bytes())[0]["types"]) == 2


def test_json_with_its_own_escapes_is_read_as_json(empty: Repository) -> None:
    description = "\U0001f600 and \\ud83d\\ude00"  # the second is what it says

    assert (
        add(empty, "--type", "module_type", "--entry-json", json.dumps({"id": "a", "description": description})).code
        == 0
    )

    assert parse_yaml_values((empty.root / TYPES).read_bytes())[0]["types"][0]["description"] == description


def test_a_family_name_selects_the_exact_type(empty: Repository) -> None:
    entries = {
        "modules": [
            GAUGE,
            HERON,
            '{"module_id": "heron", "description": "x", "module_type": "gauge", "maturity": "SCAFFOLDED"}',
            '{"id": "api", "description": "x", "module_id": "heron", "lifecycle": "DESIGNED"}',
        ],
        "abilities": [
            '{"ability_id": "tides.read", "description": "x", "kind": "api"}',
            '{"ability_id": "tides.day", "description": "x", "type": "agent", "ability_ids": ["tides.read"]}',
        ],
        "hooks": ['{"id": "tidy", "description": "x", "event_type": "SessionStop"}'],
        "routes": [
            ROUTE,
        ],
    }
    (empty.root / "README.md").write_text("# Read me\n")

    for family, texts in entries.items():
        for text in texts:
            assert script(empty, "--type", family, "--entry-json", text).code == 0, text

    listed = empty("entries", "list", "--json").document("entries-list")
    assert [each["type"] for each in listed["records"]] == [
        "module_type",
        "module_instance",
        "module_maturity",
        "module_interface",
        "route",
        "ability_low",
        "ability_high",
        "hook",
    ]
    assert empty("entries", "check").code == 0


def script(repository: Repository, *words: str) -> CommandResult:
    """Run what the entry point of `registry_add_entry` runs."""
    return run_command(*words, cwd=repository.root, env=environment(repository.home), main=add_entry)


def test_the_script_reads_the_arguments_of_its_process(empty: Repository) -> None:
    program = (
        sys.executable,
        "-c",
        "import sys; from registry_pipeline.cli.main import add_entry; sys.exit(add_entry())",
    )
    words = ("--type", "module_type", "--entry-json", GAUGE)

    result = run_process(*words, cwd=empty.root, env=environment(empty.home), program=program)

    assert (result.code, result.err) == (0, "")
    assert (empty.root / TYPES).is_file()


def test_the_second_script_is_installed_by_its_name() -> None:
    place = Path(__file__).parents[2] / "pyproject.toml"

    assert 'registry_add_entry = "registry_pipeline.cli.main:add_entry"' in place.read_text()


def test_a_referenced_entry_is_removed_only_with_its_referrer(two: Repository) -> None:
    refused = two("entries", "remove", "module_type", "gauge", "--json")
    both = two("entries", "remove", "module_type", "gauge", "module_instance", "heron", "--json")

    document = refused.document("entries-remove")
    assert (refused.code, [each["code"] for each in document["findings"]]) == (5, ["EN060"])
    assert "module_instance heron" in document["findings"][0]["message"]
    assert both.document("entries-remove")["changed_files"] == [INSTANCES, TYPES]
    assert two("entries", "list", "--json").document("entries-list")["count"] == 0


def test_init_writes_schemas_and_documents_once_and_check_reports_their_drift(two: Repository) -> None:
    first = two("init", "--entries", "--json").document("init")
    second = two("init", "--entries", "--json").document("init")
    agents = two.root / ".system/registry/AGENTS.md"
    whole = agents.read_text()
    agents.write_text(whole.replace("never in an editor", "as you like"))
    drifted = two("entries", "check", "--json").document("entries-check")
    two("init", "--entries")

    created = [path for path in first["created"] if path.startswith(".system/")]
    assert len([path for path in created if path.endswith(".schema.yaml")]) == 8
    assert created[:2] == [".system/registry/AGENTS.md", ".system/registry/registry_coordination.md"]
    assert second["created"] == []
    assert [(each["code"], each["path"]) for each in drifted["findings"]] == [("EN070", ".system/registry/AGENTS.md")]
    assert agents.read_text() == whole


def test_a_document_of_the_user_is_never_overwritten(two: Repository) -> None:
    agents = two.root / ".system/registry/AGENTS.md"
    agents.parent.mkdir(parents=True)
    agents.write_text("# Ours\n")

    two("init", "--entries")

    assert agents.read_text() == "# Ours\n"


def test_the_rules_are_the_table_of_the_document(two: Repository) -> None:
    two("init", "--entries")
    text = (two.root / ".system/registry/registry_coordination.md").read_text()

    rules = two("entries", "rules", "--json").document("entries-rules")["rules"]

    assert [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| EN")] == [
        each["code"] for each in rules
    ]
    assert two("entries", "rules").out.count("\n") == len(rules) + 1


def test_an_approval_is_kept_with_the_entry(two: Repository) -> None:
    entry = '{"id": "api", "description": "x", "module_id": "heron", "lifecycle": "RELEASED"}'
    words = ("--type", "module_interface", "--entry-json", entry)

    refused = add(two, *words)
    approved = add(two, *words, "--approved-by", "Ines Marsh")
    same = add(two, *words)
    sunset = add(two, "--update", "--type", "module_interface", "--entry-json", entry.replace("RELEASED", "SUNSET"))

    assert [refused.code, approved.code, same.code, sunset.code] == [5, 0, 0, 5]
    (kept,) = two("entries", "list", "--type", "module_interface", "--json").document("entries-list")["records"]
    assert kept["value"]["x-approval"] == {"lifecycle": "RELEASED", "by": "Ines Marsh", "utc": "2026-03-01T12:00:00Z"}
    assert two("entries", "check").code == 0


def test_findings_are_annotations_for_a_workflow(two: Repository) -> None:
    (two.root / INSTANCES).write_bytes((two.root / INSTANCES).read_bytes().replace(b"gauge", b"guage"))

    out = two("entries", "check", "--format", "github").out

    assert out.startswith(f"::error file={INSTANCES},line=4,col=18,title=EN010::")


def test_a_copy_of_a_repository_has_the_same_findings(two: Repository, tmp_path: Path) -> None:
    shutil.copytree(two.root, tmp_path / "copy")

    first, second = (
        two("entries", "check", "--json"),
        Repository(tmp_path / "copy", two.home)("entries", "check", "--json"),
    )

    assert first.out == second.out


def test_entries_in_the_words_of_the_architecture_pass_and_say_what_was_not_checked(harbour: Repository) -> None:
    result = harbour("entries", "check", "--all", "--fail-on", "warning")

    assert result.code == 0
    assert "pass: 13 entries in 9 files; 0 failures, 0 warnings, 2 recorded only" in result.out
    assert result.out.count("EN080") == 2
    assert "storm_drill names no module, so the rules about its modules had nothing to check" in result.out


def test_the_list_shows_a_summary_or_the_first_situation_where_there_is_no_description(harbour: Repository) -> None:
    result = harbour("entries", "list", COLUMNS="240")

    assert "Count each call. Calls that take long also go to a log of their own." in result.out
    assert "A ship has to leave its berth at night, and nobody of the day shift can be asked." in result.out
    assert "The board at the pier." in result.out


TALLY = '{"id": "tally", "event_type": "PostAbilityCall", "summary": "Counts.", %s}'
PILOTS = (
    '{"scope": "traffic.night_watch", "topic": "pilots", "routes": '
    '[{"when_to_use": "A pilot is late", "related_docs": [{"path": "/docs/storm.md"}]}]}'
)
REAL = {
    "a hook for every ability": ("hook", TALLY % '"match": {"ability_scope": "*"}', ".system/hooks/tally.yaml"),
    "a hook for a list of globs": (
        "hooks",
        TALLY % '"match": {"ability_scope": ["berth.*", "*"]}',
        ".system/hooks/tally.yaml",
    ),
    "effects with targets": (
        "hooks",
        TALLY % '"effects": [{"append_to": "calls.log"}, "count"]',
        ".system/hooks/tally.yaml",
    ),
    "a route of a scope with dots": ("route", PILOTS, "modules/routes/traffic.night_watch.pilots.yaml"),
    "an ability without kind": (
        "abilities",
        '{"operation_key": "tug.call", "summary": "Calls a tug.", "version": "0.3"}',
        ".system/registry/low-level/tug.call.yaml",
    ),
    "a maturity of the configured list": (
        "module_maturity",
        '{"module_id": "drill/storms", "module_type": "display", "maturity": "IN_PROGRESS"}',
        MATURITY,
    ),
}


@pytest.mark.parametrize(("name", "entry", "path"), REAL.values(), ids=REAL)
def test_an_entry_in_the_words_of_the_architecture_is_added_and_passes(
    harbour: Repository, name: str, entry: str, path: str
) -> None:
    document = add(harbour, "--type", name, "--entry-json", entry).document("entries-add")

    assert document["changed_files"] == [path]
    assert document["counts"]["errors"] == 0
    assert harbour("entries", "check", "--fail-on", "warning").code == 0


BROKEN: dict[str, tuple[str, str, str, str, int]] = {
    "a document that is missing": (
        NIGHT_ROUTE,
        "path: /docs/policy/berths.md",
        "path: /docs/policy/piers.md",
        "EN021",
        3,
    ),
    "a document outside": (NIGHT_ROUTE, "path: /docs/policy/berths.md", "path: /../berths.md", "EN021", 3),
    "a maturity that is not configured": (MATURITY, "FUNCTIONAL", "FUNCTIONNAL", "EN016", 3),
    "an unknown ability": (LEDGER, 'ability_scope: "*"', "ability_scope: storm_dril", "EN041", 3),
    "neither summary nor description": (LEDGER, "summary: >", "x-summary: >", "EN001", 3),
}


@pytest.mark.parametrize(("path", "old", "new", "code", "exit_code"), BROKEN.values(), ids=BROKEN)
def test_the_rules_find_what_is_wrong_in_these_shapes(
    harbour: Repository, path: str, old: str, new: str, code: str, exit_code: int
) -> None:
    text = (harbour.root / path).read_text()
    assert text.count(old) == 1
    (harbour.root / path).write_text(text.replace(old, new))

    result = harbour("entries", "check")

    assert result.code == exit_code
    assert f" {code} {path}:" in result.out


def test_the_copied_schema_decides_how_strict_it_is(harbour: Repository) -> None:
    entry = '{"id": "tally", "event_type": "SessionStop", "summary": "Counts.", "owner": "the watch"}'
    assert harbour("init", "--entries").code == 0
    schema = harbour.root / ".system/registry/schemas/hook.schema.yaml"

    strict = add(harbour, "--type", "hook", "--entry-json", entry)
    schema.write_text(schema.read_text().replace("\nadditionalProperties: false\n$defs", "\n$defs"))
    lenient = add(harbour, "--type", "hook", "--entry-json", entry)
    schema.write_text(schema.read_text().replace("required: [id, event_type]", "required: [id, event_type, handler]"))
    stricter = harbour("entries", "check")

    assert strict.code == 5
    assert "unknown keys: owner" in strict.out
    assert lenient.document("entries-add")["changed_files"] == [".system/hooks/tally.yaml"]
    assert stricter.code == 3
    assert "missing keys: handler" in stricter.out
