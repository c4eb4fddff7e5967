"""`roles check --history` over N commits, and a script that shows each: python benchmarks/roles_history.py [N].

N commits (default 500) each change a pack of forty roles; between any two is a commit that does not touch it. Each
way gives the contract_ids whose surface is not the one that was published first:

- the script lists the commits with `git log`, calls `git show <commit>:<pack>` for each, and hashes every surface by
  `rfc8785`;
- ours is the whole check: the pack on the disk against its baseline and the history, strictly parsed, every rule;
- the last row only reads: the commits by one `git rev-list`, the packs through one `git cat-file`.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import rfc8785
from roles import KINDS, pack
from side_by_side import Results, folders_wanted, measure_in_turns

from registry_pipeline.config import Repository, load_repository
from registry_pipeline.registries.roles.baselines import read_pack_blobs, read_pack_commits
from registry_pipeline.registries.roles.service import RolesCheckOptions, check_roles

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def make_repository(root: Path, path: str, count: int) -> None:
    """Write 2 N commits by `git fast-import`; the pack grows by a role's display name a commit."""
    lines: list[bytes] = []

    def data(text: bytes) -> None:
        lines.append(b"data %d\n%s\n" % (len(text), text))

    for number in range(count):
        versions = {path: pack(40).replace(b'"Role 1"', b'"Role 1, %d"' % number), "other.txt": b"%d" % number}
        for name, text in versions.items():
            lines.append(b"commit refs/heads/main\ncommitter a <a@example.invalid> %d +0000\n" % (1767225600 + number))
            data(b"x")
            lines.append(b"M 100644 inline %s\n" % name.encode())
            data(text)
    subprocess.run(["git", "init", "-q", "-b", "main", str(root)], check=True)
    subprocess.run(["git", "fast-import", "--quiet"], cwd=root, input=b"".join(lines), check=True)
    subprocess.run(["git", "reset", "-q", "--hard"], cwd=root, check=True)


def script(root: Path, path: str) -> list[str]:
    """Return what drifted, as a careful colleague would find it."""

    def git(*arguments: str) -> bytes:
        return subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True).stdout

    def hashes(text: bytes) -> dict[str, str]:
        contracts = (c for role in json.loads(text)["roles"] for field in KINDS for c in role[field])
        return {c["contract_id"]: hashlib.sha256(rfc8785.dumps(c["schema_json"])).hexdigest() for c in contracts}

    now, drifted = hashes((root / path).read_bytes()), set()
    for commit in git("log", "--reverse", "--format=%H", "--", path).decode().split():
        before = hashes(git("show", f"{commit}:{path}"))
        drifted |= {contract_id for contract_id, digest in before.items() if now.get(contract_id) != digest}
    return sorted(drifted)


def ours(repository: Repository) -> list[str]:
    """Return what drifted, by the check."""
    report = check_roles(repository, RolesCheckOptions(history=True), NOW)
    return sorted(each.ids[-1] for each in report.violations if each.finding.code == "RR003")


def read(repository: Repository, path: str) -> int:
    """Return how many bytes the history has."""
    commits = read_pack_commits(repository.root, None, path)
    blobs = [each.blob_id for each in commits if each.blob_id is not None]
    return sum(len(data) for _, data in read_pack_blobs(repository.root, blobs))


def main() -> None:
    """Print the table."""
    count, results = folders_wanted(__doc__, 500, "commits"), Results(__file__)
    with tempfile.TemporaryDirectory(prefix="roles-") as place:
        repository = load_repository(Path(place))
        path = repository.config.roles.pack
        make_repository(repository.root, path, count)
        changed = (repository.root / path).read_bytes().replace(b'"Surface X 7"', b'"Another"')
        (repository.root / path).write_bytes(changed)
        assert script(repository.root, path) == ours(repository) != []
        costs = measure_in_turns(
            {
                "script: git show a commit, json, rfc8785": lambda: script(repository.root, path),
                "`roles check --history`: every rule": lambda: ours(repository),
                "reading the packs alone": lambda: read(repository, path),
            }
        )
        results.add("history of a pack of 40 roles", count, "commits that changed it, among twice as many", costs)
    results.write()


if __name__ == "__main__":
    main()
