"""`make screenshots`: take the pictures of the documents in Chromium, from the example repository.

Makes the example in a temporary folder, starts Dagster as `ui` does, rebuilds every registry through it, waits until
the sensor has activated the builds, and writes one PNG file per page to docs/images. Then it renders the health page,
with the history of past days and the limits that `doctor` proposes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from registry_pipeline.config import load_repository
from registry_pipeline.example.make import make_example
from registry_pipeline_tests.copies import make_removable
from registry_pipeline_tests.defs.served import START_SECONDS, WORK_SECONDS, Machine, open_browser_page, until

IMAGES: Final = Path(__file__).resolve().parent.parent / "docs" / "images"
VIEWPORT: Final = {"width": 1280, "height": 640}
MAX_BYTES: Final = 200_000
# Dagster's pages fetch and lay out their parts one after another, and never stop polling.
_SETTLE_MILLISECONDS: Final = 4000
# By picture: the path of the page, and a CSS selector or text that it shows once its data has arrived.
PAGES: Final = {
    "dagster-asset.png": ("assets/run_registry", "text=Latest check results"),
    "dagster-checks.png": (
        "assets/active_registry_pointers?view=checks&checkDetail=active_seals",
        "text=active_registries",
    ),
}

# The graph with the group of registries open, without what the page has around it.
GRAPH: Final = ("asset-groups?expanded=global%40global%3Aregistries", "text=op_status_table")
GRAPH_VIEWPORT: Final = {"width": 1180, "height": 760}
GRAPH_CLIP: Final = {"x": 372, "y": 128, "width": 764, "height": 464}


def main() -> int:
    """Write the pictures; return 1 if one is too large for the documents."""
    with tempfile.TemporaryDirectory() as folder:
        example = make_example(Path(folder) / "example", datetime.now(UTC))  # noqa: TID251 - an entry point
        machine = Machine(example.repository)
        try:
            _build(machine)
            sizes = _take_pictures(machine.served.url)
            sizes |= _take_picture_of_health(example.repository.root)
        finally:
            machine.stop()
            make_removable(example.repository.root)
    for name, size in sizes.items():
        print(f"{size:>7} bytes  docs/images/{name}")
    return int(max(sizes.values()) > MAX_BYTES)


def _build(machine: Machine) -> None:
    """Start Dagster, rebuild every registry and wait for the end of the activation."""
    machine.start(machine.web)
    until("the webserver", machine.answers, START_SECONDS)
    machine.start(machine.daemon)
    served = machine.served
    launched = served.launch("rebuild_job")
    if served.wait_for_end("rebuild_job", launched) != "SUCCESS":
        sys.exit("the rebuild failed")
    job = "activate_pointers_job"
    served.wait_for_end(job, until("the activation", lambda: next(iter(served.runs(job)), None), WORK_SECONDS))
    # The checks `active` then have a result, which the sensor would write in its next tick.
    served.wait_for_end("check_pointers_job", served.launch("check_pointers_job"))


def _take_pictures(url: str) -> dict[str, int]:
    """Write each picture once its page shows its data, and return the sizes in bytes by file name."""
    IMAGES.mkdir(exist_ok=True)
    with open_browser_page() as page:
        page.set_viewport_size(VIEWPORT)
        for name, (path, content) in PAGES.items():
            _open(page, f"{url}/{path}", content)
            page.screenshot(path=str(IMAGES / name), animations="disabled", scale="css")
        page.set_viewport_size(GRAPH_VIEWPORT)
        page.get_by_text("Hide navigation").click()  # the browser remembers it
        _open(page, f"{url}/{GRAPH[0]}", GRAPH[1])
        graph = IMAGES / "dagster-graph.png"
        page.screenshot(path=str(graph), animations="disabled", scale="css", clip=GRAPH_CLIP)
    return {name: (IMAGES / name).stat().st_size for name in (*PAGES, graph.name)}


def _open(page: Any, url: str, content: str) -> None:
    page.goto(url, wait_until="domcontentloaded")
    page.locator(content).first.wait_for()
    page.wait_for_timeout(_SETTLE_MILLISECONDS)


def _take_picture_of_health(root: Path) -> dict[str, int]:
    """Write the picture of the health page, and return its size."""
    toml, yesterday = root / "registry-pipeline.toml", datetime.now(UTC) - timedelta(1)  # noqa: TID251 - an entry point
    # (1) The days of the page, and limits that fit the operations.
    first = load_repository(root).config.history_start
    _call(root, "build", "drift_signals_daily", "--as-of", f"{first}..{yesterday:%Y-%m-%d}")
    limits = json.loads(_call(root, "doctor", "--json"))["proposed_limits"]
    lines = [line for line in toml.read_text(encoding="utf-8").splitlines() if not line.startswith("stale_days")]
    lines += ["[stale_days.operations]", *(f'"{limit["operation_id"]}" = {limit["limit_days"]}' for limit in limits)]
    toml.write_text("\n".join([*lines, ""]), encoding="utf-8")
    author = ("-c", "user.name=Ada", "-c", "user.email=ada@example.invalid")
    subprocess.run(["git", *author, "commit", "--quiet", "--all", "-m", "Limits"], cwd=root, check=True)
    # (2) The page itself.
    page_path = root / json.loads(_call(root, "report", "--json"))["page"]
    target = IMAGES / "health-page.png"
    with open_browser_page() as page:
        page.set_viewport_size({"width": 1120, "height": 1000})
        page.goto(page_path.as_uri())
        page.screenshot(path=str(target), animations="disabled", scale="css")
    return {target.name: target.stat().st_size}


def _call(root: Path, *words: str) -> bytes:
    command = [sys.executable, "-m", "registry_pipeline", "-C", str(root), *words]
    return subprocess.run(command, check=True, capture_output=True).stdout


if __name__ == "__main__":
    sys.exit(main())
