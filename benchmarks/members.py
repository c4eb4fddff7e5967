"""One new member of a collection, against a script that reads all of them: python benchmarks/members.py [N].

N ranges of days (default 10,000) are sealed and in the index, and one more has come. Each way finds it and seals it:

- the script hashes every source, reads the run.json of every sealed folder to know what it contains, and writes one
  folder with its hashes; it syncs and verifies nothing;
- ours opens no old source and no old folder; it seals, verifies and validates the new folder and a new index;
- the same without its cache: every source is hashed and compared with the index;
- the last row finds nothing new.

The member that is found is compared. A growth curve follows, from an eighth of N on.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from side_by_side import Costs, Results, folders_wanted, measure_in_turns

from registry_pipeline.config import Repository, load_repository
from registry_pipeline.git.values import GitState
from registry_pipeline.pipeline.collection import build_collection
from registry_pipeline.registries.base.seal_build import BuildRun
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.registries.validation import validate

SPEC = SHIPPED.spec_of("validation_range_results")
SOURCE = "reports/validation"
# Later than every file that the benchmark writes, so that the cache trusts them.
BEGUN = datetime(2100, 1, 1, tzinfo=UTC)
NEW = "new"


def write_member(root: Path, member_id: str) -> None:
    """Write the results of a week."""
    day = {"range_run_id": member_id, "day_run_id": member_id, "symbol": "GBPUSD", "status": "PASS", "ovc_blocks": 12}
    lines = [json.dumps(day | {"date_ny": f"2026-01-0{number}", "reasons": []}) for number in range(1, 8)]
    (root / SOURCE / f"validate_range_{member_id}_days.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def build(repository: Repository, minute: int) -> list[str]:
    """Seal what is new, validate the index, and return the ids of the sealed members."""
    run = BuildRun(BEGUN + timedelta(minutes=minute), GitState(None, None))
    result = build_collection(repository, run, SPEC)
    assert result.index is not None
    assert validate(repository, result.index).passed
    return [member.member_id for member in result.sealed]


def prepare(root: Path, count: int) -> Repository:
    """Make N members, seal them, and let one more come."""
    (root / SOURCE).mkdir(parents=True)
    (root / ".codex/RUNS").mkdir(parents=True)
    repository = load_repository(root)
    for number in range(count):
        write_member(root, f"{number:06}")
    build(repository, 0)
    write_member(root, NEW)
    return repository


def remove_minute(root: Path, minute: int) -> None:
    """Remove the run folders of one build."""
    for folder in (root / ".codex/RUNS").glob(f"2100-01-01__00{minute:02}00__*"):
        folder.chmod(0o755)
        shutil.rmtree(folder)


def plain(root: Path) -> list[str]:
    """Read every source and every sealed folder, and seal what is new, as a careful colleague would in an hour."""
    sealed = set()
    for folder in (root / ".codex/RUNS").iterdir():
        if (folder / "run.json").exists():
            run_json = json.loads((folder / "run.json").read_bytes())
            sealed |= {(file["path"], file["sha256"]) for file in run_json["inputs"]["files"]}
    found = []
    for path in sorted((root / SOURCE).glob("validate_range_*_days.jsonl")):
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if (f"{SOURCE}/{path.name}", digest) in sealed:
            continue
        member_id = path.name.removeprefix("validate_range_").removesuffix("_days.jsonl")
        folder = root / ".codex/RUNS" / f"2100-01-01__000900__{member_id}__seal_validation_range_results"
        folder.mkdir()
        run_json = json.dumps({"run_id": folder.name, "inputs": {"files": [{"path": path.name, "sha256": digest}]}})
        files = {path.name: data, "run.json": run_json.encode()}
        for name, content in files.items():
            (folder / name).write_bytes(content)
        lines = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items())]
        root_sha256 = hashlib.sha256("".join(lines).encode()).hexdigest()
        (folder / "MANIFEST.sha256").write_text("".join(lines) + f"ROOT_SHA256  {root_sha256}\n", encoding="utf-8")
        found.append(member_id)
    return found


def compare(place: Path, count: int) -> Costs:
    """Return the costs of each way over N sealed members and a new one; all find the same."""
    repository = prepare(place, count)
    source = place / SOURCE / f"validate_range_{NEW}_days.jsonl"
    aside = place / "aside"
    cache = place / ".codex/cache/members_validation_range_results"
    assert plain(place) == [NEW]
    remove_minute(place, 9)
    assert build(repository, 1) == [NEW]
    ways: dict[str, Callable[[], object]] = {
        "straightforward script: read all": lambda: plain(place),
        "one new member": lambda: build(repository, 1),
        "the same without the cache": lambda: build(repository, 1),
        "nothing new": lambda: build(repository, 1),
    }

    def before(way: str) -> None:
        for minute in (1, 9):
            remove_minute(place, minute)
        if aside.exists():
            aside.rename(source)
        if way == "nothing new":
            source.rename(aside)
        if way == "the same without the cache":
            cache.unlink()

    return measure_in_turns(ways, before=before)


def main() -> None:
    """Measure an eighth of N and N."""
    count, results = folders_wanted(__doc__, 10_000, "members"), Results(__file__)
    with tempfile.TemporaryDirectory(prefix="bench-members-") as place:
        for size in (count // 8, count):
            costs = compare(Path(place) / str(size), size)
            results.add("one new member of a collection", size, "sealed members", costs)
        for folder in Path(place).rglob("*__seal_validation_range_results"):
            folder.chmod(0o755)
    results.write()


if __name__ == "__main__":
    main()
