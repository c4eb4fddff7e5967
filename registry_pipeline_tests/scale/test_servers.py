"""The servers of the tests: a missing one fails, and none outlives the tests."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from registry_pipeline_tests.defs.served import START_SECONDS, until
from registry_pipeline_tests.scale.servers import find_server_program

pytestmark = pytest.mark.process

START_BOTH = """
import os, sys
from registry_pipeline_tests.scale.servers import run_postgres, run_redis
with run_postgres() as postgres, run_redis() as redis:
    print(postgres.process_id, redis.process_id, flush=True)
    sys.stdin.read()
"""


def test_a_missing_server_fails_the_test_and_names_its_package() -> None:
    with pytest.raises(pytest.fail.Exception, match="apt-get install postgresql"):
        find_server_program("no-such-initdb", "postgresql")


def test_the_servers_end_when_the_process_of_the_tests_is_killed() -> None:
    tests = subprocess.Popen([sys.executable, "-c", START_BOTH], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert tests.stdout is not None
    servers = [int(word) for word in tests.stdout.readline().split()]
    assert len(servers) == 2
    tests.kill()
    tests.communicate()

    def ended() -> bool | None:
        for server in servers:
            try:
                os.kill(server, 0)
            except ProcessLookupError:
                continue
            return None
        return True

    until("the end of the servers", ended, START_SECONDS)
