"""`example`: make the example repository."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from registry_pipeline.cli.group import command
from registry_pipeline.cli.reporter import Page, Reporter, draw_progress
from registry_pipeline.example.make import EXAMPLE_SEED, ExampleOutcome, make_example


@command(
    "example",
    ("example tides", "the example repository in the new folder tides"),
    ("example tides --seed 7 --now 2026-03-01T12:00:00Z", "other runs; the same ones at each call"),
)
@click.argument("target", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--seed", type=int, default=EXAMPLE_SEED, show_default=True, help="Which example: same seed, same bytes.")
def example_command(reporter: Reporter, target: Path, seed: int) -> int:
    """Make the example repository in DIR.

    DIR must be new or empty. The example is a tide-gauge team with 120 days of nightly jobs: git history, operations,
    and run folders of every quality, some of them tampered with. The output says what `verify --all` must find. Its run
    folders are read-only: `chmod -R u+w DIR && rm -rf DIR` removes it.
    """
    with draw_progress(reporter, "run folders") as bar:
        outcome = make_example(target, reporter.settings.now, seed=seed, on_progress=bar.set_done)
    planted = [folder.to_json() for folder in outcome.planted]
    document = {"root": str(outcome.repository.root), "runs": outcome.runs, "planted": planted}
    reporter.print_result(document, (), lambda page: _print_outcome(page, outcome))
    return 0


def _print_outcome(page: Page, outcome: ExampleOutcome) -> None:
    root, counts = outcome.repository.root, Counter(folder.verdict for folder in outcome.planted)
    verdicts = ", ".join(f"{number} {verdict}" for verdict, number in sorted(counts.items()))
    page.line(f"{root} has {outcome.runs} run folders. {len(outcome.planted)} of them are defective on purpose")
    page.line(f"({verdicts}): docs/PLANTED_FINDINGS.json lists what `verify --all` must find.")
    page.line(f"next: registry-pipeline -C {root} build")
