"""The store that the pointer files of `cases/pointers` refer to: its runs with their verdicts and inputs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from registry_pipeline.canonical import parse_utc
from registry_pipeline.config import Config, Repository
from registry_pipeline.findings.codes import finding
from registry_pipeline.findings.finding import Finding
from registry_pipeline.pointers.check_pointers import check_pointers
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.runs.envelope import InputRegistry, Inputs
from registry_pipeline.runs.reference import PointerFile, SealedRef
from registry_pipeline.runs.sealed_run import Verdict

STORE: dict[str, Any] = json.loads((Path(__file__).parents[1] / "cases" / "pointers" / "store.json").read_bytes())
POINTERS = ".codex/ACTIVE_REGISTRY_POINTERS_v0_1.json"
NOW = parse_utc(STORE["now"]) or datetime.max.replace(tzinfo=UTC)


def verdict_of(ref: SealedRef) -> Verdict | None:
    run = STORE["runs"].get(ref.run_id)
    if run is None:
        return None
    path = f"{ref.run_root}/{ref.run_id}"
    findings = tuple(finding(code, path, detail="altered") for code in run["codes"])
    root, stated = run["root_sha256"], run.get("repository_id")
    return Verdict(path, ref.run_id, run["registry_id"], run["verdict"], root, findings, repository_id=stated)


def inputs_of(ref: SealedRef) -> Inputs | None:
    upstream = STORE["runs"][ref.run_id]["upstream"]
    refs = {
        name: SealedRef(run, ".codex/RUNS", None, STORE["runs"][run]["root_sha256"]) for name, run in upstream.items()
    }
    return Inputs(tuple(InputRegistry(name, "upstream", used) for name, used in refs.items())) if refs else None


def check_pointer_file(parsed: PointerFile, now: datetime, repository_id: str | None = None) -> tuple[Finding, ...]:
    return check_pointers(
        parsed,
        repository=Repository(Path("/nowhere"), Config(pointers=POINTERS, repository_id=repository_id)),
        specs=SHIPPED.registries,
        verdict_of=verdict_of,
        inputs_of=inputs_of,
        now=now,
        marked_bad=STORE["marked_bad"],
        accepted_foreign=frozenset(STORE["accepted_foreign"].items()),
    )
