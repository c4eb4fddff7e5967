"""Sources of the captured registries that the known repository lacks (it has packs and expected versions)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from registry_pipeline.example.sources import read_commit_files
from registry_pipeline_tests.role_packs import PACK, SMALL

LEDGER = "schema/applied_migrations.json"
INDEX = "reports/path1/trajectory_families/v0.1/fingerprints/index.csv"
DERIVED = "artifacts/derived_validation"
PACKS = "configs/threshold_packs"
RUN_INDEX = "60-REGISTRY/data/run-index.jsonl"
OVERRIDES = "60-REGISTRY/data/overrides-log.jsonl"
RUN_LOGS = "docs/runlogs"

_RUN: dict[str, str | list[str]] = {
    "record_type": "RUN",
    "run_id": "RUN-20260105-0900-AAAA",
    "created_utc": "2026-01-05T09:00Z",
    "created_by": "human",
    "machine_id": "C1",
    "artist_id": "ART-heron",
    "genre_id": "GEN-ambient",
    "scripture_packet_id": "SCR-20260105-0830-AAAA",
    "work_id": "WORK-20260105-0930-AAAA",
    "version_ids": ["VER-20260105-0940-AAAA"],
    "qa_gate2": "PASS",
    "uniqueness_hook": "PASS",
    "run_log_filepath_abs": "/srv/runlogs/RUN-20260105-0900-AAAA.md",
}
_SECOND_VERSION: dict[str, str | list[str]] = {
    "last_updated_utc": "2026-01-06T10:00:00Z",
    "version_ids": ["VER-20260105-0940-AAAA", "VER-20260106-0950-AAAA"],
}
_ALLOWED: dict[str, str | list[str]] = {
    "run_id": "RUN-20260107-0900-BBBB",
    "created_utc": "2026-01-07T09:00Z",
    "uniqueness_hook": "FAIL",
}
_OVERRIDE = {
    "record_type": "OVERRIDE",
    "override_id": "OVR-20260107-0855-BBBB",
    "created_utc": "2026-01-07T08:55Z",
    "approved_by": "Ines Marsh",
    "override_type": "HOOK_REUSE",
    "artist_id": "ART-heron",
    "genre_id": "GEN-ambient",
    "run_id": "RUN-20260107-0900-BBBB",
    "policy_failed": "hook used within thirty days",
    "why_allowed": "asked for by the listeners",
    "hook_family_id": "HKF-tide-turns",
}
_RUN_LOG = "---\nrun_id: RUN-20260105-0900-AAAA\n" + "".join(
    f"{name}: {held if isinstance(held, str) else ', '.join(held)}\n"
    for name, held in (_RUN | _SECOND_VERSION).items()
    if name not in ("record_type", "run_id", "last_updated_utc", "run_log_filepath_abs")
)


def _lines(*records: Mapping[str, object]) -> str:
    return "".join(f"{json.dumps(record)}\n" for record in records)


ENTRIES = read_commit_files("entries")

_FILES = {
    **ENTRIES,
    PACK: SMALL,
    LEDGER: '{"version": "1", "migrations": [{"file": "sql/00_base.sql", "applied_at": null}]}\n',
    INDEX: "fingerprint_id,date,content_hash\nfp_1,2026-02-01,9df9ce81\nfp_2,2026-02-02,\n",
    f"{DERIVED}/LATEST.txt": "one\n",
    f"{DERIVED}/one/derived_validation_report.json": '{"run_id": "one", "status": "PASS"}\n',
    f"{DERIVED}/one/derived_validation_report.md": "# PASS\n",
    RUN_INDEX: _lines(_RUN, _RUN | _SECOND_VERSION, _RUN | _ALLOWED),
    OVERRIDES: _lines(_OVERRIDE),
    f"{RUN_LOGS}/RUN-20260105-0900-AAAA.md": f"{_RUN_LOG}notes: two versions\n---\n\n# Run log\n",
}


def write_captured_sources(root: Path) -> None:
    """Write the sources into a checkout, ignored by git, so that commit and working tree stay as they are."""
    for path, text in _FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    with (root / ".git/info/exclude").open("a", encoding="utf-8") as exclude:
        exclude.writelines(f"/{path}\n" for path in (LEDGER, INDEX, DERIVED, PACK, "60-REGISTRY", RUN_LOGS, *ENTRIES))
