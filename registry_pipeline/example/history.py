"""The commits of the example repository: thirty over 120 days, on one branch."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Final

from registry_pipeline.example import documents, entries
from registry_pipeline.example.adapter_runs import RIG_OPERATIONS_PATH, RIG_SINCE_DAYS, rig_operations, rig_scripts
from registry_pipeline.example.entries import entry_files
from registry_pipeline.example.operations import OPERATIONS, OPTIONS
from registry_pipeline.example.role_pack import PACK_PATH, role_pack
from registry_pipeline.example.run_index import run_index_files
from registry_pipeline.example.schedule import HISTORY_DAYS, SEALS_SINCE_DAYS
from registry_pipeline.pipeline.init import (
    COVERAGE_ADDENDUM_PATH,
    OPERATIONS_ADDENDUM_PATH,
    format_coverage_addendum,
    format_operations_addendum,
)
from registry_pipeline.values import field, value_type

_HEAD_HOURS: Final = 30


@value_type
class ExampleCommit:
    """One commit: who, when, why, and the full content of every file that it writes (path to bytes)."""

    author: str
    email: str
    at: datetime
    message: str
    files: Mapping[str, bytes]


@value_type
class _Step:
    """A commit in the making: the options whose operations it adds, the jobs it revises, the documents it writes."""

    author: str
    age: timedelta
    message: str
    adds: str = ""
    revises: tuple[str, ...] = ()
    writes: Mapping[str, str | bytes] = field(default_factory=dict)


def describe_commits(seed: int, end: datetime, planted: bytes) -> tuple[ExampleCommit, ...]:
    """Return the commits, oldest first; `planted` is the document that the last one adds."""
    known: list[str] = []
    revisions: dict[str, int] = {}
    commits = []
    for step in _steps(seed, end, planted):
        texts: dict[str, str | bytes] = dict(step.writes)
        if step.adds:
            known.append(step.adds)
            texts["README.md"] = documents.readme(known)
            texts[documents.CATALOG_PATH] = documents.catalog(o for o in OPERATIONS if o.option in known)
        for operation in OPERATIONS:
            if operation.option == step.adds or operation.operation_id in step.revises:
                revision = revisions[operation.job] = revisions.get(operation.job, 0) + 1
                texts[operation.executable] = documents.job(operation, revision)
        files = {path: text.encode() if isinstance(text, str) else text for path, text in sorted(texts.items())}
        email = f"{step.author.split()[0].lower()}@example.invalid"
        commits.append(ExampleCommit(step.author, email, end - step.age, step.message, files))
    return tuple(commits)


def _steps(seed: int, end: datetime, planted: bytes) -> tuple[_Step, ...]:
    first_day = (end - timedelta(days=HISTORY_DAYS)).date()
    steps = (*_FIRST_MONTH, *_CHANGES, *_ROLES, *_products(end), *_governance(seed, first_day, end, planted))
    return tuple(sorted(steps, key=lambda step: step.age, reverse=True))


def _age(days: int, hours: int = 0) -> timedelta:
    return timedelta(days=days, hours=hours)


_INES: Final = "Ines Marsh"
_TOMAS: Final = "Tomas Weir"
_AGENT: Final = "Bollard Agent"
_FIRST_MONTH: Final = (
    _Step(
        _INES,
        _age(OPTIONS["A"].since_days),
        "Ingest the gauges",
        adds="A",
        writes={
            documents.STATIONS_PATH: documents.STATIONS,
            ".gitignore": documents.FIRST_IGNORES,
        },
    ),
    _Step(
        _INES,
        _age(OPTIONS["B"].since_days),
        "Derive heights from readings",
        adds="B",
        writes={documents.SPIKE_LIMITS_PATH: documents.spike_limits("v1.0", 220)},
    ),
    _Step(
        _TOMAS,
        _age(SEALS_SINCE_DAYS),
        "Say what a run leaves behind",
        writes={documents.ENVELOPE_PATH: documents.envelope_standard()},
    ),
    _Step(
        _TOMAS,
        _age(OPTIONS["QA"].since_days, 7),
        "Check the series every night",
        adds="QA",
        writes={documents.RUNBOOK_PATH: documents.NIGHTLY},
    ),
    _Step(
        _INES,
        _age(OPTIONS["C"].since_days),
        "Forecast the surge",
        adds="C",
        writes={documents.SURGE_LIMITS_PATH: documents.surge_limits("v0.1", 500)},
    ),
    _Step(_INES, _age(RIG_SINCE_DAYS), "Keep the old rig until the forecast is trusted", writes=rig_scripts()),
    _Step(_TOMAS, _age(OPTIONS["D"].since_days, 2), "Publish tables and warnings", adds="D"),
)
_CHANGES: Final = (
    _Step(
        _TOMAS, _age(86), "State the coverage of every operation", writes={documents.MATRIX_PATH: documents.matrix()}
    ),
    _Step(
        _INES,
        _age(78, 5),
        "Expect versions",
        writes={documents.EXPECTED_PATH: documents.expected_versions("0.1", "v0.1")},
    ),
    _Step(_AGENT, _age(70), "Skip readings without a time", revises=("OP-A01", "OP-A06")),
    _Step(
        _INES,
        _age(61, 9),
        "Raise the warning limit",
        revises=("OP-D02",),
        writes={documents.SURGE_LIMITS_PATH: documents.surge_limits("v0.2", 550)},
    ),
    _Step(
        _INES,
        _age(60, 20),
        "Expect threshold pack v0.2",
        writes={documents.EXPECTED_PATH: documents.expected_versions("0.2", "v0.2")},
    ),
    _Step(_AGENT, _age(47), "Fit constants with leap days", revises=("OP-C01", "OP-C02")),
    _Step(
        _TOMAS,
        _age(35, 4),
        "Narrow the spike step",
        revises=("OP-B01",),
        writes={documents.SPIKE_LIMITS_PATH: documents.spike_limits("v1.1", 180)},
    ),
    _Step(_AGENT, _age(21), "Feed: send heights in millimetres", revises=("OP-D03",)),
)
_ROLES: Final = tuple(
    _Step(author, _age(days, 3), message, writes={PACK_PATH: role_pack(step)})
    for step, (author, days, message) in enumerate(
        (
            (_INES, 92, "Declare the roles of the studio"),
            (_INES, 75, "Roles: more hands, and what the chart designer hands over"),
            (_AGENT, 52, "Roles: sound and design; contracts that say how sure they are"),
            (_TOMAS, 30, "Roles: publication and quality; the tape operator retires"),
            (_INES, 8, "Roles: preservation; models are no longer made by hand"),
        ),
        start=1,
    )
)


def _products(end: datetime) -> tuple[_Step, ...]:
    applied = (None, None, end - _age(45, 3), end - _age(16, 1))  # the first two are older than the ledger

    def ledger(message: str, age: timedelta, migrations: int) -> _Step:
        document = entries.applied_migrations(applied[:migrations])
        return _Step(_TOMAS, age, message, writes={entries.LEDGER_PATH: document})

    def index(message: str, age: timedelta, days: int) -> _Step:
        return _Step(_AGENT, age, message, writes={entries.INDEX_PATH: entries.fingerprint_index(days, end - age)})

    def validation(message: str, age: timedelta, number: int) -> _Step:
        return _Step(_AGENT, age, message, writes=entries.derived_validation(number, end - age))

    return (
        ledger("Keep a ledger of migrations", _age(100, 3), 2),
        index("Index the fingerprints of the tides", _age(64), 6),
        ledger("Migrate: residuals beside the tide", _age(45, 2), 3),
        validation("Validate the derived series", _age(40), 1),
        validation("Validate the derived series again", _age(18, 1), 2),
        ledger("Migrate: heights are whole millimetres", _age(16), 4),
    )


def _governance(seed: int, first_day: date, end: datetime, planted: bytes) -> tuple[_Step, ...]:
    layer: dict[str, str | bytes] = {
        OPERATIONS_ADDENDUM_PATH: format_operations_addendum(),
        COVERAGE_ADDENDUM_PATH: format_coverage_addendum(),
        RIG_OPERATIONS_PATH: rig_operations(),
        ".gitignore": documents.gitignore(),
        ".gitattributes": documents.gitattributes(),
        "registry-pipeline.toml": documents.toml(first_day, seed),
    }
    layer |= run_index_files(end, end - _age(12, 6))
    awaited = {documents.EXPECTED_PATH: documents.expected_versions("0.3", "v0.3")}
    return (
        _Step(_TOMAS, _age(12, 6), "Put the registries under governance", writes=layer),
        _Step(_AGENT, _age(9, 2), "Register modules, routes, abilities and hooks", writes=entry_files()),
        _Step(_INES, _age(5), "Expect threshold pack v0.3, which is to come", writes=awaited),
        _Step(
            _TOMAS,
            _age(0, _HEAD_HOURS),
            "List the evidence that is known to be broken",
            writes={documents.PLANTED_PATH: planted, **run_index_files(end, end - _age(0, _HEAD_HOURS))},
        ),
    )
