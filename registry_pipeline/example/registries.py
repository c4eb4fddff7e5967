"""The role pack, the run index and the overrides log of the example.

`data/roles.toml` lists the forty roles of a studio that draws and films the tides; the pack grows in five steps. Roles
and contracts are only added: a changed contract gets a new version, and a role that is not used any more is deprecated.

The run index has several thousand songs from two machines. Every record follows the rules, but a few lack a Final Save
field, so that checks have warnings.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from registry_pipeline.canonical import json_document, json_line, utc_text
from registry_pipeline.example.schedule import draw
from registry_pipeline.example.sources import read_table

PACK_PATH: Final = "assets/atelier_rolepack_digital_production_studio_v1.json"
STEPS: Final = 5
"""How many versions of the pack were published."""
_POLICIES: Final = ("disabled", "queue_only", "queue_only", "auto_accept_with_threshold")
_TOOLS: Final = ("frame_grab", "tide_table", "transcript", "glossary", "chart_render", "reel_index")
_PROFILES: Final = ("tide_film", "bulletin", "tide_table", "harbour_notice")


def make_role_pack(step: int) -> bytes:
    """Return the pack as the studio published it in a step, from 1 to `STEPS`."""
    roles = [_format_role(role, step) for role in read_table("roles.toml")["roles"] if role["added_in"] <= step]
    return json_document(
        {
            "pack_id": "digital_production_studio",
            "pack_version": str(step),
            "spec_id": "studio_roles_v1",
            "roles": roles,
        }
    )


def _format_role(role: dict[str, Any], step: int) -> dict[str, Any]:
    role_id, department = role["role_id"], role["department"]
    return {
        "role_id": role_id,
        "department_id": department,
        "display_name": role_id.replace("_", " ").title(),
        "modes_supported": ["representational", "conceptual"][draw(2, role_id, "modes") :],
        "content_profiles_supported": [name for name in _PROFILES if draw(2, role_id, name)] or [_PROFILES[0]],
        "claim_features": [f"{department}.{name}" for name in role["extracts"]],
        "extract_contracts": _format_contracts(role, "X", step),
        "produce_contracts": _format_contracts(role, "C", step),
        "allowed_models": ["studio-large", "studio-small"][draw(2, role_id, "models") :],
        "allowed_tools": [name for name in _TOOLS if draw(3, role_id, name) == 0],
        "vocab_namespace": f"studio.{department}",
        "proposal_policy": _POLICIES[draw(len(_POLICIES), role_id, "policy")],
        "aliases": role.get("aliases", []),
        "lifecycle": "deprecated" if role.get("deprecated_in", STEPS + 1) <= step else "active",
    }


def _format_contracts(role: dict[str, Any], kind: str, step: int) -> list[dict[str, Any]]:
    """Return every version of a contract (`kind` X or C) that was published up to a step; empty if there is none."""
    role_id = role["role_id"]
    verb = "extracts" if kind == "X" else "produces"
    names = role.get(verb)
    if not names:
        return []
    title = f"What the {role_id.replace('_', ' ')} {verb}"
    bumps = [at for at in role.get("new_versions_in", {}).get(kind, ()) if at <= step]
    return [
        {"contract_id": f"ROLE:{role_id}:{kind}:{version}", "schema_json": _format_schema(title, names, version)}
        for version in range(1, len(bumps) + 2)
    ]


def _format_schema(title: str, names: list[str], version: int) -> dict[str, Any]:
    """Return a contract's schema; each version has more properties than the previous one."""
    texts = {"type": "array", "items": {"type": "string", "minLength": 1}}
    properties: dict[str, Any] = dict.fromkeys(names, texts)
    required = list(names)
    if version > 1:
        properties["confidence"] = {"type": "number", "minimum": 0, "maximum": 1}
        required.append("confidence")
    if version > 2:
        properties["evidence"] = texts
    return {
        "title": title,
        "contract_version": version,
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": False,
    }


RUN_INDEX_PATH: Final = "60-REGISTRY/data/run-index.jsonl"
OVERRIDES_PATH: Final = "60-REGISTRY/data/overrides-log.jsonl"
RUNS: Final = 2_880
"""So many runs, the last of them six hours before the end; about one in ten has a second record."""
_STEP: Final = timedelta(minutes=45)
_LETTERS: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_ARTISTS: Final = ("ART-heron", "ART-old-lock", "ART-cinder-wharf", "ART-north-groyne")
_GENRES: Final = ("GEN-ambient", "GEN-shanty", "GEN-hymn")
_CHECKS: Final = (
    ("uniqueness_hook", "HOOK_REUSE", "hook_family_id", "HKF-tide-turns"),
    ("uniqueness_scene", "SCENE_COLLISION", "scene_fingerprint_hash", "5d41402abc4b2a76"),
    ("uniqueness_scripture", "SCRIPTURE_REUSE", "scripture_packet_id", "SCR-20251101-0600-SALT"),
)
Line = dict[str, Any]


def make_run_index_files(end: datetime, until: datetime) -> dict[str, bytes]:
    """Return the two logs as they were at `until`, bytes by path; the log of a later instant starts with it.

    `end` is the example's last instant, from which the runs are counted back.
    """
    runs, overrides = _make_dated_records(end)
    return {
        RUN_INDEX_PATH: b"".join(json_line(record) for at, record in runs if at <= until),
        OVERRIDES_PATH: b"".join(json_line(record) for at, record in overrides if at <= until),
    }


