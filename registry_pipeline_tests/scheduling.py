"""How pytest-xdist distributes the tests. Imported only where pytest-xdist runs."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

SERVERS = (
    "cli/test_ui.py",
    "defs/test_history_served.py",
    "defs/test_served.py",
    "defs/test_strain_daemon.py",
)


class ServersOnOneWorker(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Give each test to the next free worker, and all tests that start Dagster's servers to one worker, as the first.

    They mostly wait, so that `make test` has one worker more than processors. xdist's own `xdist_group` marks have no
    effect under this pytest: it no longer reads the node ids that they rewrite.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0].removeprefix("registry_pipeline_tests/")
        return "servers" if file in SERVERS else nodeid
