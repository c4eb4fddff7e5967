"""When the example team runs what, and what is wrong with some runs; drawn by hashing names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final, Literal

from registry_pipeline.canonical import json_document, sha256_hex
from registry_pipeline.example.sources import CODEX, OPERATIONS, OPTIONS, REPORTS, ExampleOperation
from registry_pipeline.values import replace, value_type


def draw(below: int, *names: object) -> int:
    """Return a number from 0 to `below` - 1 that depends on `names` alone."""
    # `random` promises the same numbers for one version of Python only; a hash gives the same example everywhere.
    return int(sha256_hex("\x1f".join(map(str, names)).encode())[:16], 16) % below


Files = dict[str, bytes]
"""The files of a run folder by relpath."""
LineOrder = Literal["relpath", "manifest_last", "whole_line"]


def seal_as_older_tools(files: Files, order: LineOrder) -> Files:
    """Return `files` with manifest.json and MANIFEST.sha256 as an older tool wrote them; `order` sorts the lines."""
    entries = [{"relpath": p, "bytes": len(data), "sha256": sha256_hex(data)} for p, data in sorted(files.items())]
    manifest = json_document(entries)
    listed = [f"{entry['sha256']}  {entry['relpath']}" for entry in entries]
    lines = [*listed, f"{sha256_hex(manifest)}  manifest.json"]
    root = sha256_hex(("\n".join(sorted(lines)) + "\n").encode())
    if order == "whole_line":
        lines.sort()
    elif order == "relpath":
        lines.sort(key=lambda line: line.split("  ", 1)[1])
    text = "\n".join([*lines, f"ROOT_SHA256  {root}", ""])
    return {**files, "manifest.json": manifest, "MANIFEST.sha256": text.encode()}


BadVerdict = Literal["fail", "partial", "unsealed"]
RESULT: Final = "result.json"
SUMMARY: Final = "summary.md"


def _keep(files: Files) -> Files:
    return files


@value_type
class Defect:
    """One kind of damage.

    `before` and `after` change the files of a folder before and after an older tool seals it; `sealed` states whether
    it did. `findings` are (code, relpath in the folder), the folder itself being `""`.
    """

    name: str
    verdict: BadVerdict
    findings: tuple[tuple[str, str], ...]
    sealed: bool = True
    before: Callable[[Files], Files] = _keep
    after: Callable[[Files], Files] = _keep


def _make_removal(name: str) -> Callable[[Files], Files]:
    return lambda files: {path: data for path, data in files.items() if path != name}


def _make_change(name: str, change: Callable[[bytes], bytes]) -> Callable[[Files], Files]:
    return lambda files: {**files, name: change(files[name])}


def _add_note(files: Files) -> Files:
    return {**files, "notes.txt": b"looked at by hand, seems fine\n"}


def _flip_a_bit(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


_CUT: Final = _make_change("run.json", lambda data: data[: len(data) // 2])
_CREATED_AT: Final = _make_change("run.json", lambda data: data.replace(b'"created_utc"', b'"created_at"'))
_ARRAY: Final = _make_change("run.json", lambda data: b"[" + data.rstrip() + b"]\n")
_COPIED: Final = _make_change("run.json", lambda data: data.replace(b'"run_id": "', b'"run_id": "copy_of_'))
_ROOTLESS: Final = _make_change("MANIFEST.sha256", lambda data: data[: data.index(b"ROOT_SHA256")])
_CRLF: Final = _make_change(SUMMARY, lambda data: data.replace(b"\n", b"\r\n"))
_NO_RUN_JSON: Final = (("RUN_JSON_MISSING", "run.json"), ("RUN_JSON_NOT_SEALED", "run.json"))
_NO_HASH_FILE: Final = (("MANIFEST_SHA256_MISSING", "MANIFEST.sha256"), ("PARTIAL", ""))
UNSEALED: Final = (("UNSEALED", ""),)
SEALED_DEFECTS: Final = (
    Defect("tampered", "fail", (("HASH_MISMATCH", RESULT),), after=_make_change(RESULT, _flip_a_bit)),
    Defect("broken_run_json", "fail", (("RUN_JSON_INVALID", "run.json"),), before=_CUT),
    Defect("created_at", "fail", (("RUN_JSON_SHAPE", "run.json"),), before=_CREATED_AT),
    Defect("renamed", "fail", (("RUN_ID_FOLDER_MISMATCH", "run.json"),), before=_COPIED),
    Defect("note_added", "fail", (("UNLISTED_FILE", "notes.txt"),), after=_add_note),
    Defect("payload_lost", "fail", (("FILE_MISSING", SUMMARY),), after=_make_removal(SUMMARY)),
    Defect("line_ends", "fail", (("SEAL_BROKEN_EOL", SUMMARY), ("SIZE_MISMATCH", SUMMARY)), after=_CRLF),
    Defect("root_line_lost", "fail", (("HASHFILE_ROOT_LINE", "MANIFEST.sha256"),), after=_ROOTLESS),
    Defect("run_json_lost", "fail", _NO_RUN_JSON, before=_make_removal("run.json")),
    Defect("hash_file_lost", "partial", _NO_HASH_FILE, after=_make_removal("MANIFEST.sha256")),
)
UNSEALED_DEFECTS: Final = (
    *(Defect("left_unsealed", "unsealed", UNSEALED, sealed=False),) * 5,
    *(Defect("unsealed_created_at", "unsealed", UNSEALED, sealed=False, before=_CREATED_AT),) * 2,
    Defect("unsealed_broken_run_json", "unsealed", UNSEALED, sealed=False, before=_CUT),
    Defect("unsealed_array", "unsealed", UNSEALED, sealed=False, before=_ARRAY),
)
BEFORE_SEALS: Final = Defect("before_seals", "unsealed", UNSEALED, sealed=False)
LEGACY: Final = Defect("legacy", "unsealed", UNSEALED, sealed=False, before=_make_removal("run.json"))
_HISTORY_DAYS: Final = 120
_SEALS_SINCE_DAYS: Final = 114
_ROOT_CHANGED_DAYS: Final = 60
_DIRTY_PERCENT: Final = 11
_LEGACY: Final = (
    *((CODEX, f"nightly-old-{number}", "nightly") for number in (15, 16, 17, 18)),
    (REPORTS, "restore drill 1", "restore_drill"),
    (REPORTS, "restore.2", "restore_drill"),
)
Seal = Literal["ours", "none"] | LineOrder


@value_type
class PlannedRun:
    """One run folder, and what happened to it after the run; `operation` is None for an agent's session."""

    run_root: str
    run_id: str
    at: datetime
    run_type: str
    operation: ExampleOperation | None
    actor: str
    dirty: bool
    latest: bool
    seal: Seal
    defect: Defect | None = None

    @property
    def path(self) -> str:
        """The folder, relative to the repository root."""
        return f"{self.run_root}/{self.run_id}"


