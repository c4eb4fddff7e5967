"""What the four registries of entries capture: YAML files under their own paths, all of a registry or none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from registry_pipeline.config import load_repository
from registry_pipeline.example.sources import read_commit_files
from registry_pipeline.registries.base.reader import BuildInputs, Previous, SourceContext
from registry_pipeline.registries.catalog import SHIPPED
from registry_pipeline.registries.entries.schemas import FAMILY_OF

INSTANCES = "modules/overview/instance_registry.yaml"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path, text in read_commit_files("entries").items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def read(root: Path, registry_id: str, *, active: bool = False) -> BuildInputs:
    reader: Callable[..., BuildInputs] | None = SHIPPED.registries[registry_id].reader
    assert reader is not None
    previous = {registry_id: Previous("before", {})} if active else {}
    return reader(load_repository(root), SourceContext(previous=previous))


@pytest.mark.parametrize(
    ("registry_id", "files", "records"),
    [("module_registry", 4, 9), ("route_registry", 1, 1), ("ability_registry", 2, 2), ("hook_registry", 1, 1)],
)
def test_files_are_captured_as_they_are_under_the_paths_that_they_have(
    root: Path, registry_id: str, files: int, records: int
) -> None:
    gathered = read(root, registry_id)

    assert gathered.findings == ()
    assert (len(gathered.inputs.files), gathered.inputs.records) == (files, records)
    assert {path: (root / path).read_bytes() for path in gathered.inputs.files} == dict(gathered.inputs.files)
    assert [file.path for file in gathered.files] == sorted(gathered.inputs.files)


def test_routes_in_folders_below_are_captured_and_what_is_no_entry_is_not(root: Path) -> None:
    (root / "modules/routes/deep").mkdir()
    (root / "modules/routes/deep/a.b.yaml").write_text("scope: a\ntopic: b\nroutes: []\n")
    (root / ".system/hooks/deep").mkdir()
    (root / ".system/hooks/deep/no.yaml").write_text("id: no\n")
    (root / ".system/hooks/notes.md").write_text("# Notes\n")

    assert "modules/routes/deep/a.b.yaml" in read(root, "route_registry").inputs.files
    assert list(read(root, "hook_registry").inputs.files) == [".system/hooks/heights_guard.yaml"]


@pytest.mark.parametrize("registry_id", FAMILY_OF)
def test_where_nothing_was_ever_there_nothing_is_wrong(tmp_path: Path, registry_id: str) -> None:
    never, gone = read(tmp_path, registry_id), read(tmp_path, registry_id, active=True)

    assert (never.inputs, gone.inputs) == (None, None)
    assert [(f.code, f.severity.value) for f in never.findings] == [("CAPTURE_MISSING", "info")]
    assert [(f.code, f.severity.value) for f in gone.findings] == [("CAPTURE_MISSING", "warning")]
    assert "` of [entries]" in never.findings[0].hint


DAMAGES = {
    "no YAML": (b"instances:\n  - [\n", "line 3:1"),
    "a key twice": (b"instances:\n  - module_id: a\n    module_id: b\n", "line 3:5: the key 'module_id' is duplicated"),
    "no list": (b"instances: 7\n", "line 1:12 /instances: 7 is not of type null, array"),
    "an entry without its key": (b"instances:\n  - name: a\n", "line 2:5 /instances/0: missing keys: module_id"),
}


@pytest.mark.parametrize(("data", "message"), DAMAGES.values(), ids=DAMAGES)
def test_one_malformed_file_refuses_the_family_and_no_other(root: Path, data: bytes, message: str) -> None:
    (root / INSTANCES).write_bytes(data)

    gathered = read(root, "module_registry")

    (found,) = gathered.findings
    assert (gathered.inputs, found.code, found.path) == (None, "CAPTURE_MALFORMED", INSTANCES)
    assert message in found.message
    assert read(root, "hook_registry").inputs is not None


def test_a_link_is_not_followed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "a.yaml"
    (root / INSTANCES).rename(outside)
    (root / INSTANCES).symlink_to(outside)

    (found,) = read(root, "module_registry").findings

    assert (found.code, found.path) == ("CAPTURE_MALFORMED", INSTANCES)
    assert "is a link" in found.message


def test_a_schema_that_the_toml_names_is_used_too(root: Path) -> None:
    (root / "own.json").write_text('{"required": ["owner"]}')
    (root / "registry-pipeline.toml").write_text('[captured.hook_registry]\nschema = "own.json"\n')

    (found,) = read(root, "hook_registry").findings

    assert (found.code, "missing keys: owner" in found.message) == ("CAPTURE_MALFORMED", True)
