"""Finding run folders by what people call them, and judging many of them."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from registry_pipeline.canon import json_line, short
from registry_pipeline.catalog import REGISTRIES
from registry_pipeline.config import Governed
from registry_pipeline.errors import EvidenceError, NotFoundError
from registry_pipeline.model.activation import ACCEPTED_REMOVED
from registry_pipeline.model.codes import finding
from registry_pipeline.model.envelope import Inputs
from registry_pipeline.model.finding import Finding, Severity, sorted_findings
from registry_pipeline.model.ids import RunId
from registry_pipeline.model.path_policy import path_codes
from registry_pipeline.model.refs import SealedRef
from registry_pipeline.model.verdict import Verdict
from registry_pipeline.runbook.reading import read_pointers, read_sealed, spec_of, with_own_names
from registry_pipeline.runbook.store import read_chain_state
from registry_pipeline.seal.proven import read_stated_root
from registry_pipeline.seal.verify import verify_folders
from registry_pipeline.sources.committed_runs import read_committed_runs
from registry_pipeline.sources.run_folders import read_run_folders, read_why_left_out
from registry_pipeline.validate.chain import ChainState
from registry_pipeline.validate.history import check_baseline
from registry_pipeline.validate.lineage import JudgedRun, Lineage, check_lineage
from registry_pipeline.validate.pointer_entry import is_folder_name
from registry_pipeline.validate.run import check_run, needed_files
from registry_pipeline.values import value_type

_SHORTEST_ROOT: Final = 6
_ACTIVE: Final = re.compile(r"active(?:~(?P<back>[0-9]{1,4}))?")


@value_type
class FoundRun:
    """A folder to judge: where it lies, how it is shown, and its run root (None for a folder named by path)."""

    path: Path
    shown: str
    run_root: str | None
    run_id: str


def all_runs(governed: Governed) -> list[FoundRun]:
    """Return every run folder under the run roots, by root in their order and then by name; links are left out."""
    found: list[FoundRun] = []
    for run_root in governed.config.run_roots:
        try:
            with os.scandir(governed.path(run_root)) as entries:
                names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise NotFoundError(f"{run_root} cannot be read: {error.strerror}", "check its permissions") from None
        found += [_found(governed, run_root, name) for name in names]
    return found


def active_runs(governed: Governed) -> list[FoundRun]:
    """Return the runs that the pointer file names, by registry; those whose folders are absent are left out."""
    pointers = read_pointers(governed)
    refs = [ref for p in pointers.pointers if (ref := pointers.active(p.registry_id)) is not None]
    found = [_found(governed, ref.run_root, ref.run_id) for ref in refs]
    return [run for run in found if run.path.is_dir()]


def find_run(governed: Governed, word: str, registry_id: str | None = None) -> FoundRun:
    """Return the one run that a word means: `active`, `active~N`, `latest`, a run id, its prefix, a root's prefix.

    With `registry_id`, `active` and `latest` are that registry's; `active~N` is what was in force N moves ago.

    Raises:
        NotFoundError: no run, or more than one, is meant.
    """
    active = _ACTIVE.fullmatch(word)
    if active is not None:
        ref = None if registry_id is None else _active_before(governed, registry_id, int(active["back"] or 0))
        if ref is None:
            raise NotFoundError(f"`{word}` needs a registry for which a run was active", "name the run by its id")
        return _found(governed, ref.run_root, ref.run_id)
    runs = all_runs(governed)
    if word == "latest":
        tag = None if registry_id is None else spec_of(registry_id).tag
        dated = [(rid, run) for run in runs if (rid := RunId.parse(run.run_id)) and tag in (None, rid.tag)]
        if not dated:
            raise NotFoundError("there is no run yet", "run `registry-pipeline build`")
        return max(dated, key=lambda pair: (pair[0].stamp, pair[0].number, pair[1].run_id))[1]
    return _by_name(governed, runs, word)


def _active_before(governed: Governed, registry_id: str, back: int) -> SealedRef | None:
    """Return what was in force so many moves ago, None if nothing was; 0 is what the pointer file says."""
    if back == 0:
        return read_pointers(governed).active(registry_id)
    records = (sealed.record for sealed in read_chain_state(governed).records)
    moves = [move for record in records for move in record.moves if move.registry_id == registry_id]
    return moves[-back].from_ref if back <= len(moves) else None


def _by_name(governed: Governed, runs: Sequence[FoundRun], word: str) -> FoundRun:
    exact = [run for run in runs if run.run_id == word]
    near = exact or [run for run in runs if run.run_id.startswith(word)]
    if not near and len(word) >= _SHORTEST_ROOT and set(word) <= set("0123456789abcdef"):
        scan = read_run_folders(governed.root, governed.config.run_roots)
        near = [_found(governed, r.run_root, r.run_id) for r in scan.runs if (r.claimed_root or "").startswith(word)]
    if len(near) == 1:
        return near[0]
    if not near:
        raise NotFoundError(f"no run is called {word!r}", "`registry-pipeline log` lists them; a path needs a slash")
    names = ", ".join(run.shown for run in near[:3])
    raise NotFoundError(f"{word!r} means {len(near)} runs: {names} …", "write more of the name")


def _found(governed: Governed, run_root: str, run_id: str) -> FoundRun:
    return FoundRun(governed.path(run_root) / run_id, f"{run_root}/{run_id}", run_root, run_id)


def folder_at(path: Path) -> FoundRun:
    """Return the folder at a path, taken literally.

    Raises:
        NotFoundError: nothing is there.
    """
    if not path.is_symlink() and not path.exists():
        raise NotFoundError(f"there is no {path}", "a bare word is a run id; a path needs a slash")
    return FoundRun(path, str(path), None, Path(os.path.abspath(path)).name)  # noqa: PTH100 - resolve() follows links


def verify_runs(
    runs: Sequence[FoundRun],
    *,
    jobs: int = 1,
    only_seal: bool = False,
    on_done: Callable[[int], None] | None = None,
) -> Iterator[Verdict]:
    """Judge folders in their order: seal, envelope and schema, or the seal alone. `on_done` gets the count so far."""
    for judged in judge_runs(runs, jobs=jobs, only_seal=only_seal, on_done=on_done):
        yield judged.verdict


def judge_runs(
    runs: Sequence[FoundRun],
    *,
    jobs: int = 1,
    only_seal: bool = False,
    on_done: Callable[[int], None] | None = None,
) -> Iterator[JudgedRun]:
    """Judge folders as `verify_runs` does, and tell what each records that it was built from."""
    keep = frozenset[str]() if only_seal else needed_files(REGISTRIES)
    places = [(run.path, run.shown) for run in runs]
    reports = verify_folders(places, jobs=jobs, keep=keep, on_done=on_done)
    for run, first in zip(runs, reports, strict=True):
        report = first if only_seal else with_own_names(first, run.path)
        verdict = check_run(report, REGISTRIES, only_seal=only_seal)
        yield JudgedRun(verdict, Inputs.from_json((report.run_json or {}).get("inputs")))


def verify_inputs(
    governed: Governed,
    runs: Sequence[FoundRun],
    judged: Sequence[JudgedRun],
    *,
    only_seal: bool = False,
    on_done: Callable[[int], None] | None = None,
) -> Lineage:
    """Judge all that runs rest on, to the end; `judged` are the verdicts on `runs`, which are not read again."""
    known = {(run.run_root, run.run_id): each for run, each in zip(runs, judged, strict=True)}

    def judge(ref: SealedRef) -> JudgedRun | None:
        found = known.get((ref.run_root, ref.run_id))
        if found is None and is_folder_name(ref.run_id) and not path_codes(ref.run_root):
            here = _found(governed, ref.run_root, ref.run_id)
            found = next(judge_runs([here], only_seal=only_seal)) if os.path.lexists(here.path) else None
        if on_done is not None:
            on_done(next(count))
        return found

    count = itertools.count(1)
    return check_lineage(judged, judge)


def check_moved_runs(governed: Governed, chain: ChainState) -> tuple[Finding, ...]:
    """Return a finding for each run that a standing record moved a pointer to and that is gone or was sealed again.

    The root is that of manifest.json on the disk; `verify --all` compares the bytes of the files with it. A run whose
    removal was accepted is a warning.
    """
    moved = {
        move.to_ref: sealed.ref.run_id
        for sealed in reversed(chain.records)
        for move in sealed.record.moves
        if move.to_ref is not None and is_folder_name(move.to_ref.run_id) and not path_codes(move.to_ref.run_root)
    }
    findings: list[Finding] = []
    for ref, record in moved.items():
        path = f"{ref.run_root}/{ref.run_id}"
        root = read_stated_root(governed.path(path))
        if not os.path.lexists(governed.path(path)):
            accepted = _is_removal_accepted(governed, chain, ref)
            severity, detail = (Severity.WARNING, f"{record}, accepted since,") if accepted else (None, record)
            findings.append(finding("CHAIN_RUN_MISSING", path, severity=severity, detail=detail))
        elif root != ref.manifest_sha256:
            got = root or "no manifest that can be read"
            findings.append(finding("CHAIN_RUN_RESEALED", path, expected=ref.manifest_sha256, got=got, detail=record))
    return sorted_findings(findings)


def _is_removal_accepted(governed: Governed, chain: ChainState, gone: SealedRef) -> bool:
    """Whether a removal was accepted and the run registry that is active does not list the run any more."""
    if not any(sealed.record.verdicts.get(ACCEPTED_REMOVED) for sealed in chain.records):
        return False
    ref = read_pointers(governed).active("run_registry")
    try:
        lines = b"" if ref is None else read_sealed(governed, spec_of("run_registry"), ref).kept[ref.relpath or ""]
    except EvidenceError:
        return False
    key = json_line(f"{gone.run_root}::{gone.run_id}").strip()
    return ref is not None and key not in lines


@value_type
class Baseline:
    """A comparison with a git commit: its id, how many of its run folders were compared, and what is not as it was."""

    commit: str
    compared: int
    findings: tuple[Finding, ...]


def compare_baseline(governed: Governed, revision: str) -> Baseline:
    """Compare the run folders that a git commit has with those that are there, by the roots that they claim.

    Raises:
        NotFoundError: there is nothing to compare with: no git, no such commit, or no run folder in it (exit 7).
    """
    run_roots = governed.config.run_roots
    committed = read_committed_runs(governed.root, revision, run_roots)
    now = {(run.run_root, run.run_id): run.claimed_root for run in read_run_folders(governed.root, run_roots).runs}
    lister = f"the commit {short(committed.commit)}"
    findings = check_baseline(committed.roots, now, lister, partial(read_why_left_out, governed.root))
    return Baseline(committed.commit, len(committed.roots), findings)
