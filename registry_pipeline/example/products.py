"""Files that people and jobs of the example team keep beside the evidence: a ledger, an index, reports."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from registry_pipeline.canonical import json_document, sha256_hex, utc_text
from registry_pipeline.example.seeded import draw

LEDGER_PATH: Final = "schema/applied_migrations.json"
INDEX_PATH: Final = "products/fingerprints/index.csv"
VALIDATION_FOLDER: Final = "artifacts/derived_validation"
_MIGRATIONS: Final = (
    ("001_stations.sql", "Stations and their datums."),
    ("002_hourly_heights.sql", "Hourly heights by station."),
    ("003_surge_residuals.sql", "Residuals beside the predicted tide."),
    ("004_heights_in_millimetres.sql", "Heights are whole millimetres."),
)
_INDEX_COLUMNS: Final = (
    "fingerprint_id",
    "date",
    "station",
    "path_length",
    "efficiency",
    "dominant_quadrant",
    "family_id",
    "content_hash",
)
_STATIONS: Final = (("mudbank_quay", "Mudbank Quay"), ("old_lock", "Old Lock"), ("heron_sluice", "Heron Sluice"))


def applied_migrations(moments: Sequence[datetime | None]) -> bytes:
    """Return the ledger with one migration a moment at which it was applied, None where nobody knows."""
    entries = [
        {
            "file": f"schema/migrations/{name}",
            "description": description,
            "applied_at": None if at is None else utc_text(at),
            "applied_by": None if at is None else "Tomas Weir",
            "status": "UNVERIFIED" if at is None else "VERIFIED",
        }
        for (name, description), at in zip(_MIGRATIONS, moments, strict=False)
    ]
    return json_document({"version": f"0.{len(entries)}", "migrations": entries})


def fingerprint_index(days: int, until: datetime) -> bytes:
    """Return the index of the tides' fingerprints of so many days before `until`, one row a day and station."""
    rows = []
    for back in range(days, 0, -1):
        day = (until - timedelta(days=back)).date()
        for slug, station in _STATIONS:
            digest = sha256_hex(f"{slug} {days - back}".encode())
            rows.append(
                (
                    f"fp_{slug}_{day:%Y%m%d}_{digest[:8]}",
                    day.isoformat(),
                    station,
                    f"{2 + draw(900, slug, days - back) / 100:.2f}",
                    f"0.{draw(100, slug, days - back, 'efficiency'):02d}",
                    f"Q{1 + draw(4, slug, days - back, 'quadrant')}",
                    "" if back <= 2 else f"TF-{1 + draw(5, slug, days - back, 'family'):02d}",
                    digest,
                )
            )
    return "".join(",".join(cells) + "\n" for cells in (_INDEX_COLUMNS, *rows)).encode()


def derived_validation(number: int, at: datetime) -> dict[str, bytes]:
    """Return the files of one validation, in a folder of its own, and LATEST.txt, which names that folder."""
    digest = sha256_hex(f"derived validation {number}".encode())
    name = "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))
    first, last = ((at - timedelta(days=back)).date().isoformat() for back in (7, 1))
    rows = 840 + draw(60, "validation", number)
    report = {
        "run_id": name,
        "version": "v0.1",
        "symbol": "Mudbank Quay",
        "start_date": first,
        "end_date": last,
        "mode": "fail",
        "hourly_rows": rows,
        "residual_rows": rows,
        "coverage_parity": True,
        "determinism_mismatches": 0,
        "errors": [],
        "warnings": [],
        "status": "PASS",
    }
    text = f"# Derived series, {first} to {last}\n\nPASS: {rows} hourly heights, {rows} residuals, no mismatch.\n"
    meta = {"run_id": name, "component": "series_validation", "created_utc": utc_text(at), "status": "PASS"}
    folder = f"{VALIDATION_FOLDER}/{name}"
    return {
        f"{folder}/derived_validation_report.json": json_document(report),
        f"{folder}/derived_validation_report.md": text.encode(),
        f"{folder}/meta.json": json_document(meta),
        f"{VALIDATION_FOLDER}/LATEST.txt": f"{name}\n".encode(),
    }