def plan_runs(seed: int, end: datetime) -> tuple[PlannedRun, ...]:
    """Return every run of the 120 days before `end`, sorted by path; the same for the same arguments."""
    runs = [*_plan_operation_runs(seed, end), *_plan_agent_sessions(seed, end), *_plan_legacy_runs(end)]
    damaged = _spread_defects(seed, end, runs)
    return tuple(sorted((damaged.get(run.path, run) for run in runs), key=lambda run: run.path))


def list_regular_moments(end: datetime, last_hours: int, every_days: int, since_days: int) -> Iterator[datetime]:
    """Yield moments `every_days` apart, from `last_hours` before `end` back to less than `since_days` - 1 days."""
    moment = end - timedelta(hours=last_hours)
    while end - moment < timedelta(days=since_days - 1):
        yield moment
        moment -= timedelta(days=every_days)


def _plan_operation_runs(seed: int, end: datetime) -> Iterator[PlannedRun]:
    for operation in OPERATIONS:
        if operation.last_hours is None:
            continue
        since_days = OPTIONS[operation.option].since_days
        moments = list_regular_moments(end, operation.last_hours, operation.every_days, since_days)
        for number, moment in enumerate(moments):
            at = moment - timedelta(seconds=draw(2400, seed, operation.job, number, "jitter"))
            is_early = end - moment > timedelta(days=_ROOT_CHANGED_DAYS)
            dirty = draw(100, seed, operation.job, number, "dirty") < _DIRTY_PERCENT if number else operation.last_dirty
            yield _plan_run(
                end,
                at,
                root=operation.earlier_root if is_early and operation.earlier_root else operation.run_root,
                tag=operation.job,
                operation=operation,
                dirty=dirty,
                latest=number == 0,
            )


def _plan_agent_sessions(seed: int, end: datetime) -> Iterator[PlannedRun]:
    for number in range(11):
        at = end - timedelta(days=4 + 10 * number, seconds=draw(30000, seed, "agent", number))
        dirty = number % 3 == 1
        run = _plan_run(end, at, root=CODEX, tag="agent_session", operation=None, dirty=dirty, latest=False)
        yield run
        if number == 1:  # the agent tried again within the second
            yield replace(run, run_id=f"{run.run_id}__02")


def _plan_legacy_runs(end: datetime) -> Iterator[PlannedRun]:
    for root, name, job in _LEGACY:
        at = end - timedelta(days=_HISTORY_DAYS - 2)
        yield PlannedRun(root, name, at, job, None, "cron", dirty=False, latest=False, seal="none", defect=LEGACY)


def _plan_run(
    end: datetime, at: datetime, *, root: str, tag: str, operation: ExampleOperation | None, dirty: bool, latest: bool
) -> PlannedRun:
    seal = _select_seal(root, (end - at).days)
    return PlannedRun(
        run_root=root,
        run_id=f"{at:%Y-%m-%d__%H%M%S}__{tag}",
        at=at,
        run_type=tag,
        operation=operation,
        actor="scheduler" if operation else "agent-bollard",
        dirty=dirty,
        latest=latest,
        seal=seal,
        defect=BEFORE_SEALS if seal == "none" else None,
    )


def _select_seal(root: str, days: int) -> Seal:
    if days >= _SEALS_SINCE_DAYS:
        return "none"
    if days >= 85:
        return "manifest_last"
    if days >= 55:
        return "whole_line"
    return "ours" if root == CODEX and days < 25 else "relpath"


def _spread_defects(seed: int, end: datetime, runs: list[PlannedRun]) -> dict[str, PlannedRun]:
    """Return copies of some runs with one defect each, by path; never of a latest run, or one with our seal."""
    candidates = [
        run
        for run in runs
        if not run.latest and run.operation and run.seal not in ("ours", "none") and (end - run.at).days >= 3
    ]
    candidates.sort(key=lambda run: draw(2**64, seed, "defect", run.path))
    defects = (*SEALED_DEFECTS, *UNSEALED_DEFECTS)
    return {
        run.path: replace(run, defect=defect, seal=run.seal if defect.sealed else "none")
        for run, defect in zip(candidates, defects, strict=False)
    }
