"""The scorecard's figures: counted from the catalog and the registry table, compared with the active scorecard."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_pipeline.registries.base.reader import SourceContext
from registry_pipeline.registries.base.values import Operation, OperationCatalog, RegistryState
from registry_pipeline.registries.scorecard.build import ARTIFACT, ScorecardInputs, build_scorecard
from registry_pipeline.registries.scorecard.read import _find_observed
from registry_pipeline.schema import check_value
from registry_pipeline_tests.registries.builder_values import CONTEXT, context

SCHEMA = "REGISTRY_governance_scorecard_v0_2.schema.json"


def operation(number: int, option: str = "A", *executables: str) -> Operation:
    return Operation(f"OP-{option}{number:02d}", option, f"Operation {number}", executables, "catalog.md")


def standing(registry_id: str, **changes: Any) -> RegistryState:
    values: dict[str, Any] = {"with_schema": True, "with_source": True, "sealed": True, "can_be_active": True}
    return RegistryState(registry_id, **(values | {"known": True, "reason": ""} | changes))


def inputs(*operations: Operation, coverage: dict[str, str] | None = None, **changes: Any) -> ScorecardInputs:
    values: dict[str, Any] = {
        "options": ("A", "B"),
        "observed": frozenset(),
        "missing_executables": frozenset(),
        "named_paths": {name: frozenset({name}) for operation in operations for name in operation.executables},
        "found_executables": frozenset(),
        "registries": (),
        "before": None,
    }
    return ScorecardInputs(OperationCatalog(operations, coverage or {}, ()), **(values | changes))


def scorecard(given: ScorecardInputs) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(build_scorecard(given, CONTEXT).files[ARTIFACT])
    return made


def test_the_figures_31_of_36_are_86_1_percent() -> None:
    operations = [operation(number) for number in range(36)]
    coverage = {each.operation_id: "C3" if number < 20 else "C4" for number, each in enumerate(operations[:31])}

    document = scorecard(inputs(*operations, coverage=coverage | {operations[31].operation_id: "C2"}))

    assert document["operations"]["c3_plus"] == {"count": 31, "of": 36, "percent": 86.1}
    assert document["operations"]["by_level"] == {"C0": 4, "C1": 0, "C2": 1, "C3": 20, "C4": 11, "C5": 0}


def test_the_figures_9_of_13_registries_are_sealed() -> None:
    rows = [standing(f"registry_{number:02d}", sealed=number < 9) for number in range(13)]
    rows += [standing(f"unused_{number}", sealed=number == 0, with_source=False) for number in range(10)]

    figures = scorecard(inputs(registries=tuple(rows)))["registries"]

    assert figures["sealed_with_source"] == {"count": 9, "of": 13, "percent": 69.2}
    assert (figures["sealed"], figures["total"]) == (10, 23)


def test_an_operation_whose_option_is_not_configured_does_not_count() -> None:
    document = scorecard(inputs(operation(1), operation(1, "Z", "jobs/z.py")))

    assert document["operations"]["canonical"] == 1
    assert document["executables"]["bound"] == 0


def test_an_executable_bound_twice_counts_once_and_what_is_missing_is_named() -> None:
    bound = [operation(1, "A", "jobs/a.py", "jobs/b.py"), operation(2, "A", "jobs/b.py")]

    document = scorecard(inputs(*bound, missing_executables=frozenset({"jobs/b.py"})))

    assert document["executables"]["bound"] == 2
    assert document["executables"]["missing"] == ["jobs/b.py"]


def test_an_executable_that_no_operation_of_a_configured_option_names_is_orphaned() -> None:
    bound = [operation(1, "A", "python jobs/a.py --all"), operation(2, "Z", "jobs/z.py"), operation(3, "A", "make")]
    paths = {"python jobs/a.py --all": frozenset({"jobs/a.py"}), "jobs/z.py": frozenset({"jobs/z.py"})}
    found = frozenset({"jobs/z.py", "jobs/a.py", "tools/idle.py"})

    figures = scorecard(inputs(*bound, named_paths=paths, found_executables=found))["executables"]

    assert (figures["bound"], figures["total"], figures["orphaned"]) == (2, 3, ["jobs/z.py", "tools/idle.py"])
    assert figures["rate"] == {"count": 1, "of": 3, "percent": 33.3}


def test_a_scorecard_of_an_earlier_version_is_valid_and_the_new_figures_have_no_change() -> None:
    earlier = scorecard(inputs(operation(1, "A", "jobs/a.py"), registries=(standing("a"),)))
    for section, names in {"executables": ("total", "orphaned", "rate"), "registries": ("sealed_with_source",)}.items():
        for name in names:
            del earlier[section][name]

    change = scorecard(inputs(operation(1, "A", "jobs/a.py"), registries=(standing("a"),), before=earlier))["change"]

    assert check_value(SCHEMA, earlier) == []
    assert change["executables"] == {"bound": 0, "missing": 0, "total": None, "orphaned": None, "rate": NO_SHARE}
    assert (change["registries"]["sealed"], change["registries"]["sealed_with_source"]) == (0, NO_SHARE)


NO_SHARE = {"count": None, "of": None, "percent": None}


def test_without_a_status_table_nobody_knows_what_was_observed() -> None:
    assert scorecard(inputs(operation(1), observed=None))["operations"]["observed"] is None
    assert scorecard(inputs(operation(1), observed=frozenset({"OP-A01"})))["operations"]["observed"] == 1


def test_a_percent_of_nothing_is_unknown() -> None:
    assert scorecard(inputs())["operations"]["c3_plus"] == {"count": 0, "of": 0, "percent": None}


def test_a_registry_with_an_unknown_pointer_is_listed_with_its_reason() -> None:
    document = scorecard(
        inputs(
            registries=(
                standing("b_registry", known=False, reason="an external database"),
                standing("a_report", can_be_active=False, known=False, reason="presentation"),
                standing("c_registry"),
            )
        )
    )["registries"]

    assert document["unknown"] == [{"registry_id": "b_registry", "reason": "an external database"}]
    assert document["pointer_known"] == 1


def test_the_change_is_figure_by_figure_and_null_where_there_is_nothing_to_compare() -> None:
    first = scorecard(inputs(operation(1), operation(2), observed=None, coverage={"OP-A01": "C3"}))
    assert first["change"] is None

    now = scorecard(inputs(operation(1), observed=frozenset(), coverage={"OP-A01": "C3"}, before=first))["change"]

    assert now["operations"]["canonical"] == -1
    assert now["operations"]["observed"] is None
    assert now["operations"]["c3_plus"] == {"count": 0, "of": -1, "percent": 50.0}
    assert now["operations"]["by_level"]["C0"] == -1
    assert now["registries"]["unknown"] == 0


operations = st.lists(
    st.builds(operation, st.integers(0, 40), st.sampled_from(["A", "B", "Z"]), st.sampled_from(["x.py", "y/z.py"])),
    unique_by=lambda each: each.operation_id,
)
levels = st.dictionaries(
    st.builds("OP-{}{:02d}".format, st.sampled_from("AB"), st.integers(0, 40)),
    st.sampled_from(["C0", "C2", "C3", "C7"]),
)


@given(operations, levels, st.permutations(range(3)))
def test_every_scorecard_is_what_its_schema_says_and_does_not_depend_on_order(
    some: list[Operation], coverage: dict[str, str], order: list[int]
) -> None:
    rows = [standing("a_one"), standing("b_two", known=False, reason="why"), standing("c_three", sealed=False)]
    one = scorecard(inputs(*some, coverage=coverage, registries=tuple(rows)))
    other = scorecard(inputs(*reversed(some), coverage=coverage, registries=tuple(rows[i] for i in order)))

    assert one == other
    assert sum(one["operations"]["by_level"].values()) == one["operations"]["canonical"]
    assert check_value(SCHEMA, scorecard(inputs(*some, coverage=coverage, before=one))) == []


def test_the_content_hash_does_not_know_the_time() -> None:
    given = inputs(operation(1))
    later = context(at=CONTEXT.as_of.replace(hour=13))

    assert build_scorecard(given, CONTEXT).content_sha256 == build_scorecard(given, later).content_sha256
    assert build_scorecard(given, CONTEXT).files != build_scorecard(given, later).files


@pytest.mark.parametrize(
    ("table", "observed"),
    [
        ([{"operation_id": "OP-A01", "run_evidence_state": "OBSERVED"}, {"operation_id": "OP-A02"}], {"OP-A01"}),
        ([1, {"run_evidence_state": "OBSERVED"}], {"None"}),
        ({"rows": []}, None),
    ],
)
def test_a_table_of_an_older_tool_that_has_another_shape_is_no_traceback(table: Any, observed: set[str] | None) -> None:
    files = {"OPERATION_STATUS_TABLE_v0_1.json": json.dumps(table).encode()}

    assert _find_observed(SourceContext(upstream={"op_status_table": files})) == observed
