"""A small repository for the tests of writers."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from registry_pipeline.config import Repository, load_repository
from registry_pipeline.registries.entries.change_plan import ChangeRequest
from registry_pipeline.registries.entries.service import GivenEntry, WriteResult, add_entries

TYPES = "modules/overview/type_registry.yaml"
INSTANCES = "modules/overview/instance_registry.yaml"
HOOK = ".system/hooks/tidy.yaml"
ASKED = ChangeRequest("Ada", datetime(2026, 3, 1, 12, tzinfo=UTC))

BEFORE = {
    TYPES: b"types:\n  - id: gauge # first\n    description: Reads one gauge.\n",
    INSTANCES: b"instances: []\n",
}
"""What the repository holds; a change of three files replaces two of them and makes the third."""

THREE = (
    GivenEntry("module_type", {"id": "service", "description": "Serves."}, "a test"),
    GivenEntry(
        "module_instance",
        {"module_id": "api", "description": "x", "module_type": "service", "status": "active"},
        "a test",
    ),
    GivenEntry("hook", {"id": "tidy", "description": "Tidies up.", "event_type": "SessionStop"}, "a test"),
)


def make_small(root: Path) -> Repository:
    """Return a new repository that holds `BEFORE`."""
    (root / ".codex/RUNS").mkdir(parents=True)
    for path, data in BEFORE.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return load_repository(root)


def add_three(repository: Repository) -> WriteResult:
    """Write the change of three files."""
    return add_entries(repository, THREE, ASKED, dry_run=False)


def contents_of(root: Path) -> dict[str, bytes]:
    """Return the content files, and nothing of the writer's state."""
    paths = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return {path: (root / path).read_bytes() for path in paths if not path.startswith(".codex/")}
