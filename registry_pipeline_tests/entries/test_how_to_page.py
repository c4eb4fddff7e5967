"""The Python of docs/how-to/edit-registry-entries.md runs in the example repository and prints what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from registry_pipeline.config import load_repository
from registry_pipeline.example.sources import read_commit_files
from registry_pipeline.findings.finding import has_errors
from registry_pipeline.registries.entries.service import check_entries

PAGE = Path(__file__).parents[2] / "docs/how-to/edit-registry-entries.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$\n\n(?:```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)


def test_the_python_of_the_page_runs_and_prints_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for path, text in read_commit_files("entries").items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / ".codex/RUNS").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REGISTRY_PIPELINE_REPO", raising=False)

    blocks = BLOCK.findall(PAGE.read_text())
    printed = []
    for code, _ in blocks:
        exec(compile(code, str(PAGE), "exec"), {})  # noqa: S102 - the page's own text
        printed.append(capsys.readouterr().out)

    assert len(blocks) == 2
    assert printed == [output for _, output in blocks]
    assert "id: museum" in (tmp_path / "modules/overview/type_registry.yaml").read_text()
    library, findings, _ = check_entries(load_repository(tmp_path))
    assert not has_errors(findings)
    assert {"archive", "museum"} < set(library.of("module_type"))
