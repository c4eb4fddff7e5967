"""Only registries that a repository has count: sources that never existed, `enabled` and `disabled`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Final

import pytest

from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline_tests.cli.conftest import PlainRepository, Repository
from registry_pipeline_tests.cli.test_six_commands import make_dated
from registry_pipeline_tests.copies import make_removable

LEDGER: Final = "schema/applied_migrations.json"
LATER: Final = "2026-03-02T12:00:00Z"
CORE: Final = {"run_registry", "op_status_table", "drift_signals", "system_health_report"}


@pytest.fixture
def empty(tmp_path: Path, home: Path) -> Repository:
    """A plain folder with run folders and without any source of a captured registry."""
    make_dated(tmp_path)
    repository = PlainRepository(tmp_path, home)
    assert repository("init").code == 0
    return repository


def status(repository: Repository, now: str = LATER) -> dict[str, Any]:
    document: dict[str, Any] = repository("status", "--json", now=now).document("status")
    return document


def in_use(repository: Repository) -> set[str]:
    return {row["registry_id"] for row in status(repository)["registries"] if row["in_use"]}


def configure(repository: Repository, lines: str) -> None:
    path = repository.root / "registry-pipeline.toml"
    path.write_text(f"{lines}\n{path.read_text(encoding='utf-8')}", encoding="utf-8")


def codes(repository: Repository, *words: str) -> dict[str, str]:
    findings = json.loads(repository(*words, "--json", now=LATER).out)["findings"]
    return {f["code"]: f["severity"] for f in findings}


def test_a_registry_without_any_source_does_not_count_and_is_one_line(empty: Repository) -> None:
    build = empty("build")

    assert build.code == 0
    assert [line for line in build.out.splitlines() if "(not built)" in line] == []
    document = status(empty)
    assert document["health_state"] == "HEALTHY", document["health_conditions"]
    lines = [line for line in empty("status", "--all", now=LATER).out.splitlines() if "migration_ledger" in line]
    assert len(lines) == 1
    assert lines[0].startswith("not in use")


def test_a_source_that_appears_counts_at_once_and_stays_counted_when_it_is_gone(empty: Repository) -> None:
    assert empty("build").code == 0
    ledger = empty.root / LEDGER
    ledger.parent.mkdir(exist_ok=True)
    ledger.write_text('{"migrations": ["0001"]}', encoding="utf-8")

    assert "it is not known what is active of migration_ledger" in json.dumps(status(empty)["health_conditions"])
    assert empty("build", now=LATER).code == 0
    assert "migration_ledger" in in_use(empty)
    assert empty("rollback", "--reason", "not yet", now=LATER).code == 0
    ledger.unlink()
    assert "it is not known what is active of migration_ledger" in json.dumps(status(empty)["health_conditions"])


def test_a_pointer_that_once_moved_is_a_trace_although_nothing_else_is_left(empty: Repository) -> None:
    ledger = empty.root / LEDGER
    ledger.parent.mkdir(exist_ok=True)
    ledger.write_text('{"migrations": ["0001"]}', encoding="utf-8")
    assert empty("build").code == 0
    assert empty("rollback", "--reason", "not yet", now=LATER).code == 0
    ledger.unlink()
    (folder,) = empty.runs.glob("*migration_ledger*")
    make_removable(folder)
    shutil.rmtree(folder)

    assert "migration_ledger" in in_use(empty)


def test_a_run_that_was_never_activated_is_a_trace(empty: Repository) -> None:
    ledger = empty.root / LEDGER
    ledger.parent.mkdir(exist_ok=True)
    ledger.write_text('{"migrations": ["0001"]}', encoding="utf-8")
    assert empty("build", "migration_ledger", "--only").code == 0
    ledger.unlink()

    assert "migration_ledger" in in_use(empty)


@pytest.mark.parametrize(
    "lines",
    [
        '[captured.migration_ledger]\nsource = "elsewhere.json"\n',
        'enabled = ["migration_ledger"]\n',
    ],
)
def test_a_registry_that_the_toml_names_counts_without_a_source(empty: Repository, lines: str) -> None:
    path = empty.root / "registry-pipeline.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(f"{text}{lines}" if lines.startswith("[") else f"{lines}{text}", encoding="utf-8")

    assert "migration_ledger" in in_use(empty)


def test_a_path_that_is_not_the_default_counts_without_a_source(empty: Repository) -> None:
    configure(empty, 'expected_versions = "governance/versions.json"')
    assert empty("build").code == 0

    conditions = json.dumps(status(empty)["health_conditions"])

    assert "it is not known what is active of expected_versions" in conditions
    assert "it is not known whether the schema version drifts" in conditions
    assert codes(empty, "status")["CAPTURE_MISSING"] == "warning"


def test_a_disabled_registry_is_not_built_and_does_not_count(known: Repository) -> None:
    assert known("init").code == 0
    configure(known, 'disabled = ["migration_ledger", "registry_delta_log"]')

    built = {row["registry_id"] for row in json.loads(known("build", "--json").out)["built"]}

    assert {"run_registry", "expected_versions"} <= built
    assert not {"migration_ledger", "registry_delta_log"} & built
    assert not {"migration_ledger", "registry_delta_log"} & in_use(known)
    assert "migration_ledger" not in json.dumps(status(known)["health_conditions"])


def test_enabled_names_all_that_is_built_beside_what_the_health_state_needs(known: Repository) -> None:
    assert known("init").code == 0
    configure(known, 'enabled = ["expected_versions"]')

    document = json.loads(known("build", "--json").out)

    names = {row["registry_id"] for row in document["built"]} | set(document["not_built"])
    assert names == {"run_registry", "op_status_table", "drift_signals", "expected_versions"}
    assert in_use(known) == CORE | {"expected_versions"}


def test_a_disabled_registry_that_is_active_is_verified_and_shown_all_the_same(built: Repository) -> None:
    configure(built, 'disabled = ["migration_ledger"]')
    run = built.active("migration_ledger")
    built.tamper(run, "applied_migrations_snapshot.json")

    assert "migration_ledger" in in_use(built)
    assert built("verify", "--active", now=LATER).code == 3
    assert "HASH_MISMATCH" in codes(built, "status")


@pytest.mark.parametrize("words", [("build", "migration_ledger"), ("build", "migration_ledger", "--only")])
def test_a_disabled_registry_that_is_named_is_refused_with_advice(built: Repository, words: tuple[str, ...]) -> None:
    configure(built, 'disabled = ["migration_ledger"]')
    before = built.files()

    refused = built(*words, now=LATER)

    assert refused.code == 5
    assert "remove it from `disabled`" in refused.err
    assert built.files() == before


def test_a_disabled_history_is_refused_as_well(built: Repository) -> None:
    configure(built, 'enabled = ["expected_versions"]')

    refused = built("build", "drift_signals_daily", "--as-of", "2026-02-01", now=LATER)

    assert refused.code == 5
    assert "add it to `enabled`" in refused.err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            'disabled = ["migration_leger"]',
            "`disabled` names 'migration_leger', which is no registry; did you mean",
        ),
        ('enabled = ["zzz"]', "`enabled` names 'zzz', which is no registry"),
        ('disabled = ["run_registry"]', "cannot be disabled, because the health state is made from it"),
    ],
)
def test_a_name_that_cannot_be_used_is_a_finding_and_nothing_is_built(
    built: Repository, line: str, message: str
) -> None:
    configure(built, line)
    before = built.files()

    refused = built("build", now=LATER)

    assert (refused.code, refused.out) == (2, "")
    assert message in refused.err
    assert built.files() == before
    for words in (("status",), ("doctor",), ("verify", "--all")):
        assert built(*words, now=LATER).code == 3
        assert codes(built, *words)["CONFIG_REGISTRY_UNKNOWN"] == "error"


def test_a_name_in_both_lists_is_a_contradiction(built: Repository) -> None:
    configure(built, 'enabled = ["run_index"]\ndisabled = ["run_index"]')

    refused = built("status")

    assert refused.code == 2
    assert "enabled and disabled both name 'run_index'" in refused.err


def test_every_registry_but_the_needed_ones_can_be_disabled(built: Repository) -> None:
    names = sorted(set(SHIPPED.registries) - CORE - {"pointer_activation"})
    configure(built, f"disabled = {json.dumps(names)}")

    assert built("build", now=LATER).code == 0
    assert "CONFIG_REGISTRY_UNKNOWN" not in codes(built, "status")
