"""What a command says when the pointers moved and the health report or the delta log could not be written."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from registry_pipeline.cli.invoke import run
from registry_pipeline.errors import EvidenceError, PublishError
from registry_pipeline.pipeline import rebuild, steps
from registry_pipeline.registries.base.reader import RegistrySpec
from registry_pipeline_tests.cli.conftest import Repository

LATER, LATEST = "2026-03-02T12:00:00Z", "2026-03-03T12:00:00Z"
FIRST = "2026-03-01__120000__drift_signals_build"
SCORECARD = "2026-03-01__120000__governance_scorecard_build"
ACTIVATION = "2026-03-01__120000__pointer_activation__02"

CAUSES: dict[str, Callable[[], BaseException]] = {
    "the disk is full": lambda: PublishError("the run could not be published: No space left on device"),
    "the disk fails": lambda: OSError(errno.EIO, os.strerror(errno.EIO), ".codex/.staging"),
    "an active run does not verify": lambda: EvidenceError("the active drift_signals does not verify"),
    "Ctrl-C": KeyboardInterrupt,
    "a termination": lambda: SystemExit(143),
}


@pytest.fixture(params=CAUSES)
def no_report(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A function from whose call on rendering fails for one of the causes."""

    def fail(*_args: object, **_kwargs: object) -> NoReturn:
        raise CAUSES[request.param]()  # noqa: RSE102 - a new exception for each call

    return lambda: monkeypatch.setattr(rebuild, "make_report", fail)


@pytest.fixture(params=CAUSES)
def no_log(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """From here on the delta log cannot be sealed, for one of the causes."""
    real = steps.seal

    def fail(repository: Any, build_run: Any, spec: RegistrySpec, built: Any) -> Any:
        if spec.registry_id == "registry_delta_log":
            raise CAUSES[request.param]()  # noqa: RSE102 - a new exception for each call
        return real(repository, build_run, spec, built)

    monkeypatch.setattr(rebuild, "seal", fail)
    return monkeypatch


def call(built: Repository, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    capsys.readouterr()
    code = run(["-C", str(built.root), *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_build_says_what_it_built_and_moved(
    built: Repository, capsys: pytest.CaptureFixture[str], no_report: Callable[[], None]
) -> None:
    no_report()
    code, document = call(built, capsys, "build", "--now", LATER)

    assert code == 8
    assert document["activation_run_id"] == "2026-03-02__120000__pointer_activation"
    assert {row["registry_id"] for row in document["built"] if row["activated"]} >= {"run_registry", "drift_signals"}
    assert document["report_run_id"] is None
    assert [f["code"] for f in document["findings"] if f["code"] == "REPORT_NOT_RENDERED"] == ["REPORT_NOT_RENDERED"]


def test_a_build_that_cannot_extend_the_log_says_what_it_moved_and_the_next_build_extends_it(
    built: Repository, capsys: pytest.CaptureFixture[str], no_log: pytest.MonkeyPatch
) -> None:
    code, document = call(built, capsys, "build", "--now", LATER)

    assert code == 8
    assert document["activation_run_id"] == "2026-03-02__120000__pointer_activation"
    assert document["report_run_id"] is not None
    assert [f["code"] for f in document["findings"] if f["severity"] == "warning"] == ["LOG_NOT_EXTENDED"]

    no_log.undo()
    code, document = call(built, capsys, "build", "registry_delta_log", "--now", LATEST)
    log = built.runs / document["built"][0]["run_id"] / "REGISTRY_DELTA_LOG_v0_1.jsonl"
    assert code == 0
    assert built.active("drift_signals") in log.read_text()


def test_without_an_activation_the_log_ends_as_it_failed(
    built: Repository, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_kwargs: object) -> NoReturn:
        raise PublishError("the run could not be published: No space left on device")

    monkeypatch.setattr(rebuild, "seal", fail)

    assert run(["-C", str(built.root), "build", "registry_delta_log", "--force", "--now", LATER]) == 1
    assert "No space left on device" in capsys.readouterr().err


def test_a_rollback_says_that_it_is_done_and_must_not_be_repeated(
    built: Repository, capsys: pytest.CaptureFixture[str], no_report: Callable[[], None]
) -> None:
    assert built("build", now=LATER).code == 0
    no_report()
    capsys.readouterr()
    code = run(["-C", str(built.root), "rollback", "--reason", "wrong", "--now", LATEST])
    out = capsys.readouterr().out

    assert code == 8
    assert f"-> {FIRST}" in out
    assert "recorded in 2026-03-03__120000__pointer_activation" in out
    assert "do not repeat" in out
    assert built.active("drift_signals") == FIRST


def test_mark_bad_says_that_it_is_done(
    built: Repository, capsys: pytest.CaptureFixture[str], no_report: Callable[[], None]
) -> None:
    no_report()
    code, document = call(built, capsys, "mark-bad", SCORECARD, "--reason", "wrong", "--now", LATER)

    assert (code, document["report_run_id"]) == (8, None)
    assert document["activation_run_id"] == "2026-03-02__120000__pointer_activation"


def test_without_active_runs_no_report_is_missing(built: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    code, document = call(built, capsys, "rollback", ACTIVATION, "--reason", "wrong", "--now", LATEST)

    assert (code, document["report_run_id"]) == (0, None)
    assert [f["severity"] for f in document["findings"] if f["code"] == "REPORT_NOT_RENDERED"] == ["info"]


def test_the_next_build_renders_the_report_that_is_missing(
    built: Repository, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(
            rebuild, "make_report", lambda *_args, **_kwargs: (_ for _ in ()).throw(OSError(errno.EIO, "EIO"))
        )
        assert call(built, capsys, "build", "--now", LATER)[0] == 8

    code, document = call(built, capsys, "build", "--now", LATEST)

    assert code == 0
    assert document["report_run_id"] == "2026-03-03__120000__system_health_render"


def test_a_refusal_because_the_chain_is_invalid_is_3_in_every_command(built: Repository) -> None:
    built("build", now=LATER)
    built.pointers.write_bytes(built.pointers.read_bytes().replace(b"build", b"built", 1))

    calls = (
        ("build",),
        ("activate", "drift_signals", FIRST, "--reason", "x"),
        ("rollback", "--reason", "x"),
        ("mark-bad", FIRST, "--reason", "x"),
        ("status",),
        ("verify", "--active"),
        ("verify", "--chain"),
        ("doctor",),
    )
    assert {words[0]: built(*words, now=LATEST).code for words in calls} == dict.fromkeys((w[0] for w in calls), 3)
