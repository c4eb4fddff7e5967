"""The state table of the specification ("Chain"), row by row, and the findings of an invalid chain."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry_pipeline.findings.codes import CODES
from registry_pipeline.pointers.chain import AFTER_FILE, RECORD_FILE, ChainRecords, check_anchor, make_chain_state
from registry_pipeline.pointers.state import read_chain
from registry_pipeline.values import replace
from registry_pipeline_tests.cases.layout import find_cases
from registry_pipeline_tests.pointers.chain_scenarios import ChainOnDisk, write_scenario
from registry_pipeline_tests.sealed_folders import RUNS, seal_plainly

SCENARIOS = {case.name: case for case in find_cases("chain")}


def read_scenario(root: Path, name: str) -> ChainOnDisk:
    return write_scenario(SCENARIOS[name].arguments, root)


@pytest.mark.parametrize("name", SCENARIOS)
def test_only_a_valid_chain_allows_the_next_change(tmp_path: Path, name: str) -> None:
    scenario = read_scenario(tmp_path, name)
    state = make_chain_state(read_chain(scenario.repository), scenario.pointers, scenario.intent)
    is_valid = name.startswith(("committed", "not_chained", "CHAIN_RESTARTED"))

    assert state.refuses is not is_valid


def test_every_chain_code_has_a_case_that_is_named_after_it() -> None:
    on_the_disk = {"CHAIN_RUN_MISSING", "CHAIN_RUN_RESEALED"}  # pipeline/test_moved_runs.py
    about_chains = {code for code, row in CODES.items() if row.family == "chain"} - on_the_disk
    shown = {code for case in SCENARIOS.values() for code in case.expected["codes"]}
    named = {name.split("__")[0] for name in SCENARIOS}

    assert shown == about_chains
    assert about_chains - named <= {"CHAIN_NOT_STARTED"}


def test_a_finding_says_where_and_what_was_expected(tmp_path: Path) -> None:
    scenario = read_scenario(tmp_path, "POINTER_EDITED__absent")
    (finding,) = make_chain_state(read_chain(scenario.repository), scenario.pointers, scenario.intent).findings

    assert finding.path == scenario.repository.config.pointers
    assert finding.got == "no pointer file"
    assert finding.expected is not None


def test_a_fork_names_every_branch(tmp_path: Path) -> None:
    scenario = read_scenario(tmp_path, "CHAIN_FORK__after_a_merge")
    findings = make_chain_state(read_chain(scenario.repository), scenario.pointers, scenario.intent).findings
    rivals = [scenario.refs[name].run_id for name in ("second", "rival")]

    assert [f.path for f in findings] == [f"{RUNS}/{run_id}" for run_id in rivals]
    assert all(run_id in f.message for f in findings for run_id in rivals)


def test_the_order_in_which_records_are_found_does_not_matter(tmp_path: Path) -> None:
    for number, name in enumerate(SCENARIOS):
        scenario = read_scenario(tmp_path / str(number), name)
        found = read_chain(scenario.repository)
        turned = replace(found, records=found.records[::-1], broken=found.broken[::-1])
        one, other = (make_chain_state(records, scenario.pointers, scenario.intent) for records in (found, turned))

        assert (one.state, one.head, one.findings) == (other.state, other.head, other.findings)


def test_a_copy_of_a_record_under_another_run_root_counts_once(tmp_path: Path) -> None:
    scenario = read_scenario(tmp_path, "committed__chain_of_three")
    elsewhere = tmp_path / "reports" / "runs"
    elsewhere.mkdir(parents=True)
    folder = scenario.refs["first"].run_id
    (elsewhere / folder).mkdir()
    for path in (tmp_path / RUNS / folder).iterdir():
        (elsewhere / folder / path.name).write_bytes(path.read_bytes())

    state = make_chain_state(read_chain(scenario.repository), scenario.pointers, None)
    assert (state.state, state.findings) == ("committed", ())


def test_other_run_folders_are_not_opened(tmp_path: Path) -> None:
    scenario = read_scenario(tmp_path, "committed__init")
    seal_plainly(tmp_path, "2026-02-03__000000__run_registry_build", {"A.json": b"{}"}, {})
    (tmp_path / RUNS / "2026-02-03__000000__pointer_activation_notes").mkdir()
    (tmp_path / RUNS / "pointer_activation").mkdir()

    assert len(read_chain(scenario.repository).records) == 1
    assert read_chain(scenario.repository).broken == ()


def test_a_folder_with_only_the_name_of_a_record_is_reported(tmp_path: Path) -> None:
    scenario = read_scenario(tmp_path, "committed__init")
    name = "2026-02-03__000000__pointer_activation"
    init = tmp_path / RUNS / scenario.refs["init"].run_id
    files = {file: (init / file).read_bytes() for file in (RECORD_FILE, AFTER_FILE)}
    seal_plainly(tmp_path, name, files, {"registry_id": "run_registry"})
    (finding,) = make_chain_state(read_chain(scenario.repository), scenario.pointers, None).findings

    assert (finding.code, finding.path) == ("CHAIN_RECORD_EDITED", f"{RUNS}/{name}")


def test_a_repository_without_run_roots_is_not_chained(tmp_path: Path) -> None:
    from registry_pipeline.config import load_repository

    found = read_chain(load_repository(tmp_path))

    assert (found.records, found.broken) == ((), ())
    assert make_chain_state(found, None, None).state == "not_chained"


def test_checking_the_chain_reads_no_disk() -> None:
    state = make_chain_state(ChainRecords("pointers.json"), b"anything", None)

    assert [(f.code, f.path) for f in state.findings] == [("CHAIN_NOT_STARTED", "pointers.json")]
    assert not state.refuses


def test_an_anchor_on_a_voided_record_is_missing_after_a_restart(tmp_path: Path) -> None:
    records = [
        {"name": "first", "action": "init", "follows": None},
        {"name": "wrong", "action": "activate", "follows": "first"},
        {"name": "void", "action": "void", "follows": "first", "runs": ["wrong"]},
        {"name": "again", "action": "init", "follows": None, "before": "first", "runs": ["first", "wrong", "void"]},
    ]
    chain = write_scenario({"records": records, "pointer": "first", "intent": None}, tmp_path)
    state = make_chain_state(read_chain(chain.repository), chain.pointers, chain.intent)

    assert state.voided == ()
    assert [f.code for f in check_anchor(state, chain.refs["wrong"].manifest_sha256, "p")] == ["CHAIN_ANCHOR_MISSING"]
