"""A process that records diagnostics: `python -m … STORE NAME TIMES WAIT`; it says "ready", waits, then writes."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from registry_pipeline.registries.roles.diagnostics import Diagnostic, record_diagnostics

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def diagnostic(name: str, **changes: object) -> Diagnostic:
    """Return a diagnostic whose fingerprint follows from a name."""
    fingerprint = name.encode().hex().ljust(64, "0")[:64]
    fields: dict[str, object] = {
        "fingerprint": fingerprint,
        "message": f"role_id {name} was published and is missing",
        "severity": "error",
        "surface": "assets/pack.json",
        "tool": "roles check",
        "code": "RR001",
    }
    return Diagnostic(**(fields | changes))  # type: ignore[arg-type]  # a test may say anything


def main() -> None:
    """Record one shared diagnostic and one of this process's own, again and again."""
    store, name, times, wait = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    for _ in range(times):
        record_diagnostics(store, [diagnostic("shared"), diagnostic(name)], NOW, wait_seconds=wait)


if __name__ == "__main__":
    main()
