"""`report --pages`: the folder of pages that a reader opens or CI publishes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from registry_pipeline.pipeline.page_folder import LISTING
from registry_pipeline.pipeline.pages import MAX_RUNS, make_file_name
from registry_pipeline.registries.system_health.page import MAX_OPERATIONS
from registry_pipeline_tests.cli.conftest import Repository
from registry_pipeline_tests.copies import copied_repository, make_removable
from registry_pipeline_tests.histories import make_historic
from registry_pipeline_tests.hostile_names import HOSTILE
from registry_pipeline_tests.many_runs import make_many_runs
from registry_pipeline_tests.page_reader import PageReader, find_broken_links
from registry_pipeline_tests.sealed_folders import seal_plainly

REPOSITORY: Final = {"repository_id": "first-repository"}
FIRST: Final = "2026-02-21T12:00:00Z"
LAST: Final = "2026-02-24T12:00:00Z"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Iterator[Path]:
    """A repository with seven sealed days, a gap between them, and scorecards of two days."""
    root = make_historic(tmp_path_factory.mktemp("pages") / "repository").root
    toml, repository = root / "registry-pipeline.toml", Repository(root, home)
    toml.write_text(f'repository_id = "first-repository"\n{toml.read_text()}')
    assert repository("build", now=FIRST).code == 0
    assert repository("build", "drift_signals_daily", "--as-of", "2026-02-09..2026-02-12", now=FIRST).code == 0
    assert repository("build", "drift_signals_daily", "--as-of", "2026-02-20..2026-02-22", now=LAST).code == 0
    assert repository("build", "--force", now="2026-02-23T12:00:00Z").code == 0
    yield root
    make_removable(root)


@pytest.fixture
def past(made: Path, tmp_path: Path, home: Path) -> Iterator[Repository]:
    with copied_repository(made, tmp_path / "repository") as root:
        yield Repository(root, home)


def write_pages(repository: Repository, *words: str, now: str = LAST) -> Path:
    """Write the pages beside the repository, and return the folder."""
    result = repository("report", "--pages", "../site", *words, now=now)
    assert result.code == 0, result.err
    return repository.root.parent / "site"


def read(path: Path) -> PageReader:
    return PageReader(path.read_text(encoding="utf-8"))


def read_table(page: PageReader) -> str:
    return " ".join(" ".join(page.text).split())


def test_it_seals_nothing_and_says_what_it_wrote(past: Repository) -> None:
    before = sorted(past.runs.iterdir())

    result = past("report", "--pages", "site", "--json", now=LAST)

    document = result.document("report")
    assert sorted(past.runs.iterdir()) == before
    assert (document["run_id"], document["page"]) == (None, "site/index.html")
    assert document["pages"] == {"folder": "site", "files": len(list((past.root / "site").rglob("*.html")))}
    assert "written     site/index.html and 3 other pages" in past("report", "--pages", "site", now=LAST).out


def test_every_page_is_linked_and_every_link_leads_to_a_page(past: Repository) -> None:
    site = write_pages(past)

    reached, following = set[Path](), [site / "index.html"]
    while following:
        page = following.pop()
        if page not in reached:
            reached.add(page)
            following += [Path(os.path.normpath(page.parent / link)) for link in read(page).links]
    assert reached == set(site.rglob("*.html"))
    assert find_broken_links(site) == []


def test_pages_load_nothing_and_say_that_they_are_not_sealed(past: Repository) -> None:
    for page in write_pages(past).rglob("*.html"):
        reader = read(page)
        assert reader.loads == []
        assert any("default-src 'none'" in str(a.get("content")) for _, a in reader.tags), page
        assert "Not sealed: this file can be altered without a trace." in " ".join(reader.text), page


def test_the_same_state_and_clock_give_the_same_bytes(past: Repository) -> None:
    first = {path.name: path.read_bytes() for path in write_pages(past).rglob("*") if path.is_file()}
    second = {path.name: path.read_bytes() for path in write_pages(past).rglob("*") if path.is_file()}

    assert first == second
    assert not [name for name in first if "tmp" in name]


def test_the_history_has_a_gap_where_no_day_is_sealed(past: Repository) -> None:
    history = read(write_pages(past) / "history.html")
    paths = [a["d"] or "" for tag, a in history.tags if tag == "path" and a["class"] != "axis"]

    assert paths[0].count("M") == 2, "two spans of days"
    assert "Thresholds drift" in "".join(history.text)
    assert "2026-02-12" in history.text
    assert "2026-02-15" not in history.text
    assert read_table(history).count("Covered at C3 or above") >= 2, "of the days and of the scorecards"


def test_a_day_whose_run_is_altered_or_marked_bad_is_a_gap(past: Repository) -> None:
    def find_days() -> set[str]:
        return {text for text in read(write_pages(past) / "history.html").text if text.startswith("2026-02-1")}

    def find_run(day: str) -> str:
        return next(path.name for path in past.runs.iterdir() if path.name.endswith(f"__asof_{day}"))

    assert find_days() == {f"2026-02-{day}" for day in ("10", "11", "12")}
    past.tamper(find_run("2026-02-10"), "DRIFT_SIGNALS_v0_1.json")
    assert past("mark-bad", find_run("2026-02-12"), "--reason", "wrong clock", now=LAST).code == 0

    assert find_days() == {"2026-02-11"}


def test_a_scorecard_that_is_altered_is_a_gap(past: Repository) -> None:
    def count_known() -> int:
        page = (write_pages(past) / "history.html").read_text(encoding="utf-8")
        return page[page.index("Governance scorecard") :].count('<tr><th scope="row"')

    before = count_known()
    newest = max(path.name for path in past.runs.glob("*__governance_scorecard_build"))
    past.tamper(newest, "GOVERNANCE_SCORECARD_v0_2.json")

    assert (before, count_known()) == (2, 0), "one day makes no chart"


def test_an_operation_has_its_runs_reasons_and_documents(past: Repository) -> None:
    text = read_table(read(write_pages(past) / "operations/OP-A02.html"))

    assert "It last ran 10 days ago: three." in text
    assert "ran on a dirty tree" in text
    assert "so nobody can repeat it. Commit what belongs to it" in text
    assert "registry-pipeline record --operation OP-A02 -- COMMAND" in text
    assert "2026-02-12 23:59 .codex/RUNS/three ▲ unsealed" in text
    assert "registry-pipeline seal .codex/RUNS/three" in text
    assert "defined in docs/catalog.md:" in text
    assert "docs/matrix.md:2" in text
    assert "executable jobs/one.py" in text
    assert "Days since the last run" in text


def test_an_executable_that_is_gone_is_missing_and_an_operation_that_is_gone_has_no_documents(past: Repository) -> None:
    (past.root / "jobs/one.py").unlink()
    assert "executable ✗ missing jobs/one.py" in read_table(read(write_pages(past) / "operations/OP-A01.html"))

    catalog = past.root / "docs/catalog.md"
    catalog.write_text(catalog.read_text().replace("OP-A01", "OP-A03"))
    (past.root / "docs/matrix.md").write_text("")

    assert "No document of this working tree names it." in read_table(
        read(write_pages(past) / "operations/OP-A01.html")
    )


def test_pages_of_operations_that_are_gone_are_removed_and_nothing_else(past: Repository) -> None:
    site = write_pages(past)
    (site / "operations/OP-Z99.html").write_text("somebody else's")
    (site / "notes.txt").write_text("somebody else's")
    catalog = past.root / "docs/catalog.md"
    catalog.write_text(catalog.read_text().replace("OP-A02: Name of OP-A02", "OP-A04: Name of OP-A04"))
    assert past("build", now=LAST).code == 0

    write_pages(past)

    assert sorted(path.name for path in (site / "operations").iterdir()) == [
        "OP-A01.html",
        "OP-A04.html",
        "OP-Z99.html",
    ]
    assert (site / "notes.txt").read_text() == "somebody else's"
    assert "OP-A02" not in (site / LISTING).read_text()


def make_full(root: Path) -> None:
    (root / "site").mkdir()
    (root / "site/index.html").write_text("my own")


def make_linked(root: Path) -> None:
    (root / "site").mkdir()
    (root / "site" / LISTING).write_text("")
    (root / "site/operations").symlink_to(root / "jobs")


def make_linked_page(root: Path) -> None:
    (root / "site").mkdir()
    (root / "site" / LISTING).write_text("")
    (root / "site/history.html").symlink_to(root / "jobs/one.py")


@pytest.mark.parametrize(
    ("make", "folder", "code", "message"),
    [
        (make_full, "site", 5, "site is not empty, and no folder of pages"),
        (lambda root: (root / "site").mkdir() or (root / "site/.hidden").touch(), "site", 5, "is not empty"),
        (make_linked, "site", 5, "site is no folder of pages"),
        (make_linked_page, "site", 5, "it is a link"),
        (lambda _root: None, "missing/site", 7, "there is no folder missing"),
        (lambda _root: None, ".codex/RUNS/site", 5, "is in the run root .codex/RUNS"),
        (lambda _root: None, ".codex/RUNS/timeless", 5, "is in the run root .codex/RUNS"),
        (lambda root: (root / "runs").symlink_to(root / ".codex/RUNS"), "runs/site", 5, "is in the run root"),
        (lambda _root: None, "docs/catalog.md", 2, "is a file"),
    ],
)
def test_a_folder_that_is_not_ours_is_refused_and_nothing_in_it_changes(
    past: Repository, make: Any, folder: str, code: int, message: str
) -> None:
    make(past.root)
    before = past.files()

    result = past("report", "--pages", folder, now=LAST)

    assert result.code == code
    assert message in result.err
    assert result.err.count("\n") == 1
    changed = {name for name, data in past.files().items() if before.get(name) != data}
    assert changed <= {f"site/{LISTING}", "site/operations/OP-A01.html", "site/operations/OP-A02.html"}
    assert before.keys() <= past.files().keys()


def test_an_empty_folder_and_the_leftover_of_a_killed_writer_are_accepted(past: Repository) -> None:
    (past.root / "site").mkdir()
    (past.root / f"site/.{LISTING}.registry-pipeline.tmp").touch()

    assert find_broken_links(write_pages(past)) == []


@pytest.mark.parametrize(
    "words",
    [("-o", "x.html"), ("--format", "html"), ("--format", "md", "--json"), ("--watch",), ("--watch", "-o", "x.md")],
)
def test_options_that_contradict_each_other_are_refused(past: Repository, words: tuple[str, ...]) -> None:
    pages = () if "--watch" in words or "--json" in words else ("--pages", "site")

    result = past("report", *pages, *words, now=LAST)

    assert result.code == 2
    assert not (past.root / "site").exists()
    assert not list(past.root.glob("x.*"))


@pytest.mark.parametrize(("form", "suffix"), [("html", ".html"), ("md", ".md")])
def test_a_format_prints_what_was_sealed(past: Repository, form: str, suffix: str) -> None:
    printed = past("report", "--format", form, now=LAST).out

    (sealed,) = past.runs.glob(f"2026-02-24__120000__system_health_render/*{suffix}")
    assert printed.encode() == sealed.read_bytes()


def test_other_commands_refuse_the_format_in_one_line(past: Repository) -> None:
    result = past("status", "--format", "html", now=LAST)

    assert result.code == 2
    assert result.err.count("\n") == 1
    assert "'html' is not one of" in result.err


def test_without_active_runs_it_is_refused_and_nothing_is_written(known: Repository) -> None:
    result = known("report", "--pages", "site")

    assert result.code == 5
    assert "registry-pipeline build" in result.err
    assert not (known.root / "site").exists()


def test_a_repository_without_runs_has_pages(tmp_path: Path, home: Path) -> None:
    make_many_runs(tmp_path / "quiet", operations=2, runs=0)
    quiet = Repository(tmp_path / "quiet", home)
    assert quiet("build").code == 0

    site = write_pages(quiet, now="2026-03-01T12:00:00Z")

    assert find_broken_links(site) == []
    assert "It never ran." in read_table(read(site / "operations/OP-A000.html"))
    assert "--as-of 2026-01-01..2026-02-28" in read_table(read(site / "history.html"))
    make_removable(quiet.root)


def test_five_thousand_runs_of_three_hundred_operations_give_small_pages(tmp_path: Path, home: Path) -> None:
    make_many_runs(tmp_path / "large", operations=300, runs=5000)
    large = Repository(tmp_path / "large", home)
    assert large("build").code == 0
    assert large("build", "drift_signals_daily", "--as-of", "2026-02-25..2026-02-28").code == 0

    site = write_pages(large, now="2026-03-01T12:00:00Z")

    assert find_broken_links(site) == []
    sizes = {str(path.relative_to(site)): path.stat().st_size for path in site.rglob("*.html")}
    assert len(sizes) == 302
    assert sizes["index.html"] < 200_000
    assert sizes["history.html"] < 100_000
    assert max(size for name, size in sizes.items() if name.startswith("operations/")) < 100_000
    assert f"{300 - MAX_OPERATIONS} more operations" in (site / "index.html").read_text()
    make_removable(large.root)


def test_more_runs_than_a_page_shows_are_counted(tmp_path: Path, home: Path) -> None:
    make_many_runs(tmp_path / "busy", operations=1, runs=MAX_RUNS + 3)
    busy = Repository(tmp_path / "busy", home)
    assert busy("build").code == 0

    text = read_table(read(write_pages(busy, now="2026-03-01T12:00:00Z") / "operations/OP-A000.html"))

    assert f"{MAX_RUNS + 3} runs since" in text
    assert "3 earlier runs: registry-pipeline runs --operation OP-A000" in text
    make_removable(busy.root)


def test_each_operation_has_a_file_name_of_its_own_on_every_file_system() -> None:
    ids = [
        "OP-A01",
        "OP-a01",
        "op-a01",
        "",
        ".",
        "..",
        "a/b",
        "OP-../../x",
        HOSTILE,
        "OP-" + "A" * 300,
        "CON",
        "\udce9",
    ]
    names = [make_file_name(name) for name in ids]

    assert names[0] == "OP-A01.html"
    assert len({name.casefold() for name in names}) == len(ids)
    assert all(name.isascii() and "/" not in name and len(name) < 80 and not name.startswith(".") for name in names)


def test_days_of_another_repository_are_gaps(past: Repository) -> None:
    toml = past.root / "registry-pipeline.toml"
    toml.write_text(toml.read_text().replace("first-repository", "another-repository"))

    assert "No history yet" in read_table(read(write_pages(past) / "history.html"))


@pytest.mark.parametrize("content", [b"[]", b"{", b'{"operations": {}}', b"[" * 100_000, b"null"])
def test_a_sealed_run_with_another_content_is_a_gap(past: Repository, content: bytes) -> None:
    day = "2026-02-24__000000__drift_signals_daily_build__asof_2026-02-10"
    seal_plainly(
        past.root, day, {"DRIFT_SIGNALS_v0_1.json": content, "OPERATION_STATUS_TABLE_v0_1.json": content}, REPOSITORY
    )
    scorecard = "2026-02-24__000000__governance_scorecard_build"
    seal_plainly(past.root, scorecard, {"GOVERNANCE_SCORECARD_v0_2.json": content}, REPOSITORY)

    history = read(write_pages(past) / "history.html")

    assert "2026-02-11" in history.text
    assert "2026-02-10" not in history.text
