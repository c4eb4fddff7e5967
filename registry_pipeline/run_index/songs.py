"""The song index, as far as the run index is held against it: works, versions, and the runs that they name (SPEC 11).

Its schema is owned elsewhere (seed 004): a line counts by its record_type WORK or VERSION and its ids, whatever else it
has.
"""

from __future__ import annotations

from pathlib import Path

from registry_pipeline.canon import StrictJsonError, read_strict_json
from registry_pipeline.model.codes import finding
from registry_pipeline.model.finding import Finding
from registry_pipeline.run_index.gates import SongIndex


def read_song_index(path: Path, shown: str) -> tuple[SongIndex | None, tuple[Finding, ...]]:
    """Return what a song index lists, None where it cannot be read; a line that cannot be read is told."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return None, (finding("RI038", shown, detail=error.strerror or "no reason given"),)
    works: set[str] = set()
    versions: dict[str, str | None] = {}
    findings: list[Finding] = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            record = read_strict_json(line)
        except StrictJsonError as error:
            findings.append(finding("RI038", shown, location=f"line {number}", detail=str(error)[:200]))
            continue
        told = record if isinstance(record, dict) else {}
        work, version, run = (told.get(key) for key in ("work_id", "version_id", "run_id"))
        if isinstance(work, str):
            works.add(work)
        if told.get("record_type") == "VERSION" and isinstance(version, str):
            versions[version] = run if isinstance(run, str) else None
    return SongIndex(frozenset(works), versions), tuple(findings)
