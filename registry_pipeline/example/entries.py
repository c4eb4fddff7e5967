"""The registries and the products of the example team, which agree with each other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from registry_pipeline.canonical import json_document, sha256_hex, utc_text
from registry_pipeline.example.schedule import draw

HANDBOOK_PATH: Final = "docs/GAUGES.md"
SERIES_PATH: Final = "docs/SERIES.md"
_TYPES: Final = """\
# Kinds of modules. An edge stands in outbound of the one and in inbound of the other.
types:
  - id: ingest
    description: Takes in what a device or a neighbour sends.
    status: active
    inbound: [series]
  - id: publication
    description: Hands results to people.
    status: active
    outbound: [series]
  - id: series
    description: Derives one series from others.
    status: active
    inbound: [publication]
    outbound: [ingest]
"""
_INSTANCES: Final = """\
instances:
  # Five gauges, one module: they differ in their datum alone.
  - module_id: gauge_ingest
    name: Gauge ingest
    description: Reads what the gauges sent.
    module_type: ingest
    module_level: 1
    owners:
      - team: Gauges
        slack: "#gauges"
    dependencies:
      external_services: [harbour mail]
    status: active
  - module_id: hourly_heights
    name: Hourly heights
    description: Reduces readings to hourly heights.
    module_type: series
    module_level: 1
    owners:
      - team: Series
    dependencies:
      modules: [gauge_ingest]
    status: active
  - module_id: public_feed
    name: Public feed
    description: Publishes heights for everybody.
    module_type: publication
    module_level: 1
    owners:
      - team: Publication
    dependencies:
      modules: [hourly_heights]
    status: active
"""
_MATURITY: Final = """\
instances:
  - module_id: gauge_ingest
    description: Four years of nights without a gap.
    module_type: ingest
    maturity: QA_VERIFIED
    capabilities: {interfaces_implemented: 1, docs_quality: good}
    tests: {unit: 0.9, contract: true, integration: 0.5, e2e: false}
  - module_id: public_feed
    description: Heights in millimetres since February.
    module_type: publication
    maturity: IMPLEMENTED
"""
_INTERFACES: Final = """\
interfaces:
  - id: heights_by_station
    description: The heights of one station and day.
    module_id: public_feed
    path: /heights/{station}
    method: GET
    lifecycle: QA_VERIFIED
    contracts: [docs/SERIES.md]
"""
_ROUTE: Final = """\
scope: series
topic: heights
description: Where heights come from and what may be wrong with them.
module_id: hourly_heights
routes:
  - when_to_use: Before a job that derives heights is changed
    related_docs:
      - path: docs/SERIES.md
        stage: [understand, plan]
        doc_usage: What a height is; heights.read returns it.
  - when_to_use: When a height looks wrong
    related_docs:
      - path: docs/GAUGES.md
        stage: [understand]
        doc_usage: What the gauges are known to send.
"""
_LOW: Final = """\
abilities:
  - ability_id: heights.read
    version: 1
    description: Reads the hourly heights of one station.
    kind: script
    scope:
      modules: [hourly_heights]
      environments: [night, session]
    hooks:
      pre_call: [heights_guard]
    status: active
"""
_HIGH: Final = """\
abilities:
  - ability_id: heights.explain
    version: 1
    description: Explains why a height looks wrong.
    type: agent
    ability_ids: [heights.read]
    status: active
"""
_HOOK: Final = """\
id: heights_guard
description: Refuses stations that are not in the directory.
event_type: PreAbilityCall
stage: act
enabled: true
blocking: true
match:
  ability_scope: ["heights.*"]
handler:
  kind: script
  command: python jobs/station_sync.py --check
"""
_HANDBOOK: Final = """\
# Gauges

Five gauges send a reading every six minutes. A reading without a time is left out; a gap of two hours is reported.
"""
_SERIES: Final = """\
# Series

A height is the mean of an hour's readings above chart datum, in millimetres. Spikes are marked, never removed.
"""


def entry_files() -> dict[str, str]:
    """Return the registries and the documents that their routes name, by path."""
    return {
        "modules/overview/type_registry.yaml": _TYPES,
        "modules/overview/instance_registry.yaml": _INSTANCES,
        "modules/overview/instance_maturity.yaml": _MATURITY,
        "modules/overview/interfaces.yaml": _INTERFACES,
        "modules/routes/series.heights.yaml": _ROUTE,
        ".system/registry/low-level/heights.yaml": _LOW,
        ".system/registry/high-level/heights.yaml": _HIGH,
        ".system/hooks/heights_guard.yaml": _HOOK,
        HANDBOOK_PATH: _HANDBOOK,
        SERIES_PATH: _SERIES,
    }


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
