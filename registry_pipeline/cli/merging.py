"""How a merge of two logs is told."""

from __future__ import annotations

from pathlib import Path

from registry_pipeline.cli.exit_codes import ExitCode
from registry_pipeline.cli.records import counted, counts_of, verdict_of
from registry_pipeline.cli.reporter import Page, Reporter
from registry_pipeline.run_index.door import MergeOutcome


def tell_merged(reporter: Reporter, outcome: MergeOutcome, target: Path) -> int:
    """Print what a merge did; return its exit code."""
    merged, findings = outcome.merged, outcome.findings
    sizes = {"in_both": merged.in_both, "only_in_a": merged.only_first, "only_in_b": merged.only_second}
    document = {
        "verdict": verdict_of(findings),
        "findings": [each.to_json() for each in findings],
        "counts": sizes | counts_of(findings),
        "changed_files": [str(target)] if outcome.changed else [],
    }

    def tell(page: Page) -> None:
        page.findings(findings)
        if outcome.refused:
            page.line(f"refused: {target} was not written", style="bold red")
            return
        total = counted(sum(sizes.values()), "record")
        told = f"{merged.in_both} in both, {merged.only_first} only in A, {merged.only_second} only in B"
        page.line(f"{total} in {target}: {told}{'' if outcome.changed else '; it was so already'}", style="bold green")

    reporter.answer(document, findings, tell)
    if not outcome.refused:
        return int(ExitCode.FINE)
    return int(ExitCode.EVIDENCE_INVALID if merged.data is None else ExitCode.REFUSED)
