"""How pytest-xdist distributes the tests. Imported only where pytest-xdist runs."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

# Modules that one worker tests. A group of servers takes two to three minutes, in which its worker mostly waits for
# intervals of Dagster's daemon. The modules of the last group share an environment with our wheel.
GROUPS: Final = {
    "cli/test_ui.py": "servers 1",
    "defs/test_pages.py": "servers 2",
    "defs/test_served.py": "servers 2",
    "defs/test_load_daemon.py": "servers 2",
    "defs/test_starts.py": "servers 1",
    "scale/test_backfill.py": "servers 3",
    "scale/test_servers.py": "servers 3",
    "scale/test_shards.py": "servers 3",
    "scale/test_whole_graph.py": "servers 3",
    "house/test_dagster_project.py": "wheel",
    "house/test_packaging.py": "wheel",
}

# The other modules that take more than ten seconds of a processor, the longest first. A wrong row costs time only.
LONGEST: Final = (
    "faults/test_commands.py",
    "cli/test_printed_advice.py",
    "patterns/test_linear_time.py",
    "defs/test_activation.py",
    "defs/test_load.py",
    "defs/test_green.py",
    "defs/test_sensor.py",
    "defs/test_one_role_verdict.py",
    "cli/test_workflows.py",
    "defs/test_rebuild.py",
    "defs/test_failure_sensors.py",
    "defs/test_up_to_date.py",
    "defs/test_processes.py",
    "cli/test_archives.py",
    "defs/test_overlapping.py",
    "defs/test_cli_builds.py",
    "defs/test_automation.py",
    "defs/test_own_registries.py",
    "defs/test_collections.py",
    "cli/test_standalone.py",
    "cli/test_six_commands.py",
)


def find_group(nodeid: str) -> str:
    """Return the group of a test: its module, or several modules of `GROUPS`."""
    module = nodeid.partition("::")[0].removeprefix("registry_pipeline_tests/")
    return GROUPS.get(module, module)


def sort_items(items: list[pytest.Item]) -> None:
    """Sort the tests: those of `GROUPS`, of the longest modules, then of the modules with the most tests."""
    sizes = Counter(find_group(item.nodeid) for item in items)
    first = [*sorted(set(GROUPS.values())), *LONGEST]
    groups = [*first, *(group for group, _ in sizes.most_common() if group not in first)]
    ranks = {group: rank for rank, group in enumerate(groups)}
    items.sort(key=lambda item: ranks[find_group(item.nodeid)])


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Give each group to the next free worker, in the order of `sort_items`.

    What a module makes for all its tests is made once. The groups of servers mostly wait, so that `make test` has two
    workers more than processors. xdist's own `xdist_group` marks have no effect under this pytest: it no longer reads
    the node ids that they rewrite.
    """

    def __init__(self, config: pytest.Config, log: Any) -> None:
        config.option.loadscopereorder = False  # it would sort by the number of tests
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return find_group(nodeid)
