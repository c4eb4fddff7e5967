"""`diff --format html`: the differences between two runs as a page for the browser."""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path
from typing import Any, Final

import pytest

from registry_pipeline.config import find_repository
from registry_pipeline.pipeline.diff import ArtifactDiff, RunDiff, Side, compare_artifact
from registry_pipeline.pipeline.diff_page import MAX_ARTIFACTS, MAX_PATHS, render_diff_page
from registry_pipeline.registries.base.delta import PathChanges
from registry_pipeline_tests.cli.conftest import Repository, call, environment
from registry_pipeline_tests.hostile_names import HOSTILE
from registry_pipeline_tests.page_reader import PageReader
from registry_pipeline_tests.registries.page_values import NOW

WORDS: Final = ("diff", "2026-01-14", "active", "--registry", "run_registry")
ROOT: Final = "ab" * 32


def read(html: str) -> str:
    return " ".join(" ".join(PageReader(html).text).split())


def make_diff(*artifacts: ArtifactDiff, paths: PathChanges | None = None, name: str = "run") -> RunDiff:
    old, new = (Side(f"runs/{name}_{n}", f"{name}_{n}", ROOT, {"created_utc": name, "builder": name}) for n in (1, 2))
    paths = PathChanges(modified=tuple(a.relpath for a in artifacts)) if paths is None else paths
    return RunDiff(name, old, new, paths, artifacts)


def render(diff: RunDiff) -> str:
    return render_diff_page(None, diff, NOW).decode("utf-8")


def lines(*records: dict[str, Any]) -> bytes:
    return "".join(f"{json.dumps(record)}\n" for record in records).encode()


def test_the_page_names_both_runs_and_what_differs(seen: Repository) -> None:
    document = seen(*WORDS, "--json").document("diff")

    page = PageReader(seen(*WORDS, "--format", "html").out)
    text = " ".join(" ".join(page.text).split())

    for side, state in (("before", "not active"), ("after", "active")):
        assert f" {document[side]['run_id']} " in text
        assert document[side]["root_sha256"] in text
        assert f" {state} " in text
    assert "builder" in text
    (artifact,) = [a for a in document["artifacts"] if a["kind"] == "records"]
    assert f"{artifact['counts']['added']} records added" in text
    assert artifact["relpath"] in page.text
    assert page.loads == []
    assert "All files are identical" in read(seen("diff", "active", "active", *WORDS[3:], "--format", "html").out)


def test_each_field_is_shown_with_its_old_and_its_new_value() -> None:
    old = lines({"id": "a", "n": 1, "gone": True}, {"id": "b"}, {"id": "c", "n": 5})
    new = lines({"id": "a", "n": 2, "come": [1]}, {"id": "d"}, {"id": "c", "n": 5})

    text = read(render(make_diff(compare_artifact("t.jsonl", old, new, ["id"]))))

    assert "Records by id: 1 added, 1 removed, 1 changed, 1 unchanged." in text
    assert "changed a /n 1 2 /gone true none /come none [1]" in text
    assert 'removed b record {"id": "b"} none' in text
    assert 'added d record none {"id": "d"}' in text


def test_of_long_values_the_part_that_differs_is_shown() -> None:
    old, new = (lines({"id": "a", "text": "x" * 300 + end + "y" * 300}) for end in ("old", "new"))

    html = render(make_diff(compare_artifact("t.jsonl", old, new, ["id"])))

    assert f">…{'x' * 40}oldyyy" in html
    assert f">…{'x' * 40}newyyy" in html


def test_a_schema_that_differs_is_named() -> None:
    paths = PathChanges(added=("a.schema.json",), modified=("b.schema.json", "run.json"))

    assert "schemas as in the other run a.schema.json added, b.schema.json changed" in read(
        render(make_diff(paths=paths))
    )


def test_the_largest_differences_come_first() -> None:
    small = compare_artifact("small.jsonl", lines({"id": 1}), lines({"id": 2}), ["id"])
    large = compare_artifact("large.jsonl", b"", lines(*({"id": n} for n in range(9))), ["id"])

    text = read(render(make_diff(small, large)))

    assert text.index("large.jsonl Records") < text.index("small.jsonl Records")


