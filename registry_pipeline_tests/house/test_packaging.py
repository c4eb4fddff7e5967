"""The content of a clone and of a wheel."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import tomllib
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

from registry_pipeline_tests.cli.conftest import environment, home
from registry_pipeline_tests.command_line import call
from registry_pipeline_tests.house.conftest import Distributions, Environment

__all__ = ["home"]

ROOT = Path(__file__).resolve().parents[2]


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    names = done.stdout.split("\0") if done.returncode == 0 else []
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("name", ["dev.txt", "uv.txt"])
def test_each_requirement_has_hashes_and_no_host(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    requirements = re.findall(r"^[a-z].*==.*(?:\n    --hash=sha256:[0-9a-f]{64}(?: \\)?)+$", text, re.MULTILINE)

    assert len(requirements) == len(re.findall(r"^[^#\s]", text, re.MULTILINE)) > 0
    assert "://" not in text
    assert "index" not in re.findall(r"^ *--?([a-z]+)", text, re.MULTILINE)


def test_every_dependency_of_pyproject_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    declared = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    pinned = re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements/dev.txt").read_text(encoding="utf-8"), re.MULTILINE)

    names = {re.split(r"[><=~ ]", text)[0].lower().replace(".", "-").replace("_", "-") for text in declared}
    assert names <= set(pinned)


def test_no_tracked_file_names_a_place_of_the_machine_it_was_written_on() -> None:
    home = re.compile(rb"/(root|home/[a-z]+|work/main)/")

    offenders = [path.name for path in tracked() if home.search(path.read_bytes()) and path != Path(__file__)]

    assert offenders == []


def test_the_source_distribution_contains_what_a_build_needs(distributions: Distributions) -> None:
    names = {str(path.relative_to(distributions.source)) for path in distributions.source.rglob("*")}

    assert {"LICENSE", "README.md", "pyproject.toml", "dagster.yaml", "registry_pipeline/py.typed"} <= names
    assert {f"schemas/{path.relative_to(ROOT / 'schemas')}" for path in (ROOT / "schemas").rglob("*.json")} <= names
    assert not [name for name in names if name.startswith((".venv", ".uv/", "dist/"))]


def test_the_wheel_contains_the_package_its_schemas_and_what_ui_needs(distributions: Distributions) -> None:
    with zipfile.ZipFile(distributions.wheel) as archive:
        names = set(archive.namelist())
    schemas = {
        f"registry_pipeline/schemas/{p.relative_to(ROOT / 'schemas')}" for p in (ROOT / "schemas").rglob("*.json")
    }
    modules = {str(path.relative_to(ROOT)) for path in tracked() if path.is_relative_to(ROOT / "registry_pipeline")}

    assert schemas <= names
    assert modules <= names
    assert {"registry_pipeline/dagster.yaml", "registry_pipeline/py.typed"} <= names
    assert [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]
    assert not [name for name in names if name.startswith("registry_pipeline_tests")]


def test_the_wheel_has_the_metadata_of_the_project(distributions: Distributions) -> None:
    with zipfile.ZipFile(distributions.wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = HeaderParser().parsestr(archive.read(name).decode())

    assert metadata["License-Expression"] == "MIT"
    assert metadata["License-File"] == "LICENSE"
    assert metadata["Author"] == "registry_pipeline contributors"
    assert metadata["Requires-Python"] == "<3.15,>=3.11"
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])


def test_an_installed_wheel_runs_the_example(installed: Environment, tmp_path: Path) -> None:
    def run(*arguments: str) -> str:
        done = installed.run("registry-pipeline", *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    locate = installed.run("python", "-c", "import registry_pipeline; print(registry_pipeline.__file__)", cwd=tmp_path)
    assert Path(locate.stdout.strip()).is_relative_to(installed.folder)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert run("--version").strip().endswith(f"version {version}")
    run("example", "tides")
    run("-C", "tides", "build")
    assert "operations  43" in run("-C", "tides", "status")


def test_the_installed_commands_are_those_of_the_project(installed: Environment, tmp_path: Path) -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]

    assert scripts
    for name in scripts:
        assert installed.run(name, "--help", cwd=tmp_path).stdout.startswith("Usage: ")


@pytest.mark.parametrize("page", ["README.md", "docs/how-to/install.md"])
def test_a_page_on_installation_names_the_wheel_that_is_built(page: str, distributions: Distributions) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")

    assert set(re.findall(r"registry_pipeline-\S+\.whl", text)) == {distributions.wheel.name}
    assert [word for word in ("pip install", "uv tool install", "pipx install") if word not in text] == []


@pytest.mark.parametrize("page", ["README.md", "docs/how-to/install.md", "docs/tutorials/example-repository.md"])
def test_the_documented_command_removes_an_example_whose_folders_are_read_only(page: str, home: Path) -> None:
    (removal,) = set(re.findall(r"chmod -R u\+w tides && rm -rf tides", (ROOT / page).read_text(encoding="utf-8")))
    with tempfile.TemporaryDirectory() as folder:
        assert call("example", "tides", cwd=Path(folder), env=environment(home)).code == 0
        # The superuser may remove anything, so another user does it.
        user = None
        if os.geteuid() == 0:
            user = 65534
            subprocess.run(["chown", "-R", str(user), folder], check=True)

        def run(command: str) -> int:
            return subprocess.run(
                ["bash", "-c", command], cwd=folder, user=user, capture_output=True, check=False
            ).returncode

        assert run("rm -rf tides") != 0
        assert run(removal) == 0
        assert not (Path(folder) / "tides").exists()
