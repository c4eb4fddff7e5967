from __future__ import annotations

from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Severity
from registry_pipeline.pipeline.verify import combine_verdicts
from registry_pipeline.runs.sealed_run import RunVerdict, Verdict


def _verdict(name: str, verdict: RunVerdict, *codes: str) -> Verdict:
    return Verdict(name, name, None, verdict, None, tuple(finding(code, name, detail="") for code in codes))


UNSEALED = _verdict("old", "unsealed", "UNSEALED")
SOUND = _verdict("new", "pass")


def test_a_folder_without_a_seal_fails_where_it_was_named_and_not_where_it_is_merely_there() -> None:
    assert combine_verdicts([UNSEALED], [], [], require_sealed=False).verdict == "fail"
    assert combine_verdicts([], [UNSEALED, SOUND], [], require_sealed=False).verdict == "pass"
    assert combine_verdicts([], [UNSEALED, SOUND], [], require_sealed=True).verdict == "fail"


def test_a_finding_about_a_pointer_fails_the_combined_verdict() -> None:
    combined = combine_verdicts([SOUND], [], [finding("POINTER_EDITED", "p.json")], require_sealed=False)

    assert (combined.verdict, combined.to_json()["verdict"], combined.counts()["errors"]) == ("fail", "fail", 1)


def test_a_finding_of_a_folder_is_not_repeated() -> None:
    broken = _verdict("new", "fail", "HASH_MISMATCH")

    combined = combine_verdicts([], [broken], broken.findings, require_sealed=False)

    assert (combined.findings, combined.counts()["errors"]) == ((), 1)


def test_counts_add_up() -> None:
    combined = combine_verdicts([SOUND], [UNSEALED, _verdict("half", "partial", "PARTIAL")], [], require_sealed=False)

    counts = combined.counts()
    assert counts["runs"] == counts["pass"] + counts["fail"] + counts["unsealed"] + counts["partial"] == 3
    assert {f.severity for f in combined.all_findings()} == {Severity.INFO, Severity.ERROR}
