"""Start ssh-keygen and openssl: what they read is in memory, and none of them is waited for without a limit."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from registry_pipeline.errors import NotFoundError
from registry_pipeline.files.atomic_write import write_all_bytes

LIMIT_SECONDS: Final = 60
"""For a check, which needs milliseconds."""
SIGNING_LIMIT_SECONDS: Final = 600
"""For a signature: a person may have to look for a passphrase or a token."""


@contextmanager
def hold_in_memory(data: bytes) -> Iterator[int]:
    """Yield the number of an open file in memory with these bytes, which a program opens as `/dev/fd/<number>`.

    So no key and no signature becomes a file, and no program waits for a pipe that somebody put in place of a file.
    """
    number = os.memfd_create("signing")
    try:
        write_all_bytes(number, data)
        yield number
    finally:
        os.close(number)


def run_program(
    command: Sequence[str],
    given: bytes = b"",
    *,
    files: Sequence[int] = (),
    limit: float | None = None,
    advice: str = "install OpenSSH 8.8 or newer",
) -> subprocess.CompletedProcess[bytes]:
    """Return how a program ended; `files` are those of `hold_in_memory`, `advice` is for a missing program.

    Raises:
        NotFoundError: it cannot be started, or did not end within `limit` seconds, by default `LIMIT_SECONDS`.
    """
    program, environment = command[0], {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    limit = LIMIT_SECONDS if limit is None else limit
    try:
        return subprocess.run(
            command, input=given, capture_output=True, env=environment, check=False, pass_fds=files, timeout=limit
        )
    except subprocess.TimeoutExpired:
        raise NotFoundError(f"{program} did not end within {limit} seconds", "run the command again") from None
    except OSError as error:
        reason = error.strerror or "it could not be started"
        raise NotFoundError(f"{program} cannot be run: {reason}", advice) from None


def find_last_line(output: bytes) -> str:
    """Return the last line that a program printed, or that it printed none."""
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return lines[-1].strip() if lines else "it gave no reason"