def test_a_page_of_five_thousand_changes_is_small_and_counts_what_it_leaves_out() -> None:
    old = lines(*({"id": f"run {n}", "created": "a", "path": "x" * 400} for n in range(5000)))
    new = lines(*({"id": f"run {n}", "created": "b", "path": "y" * 400} for n in range(5000)))

    html = render(make_diff(compare_artifact("t.jsonl", old, new, ["id"])))

    shown = html.count(">changed</span> <code>")
    assert 100 < shown < 5000
    assert f"{5000 - shown} more differences" in html
    assert "registry-pipeline diff runs/run_1 runs/run_2 --json" in html
    assert len(html.encode()) < 200_000


def test_many_files_and_values_that_grow_when_escaped_stay_under_the_limit() -> None:
    value = {f"{number}\u202e<&>\"'": "\u202e<&>\"'" * 90 for number in range(90)}
    artifacts = [
        compare_artifact(f"{'d' * 900}/{number}.json", b"{}", json.dumps(value).encode(), ())
        for number in range(MAX_ARTIFACTS + 5)
    ]
    paths = PathChanges(added=tuple(f"{'<' * 1000}{n}" for n in range(MAX_PATHS + 7)), modified=("x",))

    html = render(make_diff(*artifacts, paths=paths))

    assert "and 7 more" in html
    assert "5 more files with differences" in html
    assert len(html.encode()) < 400_000


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><img src=x onerror=y>', HOSTILE, "a\udce9\n\u2028b"])
def test_no_text_becomes_markup_or_hides_another(name: str) -> None:
    record = {"id": name, name: name}
    artifacts = (
        ArtifactDiff(name, "records", ("id",), added=(record,)),
        compare_artifact("o.json", b"{}", json.dumps({name: name}).encode(), ()),
    )
    plain = PageReader(render(make_diff(*artifacts[1:])))
    hostile = PageReader(render(make_diff(*artifacts, paths=PathChanges((name,), (name,), (name,)), name=name)))

    assert {tag for tag, _ in hostile.tags} <= {tag for tag, _ in plain.tags}
    assert not any(attribute.startswith("on") for _, attributes in hostile.tags for attribute in attributes)
    assert hostile.hidden == []


def test_a_file_is_written_beside_the_text_and_is_the_same_page(seen: Repository, tmp_path: Path) -> None:
    file = tmp_path / "diff.html"

    text = seen(*WORDS, "-o", str(file))
    document = seen(*WORDS, "--json", "-o", str(file)).document("diff")

    assert text.out == f"{seen(*WORDS).out}written  {file}\n"
    assert document["output"] == str(file)
    assert file.read_text() == seen(*WORDS, "--format", "html").out == seen(*WORDS, "--format", "html").out


def test_it_is_opened_from_a_folder_that_only_the_user_can_read(
    seen: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: not opened.append(address))  # type: ignore[func-returns-value]
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    document = seen(*WORDS, "--open", "--json").document("diff")

    page = Path(document["output"])
    assert opened == [page.as_uri()]
    assert page.parent.stat().st_mode & 0o077 == 0
    assert page.read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("-o", "diff.txt"), 2, "its name must end with .html"),
        (("-o", "missing/diff.html"), 7, "there is no folder missing"),
        (("-o", ".codex/RUNS/diff.html"), 5, "is in the run root .codex/RUNS"),
        (("--format", "html", "--json"), 2, "contradicts the format json"),
        (("--format", "md"), 2, "'md' is not one of"),
    ],
)
def test_a_page_that_cannot_be_written_is_refused(
    seen: Repository, words: tuple[str, ...], code: int, message: str
) -> None:
    before = seen.files()

    result = seen(*WORDS, *words)

    assert result.code == code
    assert message in result.err
    assert result.err.count("\n") == 1
    assert seen.files() == before


def test_a_run_that_does_not_verify_gives_no_page(built: Repository) -> None:
    built.tamper(built.active("run_registry"), "RUN_REGISTRY_v0_1.jsonl")

    result = built(*WORDS, "-o", "diff.html", "--format", "html")

    assert (result.code, result.out) == (3, "")
    assert not (built.root / "diff.html").exists()


def test_runs_outside_of_a_repository_have_a_page(seen: Repository, tmp_path: Path) -> None:
    paths = [str(seen.runs / seen.active(name)) for name in ("run_registry", "run_registry")]

    result = call("diff", *paths, "--format", "html", cwd=tmp_path, env=environment(seen.home))

    assert result.code == 0
    assert "All files are identical" in read(result.out)
    assert find_repository(seen.root) is not None
