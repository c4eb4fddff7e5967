"""How pytest-xdist distributes the tests. Imported only where pytest-xdist runs."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

# Module to its group. A group takes two to three minutes, in which its worker waits for intervals of Dagster's daemon.
SERVERS = {
    "cli/test_ui.py": "servers 1",
    "defs/test_automation_served.py": "servers 1",
    "defs/test_history_served.py": "servers 1",
    "defs/test_locations_served.py": "servers 2",
    "defs/test_own_registries_served.py": "servers 1",
    "defs/test_pages.py": "servers 2",
    "defs/test_served.py": "servers 2",
    "defs/test_load_daemon.py": "servers 2",
    "defs/test_starts.py": "servers 1",
    "scale/test_backfill.py": "servers 2",
    "scale/test_kill.py": "servers 2",
    "scale/test_whole_graph.py": "servers 1",
}


class ServersOnTwoWorkers(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Give each test to the next free worker; before that, give each group of `SERVERS` to a worker of its own.

    They mostly wait, so that `make test` has two workers more than processors. xdist's own `xdist_group` marks have no
    effect under this pytest: it no longer reads the node ids that they rewrite.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0].removeprefix("registry_pipeline_tests/")
        return SERVERS.get(file, nodeid)
