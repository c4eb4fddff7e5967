"""`overview`: a row for each of several repositories, also for one that cannot be read."""

from __future__ import annotations

import json
import os
import webbrowser
from pathlib import Path
from urllib.parse import unquote

import pytest

from registry_pipeline.pipeline.overview_page import COLUMNS
from registry_pipeline_tests.cli.conftest import NOON, Repository, call, environment
from registry_pipeline_tests.command_line import CommandResult
from registry_pipeline_tests.copies import flip_byte
from registry_pipeline_tests.page_reader import PageReader

LATER = "2026-03-01T18:00:00Z"


def overview(home: Path, cwd: Path, *words: str) -> CommandResult:
    return call("overview", *words, "--now", LATER, cwd=cwd, env=environment(home))


def rows_of(result: CommandResult) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = result.document("overview")["repositories"]
    return rows


def make_new(folder: Path, toml: str = "") -> Path:
    """Make a repository in which nothing was built."""
    folder.mkdir()
    (folder / "registry-pipeline.toml").write_text(toml, encoding="utf-8")
    return folder


def test_a_row_says_what_status_says_of_the_repository(built: Repository, tmp_path: Path) -> None:
    status = built("status", "--json", now=LATER).document("status")
    last = built("log", "--json", now=LATER).document("log")

    (row,) = rows_of(overview(built.home, tmp_path, str(built.root), "--json"))

    assert row["health_state"] == status["health_state"]
    assert row["health_conditions"] == status["health_conditions"]
    assert [row[name] for name in ("stale", "drifting")] == [status["operations"][n] for n in ("stale", "drifting")]
    active = [registry["active"] for registry in status["registries"] if registry["active"]]
    assert row["active"] == {
        "registries": len(active),
        "in_use": len(active),
        "since_utc": NOON,
        "actor": active[0]["actor"],
        "reason": "build",
    }
    assert row["warnings"] == sum(finding["severity"] == "warning" for finding in status["findings"])
    assert row["newest_run"] == {"run_id": "2026-03-01__120000__system_health_render", "created_utc": NOON}
    assert row["chain_head"] == {
        "run_id": last["records"][0]["run_id"],
        "root_sha256": last["records"][0]["root_sha256"],
    }
    assert Path(str(row["page"])).is_file()
    assert row["problem"] is None


