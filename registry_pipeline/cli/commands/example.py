"""`example`: make a whole governed repository to look at."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from registry_pipeline.cli.group import Command
from registry_pipeline.cli.progress import progress
from registry_pipeline.cli.reporter import Page, Reporter
from registry_pipeline.example.description import EXAMPLE_SEED
from registry_pipeline.example.make import ExampleOutcome, make_example


@click.command(
    "example",
    cls=Command,
    examples=[
        ("example tides", "the example repository in the new folder tides"),
        ("example tides --seed 7 --now 2026-03-01T12:00:00Z", "other runs, and the same ones each time"),
    ],
)
@click.argument("target", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--seed", type=int, default=EXAMPLE_SEED, show_default=True, help="Which example: same seed, same bytes.")
@click.pass_obj
def command(reporter: Reporter, target: Path, seed: int) -> int:
    """Make the example governed repository in DIR.

    DIR must be new or empty. A tide-gauge team with 120 days of nightly jobs: git history, operations, and run
    folders of every quality, a few of them tampered with. What `verify --all` must find is in the answer.
    """
    with progress(reporter, "run folders") as shown:
        outcome = make_example(target, reporter.settings.now, seed=seed, on_progress=shown.done)
    reporter.answer(_document(outcome), (), lambda page: _tell(page, outcome))
    return 0


def _document(outcome: ExampleOutcome) -> dict[str, object]:
    planted = [folder.to_json() for folder in outcome.planted]
    return {"root": str(outcome.repository.root), "runs": outcome.runs, "planted": planted}


def _tell(page: Page, outcome: ExampleOutcome) -> None:
    counts = Counter(folder.verdict for folder in outcome.planted)
    told = ", ".join(f"{number} {verdict}" for verdict, number in sorted(counts.items()))
    page.line(f"{outcome.repository.root} has {outcome.runs} run folders, {len(outcome.planted)} of them not as they")
    page.line(f"should be ({told}): docs/PLANTED_FINDINGS.json lists what `verify --all` must find.")
    page.line(f"next: registry-pipeline -C {outcome.repository.root} build")
