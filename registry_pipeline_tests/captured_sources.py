"""Sources for every captured registry, beside those that the known repository has: its packs and expected versions."""

from __future__ import annotations

from pathlib import Path

from registry_pipeline.example.entries import entry_files
from registry_pipeline_tests.role_packs import PACK, SMALL

LEDGER = "schema/applied_migrations.json"
INDEX = "reports/path1/trajectory_families/v0.1/fingerprints/index.csv"
DERIVED = "artifacts/derived_validation"
PACKS = "configs/threshold_packs"

ENTRIES = entry_files()

_FILES = {
    **ENTRIES,
    PACK: SMALL,
    LEDGER: '{"version": "1", "migrations": [{"file": "sql/00_base.sql", "applied_at": null}]}\n',
    INDEX: "fingerprint_id,date,content_hash\nfp_1,2026-02-01,9df9ce81\nfp_2,2026-02-02,\n",
    f"{DERIVED}/LATEST.txt": "one\n",
    f"{DERIVED}/one/derived_validation_report.json": '{"run_id": "one", "status": "PASS"}\n',
    f"{DERIVED}/one/derived_validation_report.md": "# PASS\n",
}


def write_captured_sources(root: Path) -> None:
    """Write the sources into a checkout, ignored by git, so that commit and working tree stay as they are."""
    for path, text in _FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    with (root / ".git/info/exclude").open("a", encoding="utf-8") as exclude:
        exclude.writelines(f"/{path}\n" for path in (LEDGER, INDEX, DERIVED, PACK, *ENTRIES))
