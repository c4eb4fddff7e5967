"""PostgreSQL and Redis on loopback, in temporary folders, for the time of a test session."""

from __future__ import annotations

import ctypes
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2  # type: ignore[import-untyped]
import pytest
import redis

from registry_pipeline_tests.defs.served import START_SECONDS, until

HOST = "127.0.0.1"
_PR_SET_PDEATHSIG = 1
_OTHER_USER = "postgres"


@dataclass(frozen=True)
class Postgres:
    """A server; each test has a database of its own."""

    port: int
    password: str
    process_id: int

    def connect(self, database: str = "postgres") -> Any:
        return psycopg2.connect(
            host=HOST, port=self.port, user="dagster", password=self.password, dbname=database, connect_timeout=5
        )

    def make_database(self) -> dict[str, str]:
        """Make an empty database, and return the variables that deploy/dagster.yaml reads."""
        name = f"dagster_{secrets.token_hex(4)}"
        connection = self.connect()
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
        connection.close()
        return {
            "DAGSTER_PG_USERNAME": "dagster",
            "DAGSTER_PG_PASSWORD": self.password,
            "DAGSTER_PG_HOST": HOST,
            "DAGSTER_PG_PORT": str(self.port),
            "DAGSTER_PG_DB": name,
        }


def find_server_program(name: str, package: str, folders: Sequence[Path] = ()) -> str:
    """Return the path of a server's program; a missing one fails the test, it is never skipped."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *map(str, folders)]))
    if found is None:
        pytest.fail(f"{name} is missing. Install it: apt-get install {package}")
    return found


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def end_with_parent(number: signal.Signals) -> Callable[[], None]:
    """Return what a child calls to get a signal when this process ends, however it ends (Linux only)."""
    prctl = ctypes.CDLL(None).prctl

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, int(number))

    return ask


@contextmanager
def run_server(
    command: Sequence[str], log: Path, stop_with: signal.Signals, account: Mapping[str, Any]
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a server that ends with this process, and stop it at the end of the block."""
    with log.open("ab") as sink:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
            preexec_fn=end_with_parent(stop_with),  # noqa: PLW1509 - no other thread forks
            **account,
        )
    try:
        yield process
    finally:
        process.send_signal(stop_with)
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _account() -> dict[str, Any]:
    """Return the arguments of Popen for another user than root, whom initdb and postgres refuse."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam(_OTHER_USER)  # made by Debian's package
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": [], "cwd": "/"}


@contextmanager
def temporary_folder(account: Mapping[str, Any]) -> Iterator[Path]:
    """Make a folder for a server: below pytest's own folders, which only root can enter, it could not work."""
    folder = Path(tempfile.mkdtemp(prefix="registry-pipeline-server-"))
    try:
        if account:
            os.chown(folder, account["user"], account["group"])
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def run_postgres() -> Iterator[Postgres]:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    initdb = find_server_program("initdb", "postgresql", folders)
    program = find_server_program("postgres", "postgresql", folders)
    account, port, password = _account(), find_free_port(), secrets.token_hex(16)
    with temporary_folder(account) as folder:
        secret, data = folder / "password", folder / "data"
        secret.write_text(password, encoding="ascii")
        options = ["--auth=scram-sha-256", f"--pwfile={secret}", "--username=dagster", "--encoding=UTF8"]
        made = subprocess.run(
            [initdb, *options, "--no-sync", "--locale=C", "-D", str(data)], capture_output=True, check=False, **account
        )
        assert made.returncode == 0, made.stderr
        settings = {
            "listen_addresses": HOST,
            "port": port,
            "unix_socket_directories": "",
            # A test database needs not survive a power cut.
            "fsync": "off",
            # Far from UTC: a time that is read in the zone of the server would be wrong by half a day.
            "timezone": "Pacific/Kiritimati",
        }
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        # A fast shutdown: it does not wait for clients.
        with run_server([program, "-D", str(data), *flags], folder / "log", signal.SIGINT, account) as process:
            server = Postgres(port, password, process.pid)

            def answers() -> bool | None:
                assert process.poll() is None, (folder / "log").read_text(encoding="utf-8")
                with suppress(psycopg2.OperationalError):
                    server.connect().close()
                    return True
                return None

            until("PostgreSQL", answers, START_SECONDS)
            yield server


@dataclass
class Redis:
    """A server; each test has two of its databases, the queue and the results."""

    port: int
    password: str
    process_id: int
    taken: int = 0

    def take_databases(self) -> dict[str, str]:
        """Return the variables that Celery reads."""
        number = self.taken
        self.taken += 2
        address = f"redis://:{self.password}@{HOST}:{self.port}"
        return {"CELERY_BROKER_URL": f"{address}/{number}", "CELERY_RESULT_BACKEND": f"{address}/{number + 1}"}


@contextmanager
def run_redis() -> Iterator[Redis]:
    program = find_server_program("redis-server", "redis-server")
    account, port, password = _account(), find_free_port(), secrets.token_hex(16)
    with temporary_folder(account) as folder:
        settings = folder / "redis.conf"
        settings.write_text(
            f"bind {HOST}\nport {port}\ndir {folder}\nrequirepass {password}\ndatabases 64\nsave ''\nappendonly no\n",
            encoding="ascii",
        )
        with run_server([program, str(settings)], folder / "log", signal.SIGTERM, account) as process:

            def answers() -> bool | None:
                assert process.poll() is None, (folder / "log").read_text(encoding="utf-8")
                with suppress(redis.ConnectionError):
                    return bool(redis.Redis(HOST, port, password=password).ping())
                return None

            until("Redis", answers, START_SECONDS)
            yield Redis(port, password, process.pid)
