"""What runs were built from, and that from in turn, to the end: `verify --inputs` (SPEC 2.3).

A run.json names each snapshot with its root hash, so that no cycle can be sealed; what was altered may name anything,
and is walked all the same, each folder once. `inputs.files` are not judged: they are the files of a repository that
goes on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from registry_pipeline.model.codes import finding
from registry_pipeline.model.envelope import InputRegistry, Inputs
from registry_pipeline.model.finding import Finding, sorted_findings
from registry_pipeline.model.refs import SealedRef
from registry_pipeline.model.verdict import Verdict
from registry_pipeline.values import value_type


@value_type
class JudgedRun:
    """A run folder as it is now: the verdict on it, and what it records that it was built from."""

    verdict: Verdict
    inputs: Inputs


@value_type
class Lineage:
    """What is wrong with recorded inputs, each told at the run.json that names it, and how many runs they were."""

    findings: tuple[Finding, ...]
    walked: int


def check_lineage(runs: Iterable[JudgedRun], judge: Callable[[SealedRef], JudgedRun | None]) -> Lineage:
    """Judge every snapshot that the runs rest on, of either role, and every one that those rest on.

    Args:
        runs: The runs to begin with.
        judge: Verifies the folder that a reference names, from its bytes; None where there is none. Asked once a
            folder.
    """
    met: dict[tuple[str, str], JudgedRun | None] = {}
    findings: list[Finding] = []
    waiting = deque(runs)
    while waiting:
        run = waiting.popleft()
        for named in run.inputs.registries:
            key = named.ref.run_root, named.ref.run_id
            if key not in met:
                found = met[key] = judge(named.ref)
                waiting.extend([] if found is None else [found])
            findings += _check_input(f"{run.verdict.path}/run.json", named, met[key])
    return Lineage(sorted_findings(findings), len(met))


def _check_input(path: str, named: InputRegistry, found: JudgedRun | None) -> Iterator[Finding]:
    told = f"{named.role} {named.registry_id} {named.ref.run_root}/{named.ref.run_id}"
    if found is None:
        yield finding("INPUT_REF_MISSING", path, detail=told)
        return
    expected, got = named.ref.manifest_sha256, found.verdict.root_sha256
    if got not in (None, expected):
        yield finding("INPUT_ROOT_MISMATCH", path, expected=expected, got=got, detail=told)
    if not found.verdict.passed:
        codes = sorted({f.code for f in found.verdict.errors()}) or [found.verdict.verdict]
        detail = f"{told} ({', '.join(codes)})"
        yield finding("INPUT_NOT_VERIFIED", path, detail=detail, run_id=named.ref.run_id)
