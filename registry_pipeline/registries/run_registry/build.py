"""Build run_registry from the scanned run folders, and find the runs that it lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from json.encoder import encode_basestring_ascii
from typing import Any, Final, NamedTuple

from registry_pipeline.canonical import StrictJsonError, parse_strict_json, sha256_hex
from registry_pipeline.differing_lines import find_differing_lines
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding, Severity, has_errors, sorted_findings
from registry_pipeline.runs.envelope import ADAPTED, ARCHIVED, BuildContext, ScannedRun
from registry_pipeline.runs.sealed_run import Artifacts, Verdict
from registry_pipeline.values import replace, value_type

ARTIFACT: Final = "RUN_REGISTRY_v0_1.jsonl"
VERSION: Final = "0.1"
_FIELDS: Final = ("created_utc", "run_type", "option", "operation_id", "git_commit", "working_tree_state")


class RunLine(NamedTuple):
    """The line of one run folder. Lines are sorted by these fields, in their order.

    `has_no_time` and `created_utc` are the time that the run states, "" for none. Metrics count the bits of `facts`.
    """

    run_root: str
    has_no_time: bool
    created_utc: str
    run_id: str
    text: bytes | memoryview
    facts: int


class LineBlock(NamedTuple):
    """Neighbouring lines of the registry, sorted. The first fields are those of the first line.

    No other line belongs between them. `facts` has a number for each line.
    """

    run_root: str
    has_no_time: bool
    created_utc: str
    run_id: str
    text: bytes | memoryview
    facts: Sequence[int]


# The bits of `RunLine.facts`, by the metric that counts them.
_FACTS: Final = {"with_run_json": 1, "with_operation": 2, "with_manifest_sha256": 4, "with_warnings": 8}


@value_type
class RunRegistryInputs:
    """The lines of the run folders, one by one and in blocks, in any order."""

    lines: tuple[RunLine, ...]
    blocks: tuple[LineBlock, ...] = ()


def build_run_registry(inputs: RunRegistryInputs, context: BuildContext) -> Artifacts:
    """Return the lines sorted by run root, stated time (without one: last) and run id."""
    # The lines describe the disk, so the artifact has no time of its own.
    del context
    parts: list[tuple[Any, ...]] = sorted([*inputs.lines, *inputs.blocks])
    data = b"".join([text for *_, text, _ in parts])
    counts = Counter([line.facts for line in inputs.lines])
    for block in inputs.blocks:
        counts.update(block.facts)
    metrics = {name: sum(n for facts, n in counts.items() if facts & bit) for name, bit in _FACTS.items()}
    records = counts.total()
    return Artifacts({ARTIFACT: data}, records, sha256_hex(data), {"runs": records, **metrics})


def make_run_line(run: ScannedRun, archive: str | None = None) -> RunLine:
    """Return the line of a run folder, with the keys in the specified order, as `json_line` writes it.

    `archive` is the path of the archive that contains the run instead of a folder.
    """
    fields, mistyped_keys = _read_fields(run.envelope)
    # Warnings name the file and the keys as its author wrote them, so those of an adapted envelope.
    envelope_file = "run.json"
    if run.adapted_by is not None:
        envelope_file = run.adapted_by.file
        mistyped_keys = [run.adapted_by.fields[key] for key in mistyped_keys]
    warnings = [
        *([] if run.run_json_problem is None else [run.run_json_problem]),
        *([] if run.has_manifest_sha256 else ["missing MANIFEST.sha256"]),
        *([] if run.has_manifest_json else ["missing manifest.json"]),
        *(f"{envelope_file} {key} is neither null nor a string" for key in mistyped_keys),
        *([] if run.adapted_by is None else [run.adapted_by.problem or f"{ADAPTED}{envelope_file}"]),
        *([] if archive is None else [f"{ARCHIVED}{archive}"]),
    ]
    # Written out, because the encoder of a dict takes three times as long.
    files = [f'{{"relpath":{_quote(name)},"bytes":{size}}}' for name, size in run.files]
    run_id, run_root = _quote(run.run_id), _quote(run.run_root)
    line = (
        f'{{"registry_version":"{VERSION}","run_id":{run_id},"run_root":{run_root},'
        f'"run_key":{run_root[:-1]}::{run_id[1:]},"run_path":{run_root[:-1]}/{run_id[1:-1]}/",'
        f'"created_utc":{_quote(fields["created_utc"])},"run_type":{_quote(fields["run_type"])},'
        f'"option":{_quote(fields["option"])},"operation_id":{_quote(fields["operation_id"])},'
        f'"git_commit":{_quote(fields["git_commit"])},"working_tree_state":{_quote(fields["working_tree_state"])},'
        f'"has_run_json":{_JSON_BOOLEANS[run.has_run_json]},'
        f'"has_manifest_sha256":{_JSON_BOOLEANS[run.has_manifest_sha256]},'
        f'"has_manifest_json":{_JSON_BOOLEANS[run.has_manifest_json]},'
        f'"manifest_root_sha256":{_quote(run.claimed_root)},'
        f'"files":[{",".join(files)}],'
        f'"warnings":[{",".join(map(_quote, warnings))}]}}\n'
    )
    is_true = (run.has_run_json, fields["operation_id"] is not None, run.has_manifest_sha256, bool(warnings))
    facts = sum([bit for bit, counts in zip(_FACTS.values(), is_true, strict=True) if counts])
    created = fields["created_utc"]
    return RunLine(run.run_root, created is None, created or "", run.run_id, line.encode("ascii"), facts)


_JSON_BOOLEANS: Final = {True: "true", False: "false"}


def _quote(text: str | None) -> str:
    """Return a text as JSON, as `json_line` writes it."""
    return "null" if text is None else encode_basestring_ascii(text)


def _read_fields(envelope: Mapping[str, Any]) -> tuple[dict[str, str | None], list[str]]:
    """Return the fields of an envelope (None: not stated), and the keys whose values are neither null nor a string."""
    fields: dict[str, str | None] = dict.fromkeys(_FIELDS)
    mistyped_keys: list[str] = []
    for field in _FIELDS:
        # Older envelopes state the time as created_at. An empty string states nothing.
        for key in ("created_utc", "created_at") if field == "created_utc" else (field,):
            value = envelope.get(key)
            if isinstance(value, str):
                if value:
                    fields[field] = value
                    break
            elif value is not None:
                mistyped_keys.append(key)
    return fields, mistyped_keys


def adds_own_runs_only(active: bytes, built: bytes, is_own_run: Callable[[str, str], bool]) -> bool:
    """Return whether a run registry has all lines of the active one, and besides them only own runs of this tool."""
    parts = find_differing_lines(active, built)
    active_lines = [line for part in parts for line in part.old.splitlines()]
    built_lines = [line for part in parts for line in part.new.splitlines()]
    added = set(built_lines).difference(active_lines)
    if len(added) != len(built_lines) - len(active_lines) or not set(active_lines).issubset(built_lines):
        return False
    try:
        return all(is_own_run(*key) for key in _parse_roots(added))
    except StrictJsonError:
        return False


ClaimedRoots = Mapping[tuple[str, str], str | None]
"""The ROOT_SHA256 that each run folder claims, by (run root, run id); None if it claims none."""
ExplainMissing = Callable[[str, str], str | None]
"""Returns why a run folder (run root, run id) exists but is not listed, or None if it does not exist."""
FindExclusion = Callable[[str, str], str | None]
"""Returns the glob that excludes an existing run folder (run root, run id), or None."""
ACCEPTABLE_LOSSES: Final = frozenset({"RUN_REMOVED", "RUN_EXCLUDED"})
"""The codes of lost runs that `activate --accept-removed` accepts."""


def compare_with_previous(
    previous_rows: bytes | None,
    current_rows: bytes,
    run_roots: Collection[str],
    *,
    baseline_name: str = "the previous run registry",
    explain_missing: ExplainMissing = lambda _run_root, _run_id: None,
    find_exclusion: FindExclusion = lambda _run_root, _run_id: None,
) -> tuple[Finding, ...]:
    """Return the findings about runs that the previous run registry lists and the current one lacks or has resealed.

    The findings are those of `compare_runs_with_baseline`. Runs outside `run_roots` are ignored. The only finding is
    RUN_HISTORY_UNKNOWN if `previous_rows` is None (none was active at build time, or its folder is missing) or cannot
    be parsed, and SCHEMA_UNPARSABLE if `current_rows` cannot be parsed.
    """
    if previous_rows is None:
        return (finding("RUN_HISTORY_UNKNOWN", "run_registry", detail="none was active, or its folder is missing"),)
    compare = partial(
        _compare_lines,
        run_roots=run_roots,
        name=baseline_name,
        explain_missing=explain_missing,
        find_exclusion=find_exclusion,
    )
    parts = find_differing_lines(previous_rows, current_rows)
    old, new = b"".join([part.old for part in parts]), b"".join([part.new for part in parts])
    # A run that looks lost may have moved or be there twice: it is looked up in the whole files.
    return compare(old, new) and compare(previous_rows, current_rows)


def _compare_lines(
    previous_rows: bytes,
    current_rows: bytes,
    *,
    run_roots: Collection[str],
    name: str,
    explain_missing: ExplainMissing,
    find_exclusion: FindExclusion,
) -> tuple[Finding, ...]:
    previous_lines, current_lines = previous_rows.splitlines(), current_rows.splitlines()
    # Nearly all lines are the same bytes in both; only the others need to be parsed.
    same = set(previous_lines).intersection(current_lines)
    try:
        current = _parse_roots(line for line in current_lines if line not in same)
    except StrictJsonError as error:
        return (finding("SCHEMA_UNPARSABLE", "run_registry", detail=str(error)),)
    try:
        previous = _parse_roots(line for line in previous_lines if line not in same)
    except StrictJsonError as error:
        return (finding("RUN_HISTORY_UNKNOWN", "run_registry", detail=f"it cannot be parsed: {error}"),)
    configured = {key: root for key, root in previous.items() if key[0] in run_roots}
    return compare_runs_with_baseline(configured, current, name, explain_missing, find_exclusion)


def compare_runs_with_baseline(
    baseline: ClaimedRoots,
    current: ClaimedRoots,
    baseline_name: str,
    explain_missing: ExplainMissing,
    find_exclusion: FindExclusion = lambda _run_root, _run_id: None,
) -> tuple[Finding, ...]:
    """Return sorted findings about the runs of a baseline that are not in `current` or have another root there.

    A run that is not in `current` is RUN_EXCLUDED if `find_exclusion` returns a glob, RUN_LEFT_OUT if `explain_missing`
    returns a reason, else RUN_REMOVED. Another root
    is RUN_RESEALED, unless the baseline has none. All are errors. Roots are as the folders claim them; the seal check
    proves them.
    """
    findings = []
    for (run_root, run_id), expected in baseline.items():
        path = f"{run_root}/{run_id}"
        if (run_root, run_id) in current:
            got = current[run_root, run_id]
            # A run that was sealed since the baseline has a root now, and had none then.
            if expected not in (None, got):
                findings.append(finding("RUN_RESEALED", path, expected=expected, got=got, detail=baseline_name))
            continue
        glob = find_exclusion(run_root, run_id)
        if glob is not None:
            findings.append(finding("RUN_EXCLUDED", path, lister=baseline_name, detail=f"`{glob}`"))
            continue
        # A folder that exists but cannot be listed is not lost: making it readable is enough.
        reason = explain_missing(run_root, run_id)
        if reason is None:
            findings.append(finding("RUN_REMOVED", path, expected=expected, detail=baseline_name))
        else:
            findings.append(finding("RUN_LEFT_OUT", path, expected=expected, lister=baseline_name, detail=reason))
    return sorted_findings(findings)


def accept_removed(verdict: Verdict) -> Verdict:
    """Return a verdict in which ACCEPTABLE_LOSSES are warnings; it is a pass then if nothing else made it fail."""
    # A resealed run stays an error: its name now refers to other content.
    findings = tuple(
        replace(f, severity=Severity.WARNING) if f.code in ACCEPTABLE_LOSSES else f for f in verdict.findings
    )
    passed = verdict.verdict == "fail" and findings != verdict.findings and not has_errors(findings)
    return replace(verdict, findings=sorted_findings(findings), verdict="pass" if passed else verdict.verdict)


def _parse_roots(lines: Iterable[bytes]) -> dict[tuple[str, str], str | None]:
    """Return the claimed root by (run root, run id); raise StrictJsonError if a line is no JSON object."""
    roots: dict[tuple[str, str], str | None] = {}
    for line in lines:
        row = parse_strict_json(line)
        if not isinstance(row, dict):
            raise StrictJsonError("invalid", "a line is not an object")
        roots[str(row.get("run_root")), str(row.get("run_id"))] = row.get("manifest_root_sha256")
    return roots
