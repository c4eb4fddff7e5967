"""RFC 3161 time stamps of a hash, by `openssl ts`: the request, and the check of an authority's answer."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from registry_pipeline.canonical import is_sha256
from registry_pipeline.errors import RegistryPipelineError
from registry_pipeline.signing.process import find_last_line, hold_in_memory, run_program
from registry_pipeline.values import value_type

# What the authority signed begins after this line.
_SIGNED_PART: Final = "\nTST info:\n"
_TIME: Final = "Time stamp: "
_IMPRINT: Final = "Message data:"
# Sixteen bytes of a dump.
_DUMP_WIDTH: Final = 47


def make_request(sha256: str) -> bytes:
    """Return a request for a time stamp of a hash; raise NotFoundError if OpenSSL is not installed."""
    done = _run("-query", "-sha256", "-digest", sha256, "-cert")
    if done.returncode != 0:
        raise RegistryPipelineError(
            f"openssl made no request: {find_last_line(done.stderr)}", "try `openssl ts -query`"
        )
    return done.stdout


@value_type
class TimeStamp:
    """What an authority answered: the hash that it saw, and when, in UTC."""

    sha256: str
    moment: datetime


def read_response(response: bytes, authorities: bytes) -> TimeStamp | str:
    """Return the time stamp in an answer of an authority, or why it proves nothing.

    `authorities` are the certificates (PEM) that are trusted. They must be valid at the time that the stamp states, not
    today: a stamp proves the same after the certificate has expired.

    Raises:
        NotFoundError: OpenSSL is not installed, or does not end.
    """
    # (1) The token, which is signed; anybody can write another status around it.
    with hold_in_memory(response) as number:
        token = _run("-reply", "-in", f"/dev/fd/{number}", "-token_out", files=[number]).stdout
    with hold_in_memory(token) as given, hold_in_memory(authorities) as trusted:
        files, source = [given, trusted], ["-token_in", "-in", f"/dev/fd/{given}"]
        # (2) What it says. OpenSSL prints it, and checks only a token of a hash that it is given.
        text = _run("-reply", *source, "-text", files=files).stdout.decode("utf-8", "replace")
        lines = text.partition(_SIGNED_PART)[2].splitlines()
        stated, moment = _parse_imprint(lines), _parse_time(lines)
        if stated is None or moment is None:
            return "it is no answer to a request for a time stamp"
        # (3) Whether an authority signed that.
        authority = ["-CAfile", f"/dev/fd/{trusted}", "-attime", str(int(moment.timestamp()))]
        done = _run("-verify", "-digest", stated, *source, *authority, files=files)
    return TimeStamp(stated, moment) if done.returncode == 0 else _find_reason(done.stderr)


def _parse_imprint(lines: Sequence[str]) -> str | None:
    """Return the hash in a dump whose lines are as `    0000 - 4f a2 e3 ab 97 99 05 71-63 69 ...   <text>`."""
    start = next((number for number, line in enumerate(lines, start=1) if line.startswith(_IMPRINT)), len(lines))
    digits = ""
    for line in lines[start:]:
        offset, separator, dump = line.partition(" - ")
        if not separator or not offset.strip().isalnum():
            break
        digits += "".join(dump[:_DUMP_WIDTH].replace("-", " ").split())
    return digits if is_sha256(digits) else None


def _parse_time(lines: Sequence[str]) -> datetime | None:
    """Return the time in a line such as `Time stamp: Mar  1 12:00:00.25 2026 GMT`."""
    line = next((line for line in lines if line.startswith(_TIME)), "")
    words = line.removeprefix(_TIME).split()
    try:
        month, day, clock, year, _zone = words
        text = f"{month} {day} {clock.partition('.')[0]} {year}"
        return datetime.strptime(text, "%b %d %H:%M:%S %Y").replace(tzinfo=UTC)
    except ValueError:
        return None


def _find_reason(output: bytes) -> str:
    """Return the last reason that OpenSSL gives, in its words."""
    # `40D7...:error:17800064:time stamp routines:ts_verify_cert:reason:file:188:detail`
    fields = find_last_line(output).split(":")
    return fields[5] if len(fields) > 5 else fields[-1]


def _run(*arguments: str, files: Sequence[int] = ()) -> subprocess.CompletedProcess[bytes]:
    return run_program(["openssl", "ts", *arguments], files=files, advice="install OpenSSL")
