"""What Dagster seals is signed with the key that the environment names, and with no other."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from registry_pipeline.config import load_repository
from registry_pipeline.defs.build import build_defs
from registry_pipeline.defs.proposal import REFUSED_TAG
from registry_pipeline.pointers.find_runs import make_found_run
from registry_pipeline.pointers.signatures import check_policy, check_record_signatures, check_run_signatures
from registry_pipeline.pointers.state import read_chain_state
from registry_pipeline.signing.keys import find_allowed_signers
from registry_pipeline_tests.defs.conftest import DagsterRepo, failure_of, page_of, troubles
from registry_pipeline_tests.registries.repositories import git
from registry_pipeline_tests.signing.keys import Key, make_key


@pytest.fixture
def key(tmp_path: Path) -> Key:
    return make_key(tmp_path, "sensor")


@pytest.fixture
def protected(rebuilt: DagsterRepo, key: Key) -> DagsterRepo:
    """A rebuilt repository in which only signed records may move pointers."""
    root = rebuilt.repository.root
    (root / "signers").write_text(key.line(), "utf-8")
    with (root / "registry-pipeline.toml").open("a", encoding="utf-8") as toml:
        toml.write('\n[signing]\nregistries = ["*"]\nallowed_signers = "signers"\n')
    return dataclasses.replace(rebuilt, repository=load_repository(root), definitions=build_defs(root))


def test_the_activation_is_signed_with_the_key_of_the_environment(
    protected: DagsterRepo, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_PIPELINE_SIGNING_KEY", str(key.path))

    result = protected.execute_request(protected.requested())

    assert result.success, troubles(result)
    chain, allowed = read_chain_state(protected.repository), find_allowed_signers(protected.repository)
    checked = check_record_signatures(chain, chain.records, allowed)
    assert [signers[0].principal for signers in checked.signed.values()] == ["sensor@example.org"]
    assert list(check_policy(protected.repository, chain, checked.signed)) == []
    files = [path for path in protected.repository.root.rglob("*") if path.is_file()]
    assert not [path for path in files if str(key.path).encode() in path.read_bytes()]  # it is written nowhere
    report = page_of(result, "system_health_report")["run_id"]
    run = make_found_run(protected.repository, protected.repository.config.publish_root, report)
    assert list(check_run_signatures([run], (), allowed).signed) == [run.shown]


def test_without_a_key_the_activation_is_refused_and_not_repeated(protected: DagsterRepo, key: Key) -> None:
    # The key of a person never signs for a sensor.
    git(protected.repository.root, "config", "gpg.format", "ssh")
    git(protected.repository.root, "config", "user.signingKey", str(key.path))
    before = protected.repository.pointer_path.read_bytes()

    result = protected.execute_request(protected.requested())

    assert "ACTIVATE_UNSIGNED" in failure_of(result, "active_registry_pointers")
    assert protected.repository.pointer_path.read_bytes() == before
    run = protected.instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.tags[REFUSED_TAG] == "ACTIVATE_UNSIGNED"