def test_a_repository_that_cannot_be_read_has_a_row_with_the_reason(seen: Repository, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    make_new(tmp_path / "wrong", "unknown = 1\n")
    make_new(tmp_path / "pointers", 'pointers = "p.json"\n')
    (tmp_path / "pointers/p.json").mkdir()
    reasons = {
        "missing": "there is no such folder",
        "file": "there is no such folder",
        "empty": "neither registry-pipeline.toml nor .codex/RUNS exists",
        "wrong": "unknown key unknown",
        "pointers": "cannot be read",
    }

    result = overview(seen.home, tmp_path, *reasons, str(seen.root), "--json")

    *broken, good = rows_of(result)
    assert result.code == 7
    for (name, reason), row in zip(reasons.items(), broken, strict=True):
        problem = row["problem"]
        assert isinstance(problem, dict)
        assert row["root"] == str(tmp_path / name)
        assert reason in problem["message"]
        assert (row["health_state"], row["active"], row["stale"], row["errors"]) == (None, None, None, 1)
    assert good["health_state"] is not None
    unreadable = [f["path"] for f in result.document("overview")["findings"] if f["code"] == "REPOSITORY_UNREADABLE"]
    assert unreadable == [str(tmp_path / name) for name in reasons]
    text = overview(seen.home, tmp_path, *reasons, str(seen.root))
    assert text.out.startswith("0 of 6 repositories healthy, 5 cannot be read\n")
    assert text.out.count("cannot be read  ") == 5


def test_an_altered_active_run_of_one_repository_exits_3_and_counts_more_than_one_that_cannot_be_read(
    built: Repository, tmp_path: Path
) -> None:
    make_new(tmp_path / "new")
    flip_byte(built.runs / built.active("drift_signals") / "DRIFT_SIGNALS_v0_1.json")

    result = overview(built.home, tmp_path, "new", str(built.root), "missing", "--json")

    new, altered, missing = rows_of(result)
    assert result.code == 3
    assert (new["health_state"], new["errors"]) == ("UNKNOWN", 0)
    assert altered["health_state"] == "DEGRADED_BLOCKING"
    assert altered["errors"]
    assert missing["problem"]
    names = [
        line.split()[0] for line in overview(built.home, tmp_path, "new", str(built.root), "missing").out.splitlines()
    ]
    assert names[2:5] == ["missing", built.root.name, "new"], "the worst first"


def test_an_error_that_the_health_state_does_not_know_is_a_reason_and_comes_before_states(
    tracked: Repository, tmp_path: Path
) -> None:
    make_new(tmp_path / "new")
    # Evidence of the commit at HEAD that is missing, of a run that is not active.
    next(tracked.root.glob("reports/*/*/run.json")).unlink()
    assert tracked("status", now=LATER).code == 3

    result = overview(tracked.home, tmp_path, "new", str(tracked.root))

    lines = result.out.splitlines()
    assert result.code == 3
    assert [line.split()[0] for line in lines[2:4]] == [tracked.root.name, "new"]
    assert lines[4].startswith(f"  {tracked.root.name}: errors: TRACKED_")


def test_repositories_in_which_nothing_is_known_to_be_wrong_exit_0(seen: Repository, tmp_path: Path) -> None:
    make_new(tmp_path / "new")

    assert overview(seen.home, tmp_path, "new", str(seen.root)).code == 0


def test_a_repository_is_named_by_its_location_and_two_of_one_name_by_their_paths(
    seen: Repository, tmp_path: Path
) -> None:
    for name, toml in (("a", '[dagster]\nlocation = "payments"\n'), ("b", ""), ("deep", "")):
        make_new(tmp_path / name, toml)
    make_new(tmp_path / "deep/b")

    rows = rows_of(overview(seen.home, tmp_path, "a", "b", "deep/b", "a/../b", "--json"))

    assert [row["name"] for row in rows] == ["payments", str(tmp_path / "b"), str(tmp_path / "deep/b")]


def test_the_page_has_each_row_and_leads_to_the_health_pages(built: Repository, tmp_path: Path) -> None:
    site = tmp_path / "a site"
    site.mkdir()
    result = overview(built.home, tmp_path, str(built.root), "missing", "-o", "a site/health.html", "--json")

    page = PageReader((site / "health.html").read_text(encoding="utf-8"))

    assert (result.code, result.document("overview")["output"]) == (7, "a site/health.html")
    text = " ".join(" ".join(page.text).split())
    assert "0 of 2 repositories healthy, 1 cannot be read" in text
    assert "there is no such folder" in text
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert [(site / unquote(str(link))).resolve() for link in links] == [
        Path(str(rows_of(result)[0]["page"])).resolve()
    ]
    assert page.loads == []


def test_each_format_has_every_repository(built: Repository, tmp_path: Path) -> None:
    words = (str(built.root), "missing")
    overview(built.home, tmp_path, *words, "-o", "o.json")
    overview(built.home, tmp_path, *words, "-o", "o.md")

    assert json.loads((tmp_path / "o.json").read_text())["repositories"] == rows_of(
        overview(built.home, tmp_path, *words, "--json")
    )
    markdown = overview(built.home, tmp_path, *words, "--format", "md").out
    assert markdown == (tmp_path / "o.md").read_text()
    assert f"| {' | '.join(COLUMNS)} |" in markdown
    assert "| missing | cannot be read |" in markdown
    html = overview(built.home, tmp_path, *words, "--format", "html").out
    assert (built.runs / "2026-03-01__120000__system_health_render/system_health.html").as_uri() in html
    for name in ("github", "junit", "sarif", "markdown"):
        result = overview(built.home, tmp_path, *words, "--format", name)
        assert (result.code, "there is no such folder" in result.out) == (7, True), name


def test_the_same_repositories_give_the_same_bytes_and_nothing_is_written_into_them(
    built: Repository, tmp_path: Path
) -> None:
    before = sorted(built.root.rglob("*"))

    first, second = (overview(built.home, tmp_path, str(built.root), "--format", "html").out for _ in range(2))

    assert first == second
    assert sorted(built.root.rglob("*")) == before


def test_open_shows_the_page_without_a_file_of_ones_own(
    seen: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def remember(url: str) -> bool:
        opened.append(url)
        return True

    monkeypatch.setattr(webbrowser, "open", remember)

    assert overview(seen.home, tmp_path, str(seen.root), "--open").code == 0

    assert [url.rpartition("/")[2] for url in opened] == ["overview.html"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "Missing argument 'DIR...'"),
        (["-C", ".", "."], 2, "leave out -C"),
        ([".", "-o", "page.txt"], 2, "to .html"),
        ([".", "-o", "missing/page.html"], 7, "missing"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_is_read(
    seen: Repository, words: list[str], code: int, message: str
) -> None:
    result = call("overview", *words, cwd=seen.root, env=environment(seen.home))

    assert (result.code, result.out) == (code, "")
    assert message in result.err


def test_no_page_is_written_among_the_runs(seen: Repository, tmp_path: Path) -> None:
    target = seen.runs / "overview.html"

    assert overview(seen.home, tmp_path, str(seen.root), "-o", str(target)).code == 5
    assert not os.path.lexists(target)