def _make_dated_records(end: datetime) -> tuple[list[tuple[datetime, Line]], list[tuple[datetime, Line]]]:
    runs: list[tuple[datetime, Line]] = []
    overrides: list[tuple[datetime, Line]] = []
    for number in range(RUNS):
        at = end - timedelta(hours=6) - _STEP * (RUNS - number)
        record = _make_run(number, at)
        runs.append((at, record))
        overrides += _make_overrides(number, at, record)
        if number % 11 == 5:
            later = at + timedelta(minutes=20)
            record = _make_later_record(record, number, later)
            runs.append((later, record))
        if number % 240 == 100:
            later = at + timedelta(minutes=30)
            runs.append((later, _make_correction(record, later)))
    return sorted(runs, key=lambda each: each[0]), sorted(overrides, key=lambda each: each[0])


def _make_run(number: int, at: datetime) -> Line:
    passed = draw(10, "gate", number) < 7 or number % 240 in (60, 100)
    machine = "C1" if draw(3, "machine", number) else "C2"
    run_id = _make_id("RUN", at, number)
    record: Line = {
        "record_type": "RUN",
        "run_id": run_id,
        "created_utc": utc_text(at) if draw(2, "seconds", number) else at.strftime("%Y-%m-%dT%H:%MZ"),
        "created_by": ("human", "gpt", "windsurf", "claude")[draw(4, "by", number)],
        "machine_id": machine,
        "artist_id": _ARTISTS[draw(len(_ARTISTS), "artist", number)],
        "genre_id": _GENRES[draw(len(_GENRES), "genre", number)],
        "scripture_packet_id": _make_id("SCR", at, number),
        "story_id": _make_id("SF", at, number),
        "song_frame_id": _make_id("SFR", at, number),
    }
    if passed:
        record |= {"work_id": _make_id("WORK", at, number), "version_ids": [_make_id("VER", at, number)]}
    record |= {
        "qa_gate0": "PASS",
        "qa_gate1": "PASS" if passed else "REWRITE_REQUIRED",
        "qa_gate2": "PASS" if passed else "FAIL",
        **{check: "PASS" for check, *_ in _CHECKS},
    }
    failed = _select_failed_check(number, passed=passed)
    if failed is not None:
        record[_CHECKS[failed][0]] = "FAIL"
    if number % 500 != 250:  # a run now and then forgets where its log lies
        record["run_log_filepath_abs"] = _format_run_log_path(machine, run_id)
    return record


def _select_failed_check(number: int, *, passed: bool) -> int | None:
    """Return the index of the check in _CHECKS that a run failed, or None; one with an override failed and passed."""
    if number % 240 in (60, 100):
        return number // 240 % len(_CHECKS)
    return draw(len(_CHECKS), "check", number) if not passed and draw(3, "failed", number) == 0 else None


def _format_run_log_path(machine: str, run_id: str) -> str:
    return f"/srv/songs/runlogs/{run_id}.md" if machine == "C1" else f"C:\\songs\\runlogs\\{run_id}.md"


def _make_later_record(record: Line, number: int, at: datetime) -> Line:
    """Return a later record of a run: with one more version, or with a note if the run has none."""
    more: Line = {"last_updated_utc": utc_text(at)}
    if "version_ids" in record:
        more["version_ids"] = [*record["version_ids"], _make_id("VER", at, number + RUNS)]
    else:
        more["notes"] = "set aside for another night"
    return record | more


def _make_correction(record: Line, at: datetime) -> Line:
    """Return the later record of a run whose override was voided: it does not pass any more."""
    return record | {"last_updated_utc": utc_text(at), "qa_gate2": "FAIL", "corrects": ["qa_gate2"]}


def _make_overrides(number: int, at: datetime, record: Line) -> Iterator[tuple[datetime, Line]]:
    """Yield the override of a run and, for some, the update that voids it, each with its time; most runs have none."""
    if number % 240 not in (60, 100):
        return
    _, kind, field, value = _CHECKS[number // 240 % len(_CHECKS)]
    override: Line = {
        "record_type": "OVERRIDE",
        "override_id": _make_id("OVR", at, number),
        "created_utc": utc_text(at - timedelta(minutes=5)),
        "approved_by": "Ines Marsh",
        "override_type": kind,
        "artist_id": record["artist_id"],
        "genre_id": record["genre_id"],
        "run_id": record["run_id"],
        "policy_failed": f"{kind.split('_')[0].lower()} used within thirty days",
        "why_allowed": "asked for by the listeners",
        field: value,
    }
    yield at - timedelta(minutes=5), override
    if number % 240 == 100:
        voided = at + timedelta(minutes=25)
        update = {"record_type": "OVERRIDE_UPDATE", "override_id": override["override_id"]}
        status = {
            "update_utc": utc_text(voided),
            "updated_by": "Tomas Weir",
            "update_type": "STATUS",
            "status": "voided",
        }
        yield voided, update | status


def _make_id(prefix: str, at: datetime, number: int) -> str:
    digits, left = "", draw(len(_LETTERS) ** 4, prefix, number)
    for _ in range(4):
        left, digit = divmod(left, len(_LETTERS))
        digits += _LETTERS[digit]
    return f"{prefix}-{at:%Y%m%d-%H%M}-{digits}"
