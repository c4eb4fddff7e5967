"""Members of the collections: ranges of validated days, and evidence packs as their builder writes them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

RANGES = "validation_range_results"
PACKS = "evidence_pack_registry"
# In the order of the catalog. The known repository has neither.
COLLECTIONS = (RANGES, PACKS)
RANGE_FOLDER = "reports/validation"
EVIDENCE_RUNS = "reports/path1/evidence/runs"
PACK_FOLDER = "outputs/evidence_pack_v0_2"
FIRST = "1b4e28ba-2fa1-41d2-883f-0016d3cca427"
SECOND = "2c5f39cb-30b2-42e3-994a-1127e4ddb538"
PACK = "p1_20260120_031"
PACK_FILES = {
    "backbone_2h.csv": "bar_start_ms,close\n1670803200000,1.22\n",
    "strips/2h/20221212-A-GBPUSD.csv": "bar_start_ms,close\n1670803200000,1.22\n",
    "qc_report.json": '{"status": "PASS"}\n',
}


def range_path(member_id: str) -> str:
    """Return the source of a range, relative to the repository."""
    return f"{RANGE_FOLDER}/validate_range_{member_id}_days.jsonl"


def make_range(member_id: str, days: int = 2) -> str:
    """Return the lines of a range; the last day is a Sunday, without blocks."""
    day = {
        "range_run_id": member_id,
        "day_run_id": "c94f41ab-7a2b-4a8e-9a4e-3f3f7c0a9a11",
        "symbol": "GBPUSD",
        "date_ny": "2026-01-05",
        "status": "PASS",
        "expected_blocks": 12,
        "ovc_blocks": 12,
        "outcome_blocks": 12,
        "mismatch_count": 0,
        "reasons": [],
    }
    free = {"day_run_id": None, "date_ny": "2026-01-04", "status": "SKIP", "ovc_blocks": None, "reasons": ["weekend"]}
    return "".join(f"{json.dumps(line)}\n" for line in (*[day] * (days - 1), day | free))


def write_range(root: Path, member_id: str, days: int = 2) -> Path:
    """Write the source of a range, and return it."""
    path = root / range_path(member_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(make_range(member_id, days), encoding="utf-8")
    return path


def make_pack(files: Mapping[str, str] = PACK_FILES) -> dict[str, str]:
    """Return the files of a pack with the lists of hashes that its builder writes."""
    entries = [
        {
            "relative_path": path,
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            "byte_size": len(text),
        }
        for path, text in sorted(files.items())
    ]
    manifest = json.dumps({"files": entries}, sort_keys=True, separators=(",", ":")) + "\n"
    lines = "".join(f"{entry['sha256']}  {entry['relative_path']}\n" for entry in entries)
    return {
        **files,
        "manifest.json": manifest,
        "manifest_sha256.txt": hashlib.sha256(manifest.encode()).hexdigest() + "\n",
        "pack_sha256.txt": hashlib.sha256(lines.encode()).hexdigest() + "\n",
        "meta.json": '{"version": "evidence_pack_v0_2"}\n',
    }


def write_pack(root: Path, member_id: str = PACK, files: Mapping[str, str] = PACK_FILES) -> Path:
    """Write the source of a pack, and return its folder."""
    folder = root / EVIDENCE_RUNS / member_id / PACK_FOLDER
    for path, text in make_pack(files).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return folder
