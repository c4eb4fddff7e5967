"""Find schemas and check values."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from registry_pipeline import schema
from registry_pipeline.errors import NotFoundError
from registry_pipeline.schema import SchemaProblem, check_value, has_schema, schema_bytes, schema_folder

VERSIONS = "REGISTRY_expected_versions_v0_1.schema.json"
RECORD = "REGISTRY_pointer_activation_v0_1.schema.json"


def test_a_checkout_uses_its_own_folder() -> None:
    checkout = Path(schema.__file__).parents[1]

    assert schema_folder() == checkout / "schemas"
    assert schema_bytes(VERSIONS) == (checkout / "schemas" / VERSIONS).read_bytes()


def test_an_installed_package_uses_the_copy_inside_it(tmp_path: Path) -> None:
    package = tmp_path / "site-packages" / "registry_pipeline"
    package.mkdir(parents=True)
    (tmp_path / "site-packages" / "schemas").mkdir()  # some other distribution's

    assert schema_folder(package) == package / "schemas"


def test_a_checkout_wins_over_a_copy_that_an_editable_install_left(tmp_path: Path) -> None:
    package = tmp_path / "registry_pipeline"
    (package / "schemas").mkdir(parents=True)
    (tmp_path / "schemas").mkdir()
    (tmp_path / "pyproject.toml").touch()

    assert schema_folder(package) == tmp_path / "schemas"


def test_importing_the_module_imports_neither_library() -> None:
    code = "import registry_pipeline.schema, sys; print({'jsonschema', 'jsonschema_rs'} & set(sys.modules))"

    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert answer.stdout.strip() == "set()"


def test_importing_the_module_builds_no_large_table() -> None:
    assert [name for name, content in vars(schema).items() if isinstance(content, dict) and len(content) > 1000] == []


def test_a_valid_value_does_not_import_the_slow_validator() -> None:
    code = (
        "import sys; from registry_pipeline.schema import check_value;"
        f"assert check_value({VERSIONS!r}, {{'expected': {{}}}}) == []; print('jsonschema' in sys.modules)"
    )

    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert answer.stdout.strip() == "False"


def test_an_interrupt_while_the_library_loads_is_an_interrupt_and_no_panic() -> None:
    # jsonschema-rs imports `decimal` from Rust, which panics when that import raises.
    code = f"""
import os, signal, sys
from registry_pipeline.schema import check_value

class InterruptAtDecimal:
    def find_spec(self, name, path=None, target=None):
        if name == "decimal":
            print("interrupted")
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, InterruptAtDecimal())
try:
    check_value({VERSIONS!r}, {{"expected": {{}}}})
except KeyboardInterrupt:
    print("raised")
"""

    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert (answer.stdout.split(), answer.stderr) == (["interrupted", "raised"], "")


def test_a_schema_that_does_not_ship_is_an_error_with_advice() -> None:
    assert not has_schema("REGISTRY_weather_v0_1.schema.json")
    with pytest.raises(NotFoundError, match="REGISTRY_weather"):
        schema_bytes("REGISTRY_weather_v0_1.schema.json")


def test_every_problem_has_its_pointer_and_they_are_in_order() -> None:
    value = {"version": 1, "expected": {"threshold_pack_version": [], "schema_version": {}}}

    problems = check_value(VERSIONS, value)

    assert [p.pointer for p in problems] == [
        "/expected/schema_version",
        "/expected/threshold_pack_version",
        "/version",
    ]


def test_items_are_ordered_by_number_and_not_by_text() -> None:
    problems = check_value("ACTIVE_REGISTRY_POINTERS_v0_1.schema.json", pointers_with([5] * 11))

    assert [p.pointer for p in problems] == [f"/pointers/{number}" for number in range(11)]


def test_missing_keys_are_one_problem() -> None:
    (problem,) = check_value("ACTIVE_REGISTRY_POINTERS_v0_1.schema.json", {})

    assert problem == SchemaProblem("", "missing keys: pointer_contract_version, pointers")


def test_a_problem_inside_an_alternative_is_reported_there() -> None:
    problems = check_value(RECORD, {"moves": [{"registry_id": "a", "from_ref": None, "to_ref": {"run_id": ""}}]})

    assert "/moves/0/to_ref" in {p.pointer.rsplit("/run_id")[0] for p in problems}
    assert not any("not valid under any" in p.message for p in problems)


def test_messages_stay_short() -> None:
    for value in ("x" * 10**6, ["x" * 10**6], {"x" * 10**6: 1, "expected": {}}, {"expected": "x" * 10**6}):
        assert all(len(p.message) <= 201 for p in check_value(VERSIONS, value))
    assert all(len(p.message) <= 201 for p in check_value(RECORD, {f"key{n}": n for n in range(1000)}))


def test_a_flood_of_problems_is_cut() -> None:
    problems = check_value("REGISTRY_op_status_table_v0_1.schema.json", [5] * 100_000)

    assert len(problems) == schema.PROBLEM_LIMIT


def test_values_that_the_fast_validator_does_not_accept_are_checked_too() -> None:
    deep: Any = []
    for _ in range(900):
        deep = [deep]

    assert check_value(VERSIONS, {"expected": {}, "\ud800": 1}) == []
    assert check_value(VERSIONS, {"expected": {}, "x": 10**400, "y": deep}) == []
    for value in (deep, {"expected": deep}, {"\ud800": 1, "expected": 10**400}, {"expected": {"schema_version": deep}}):
        assert check_value(VERSIONS, value)


class InvalidWith:
    """A validator that finds every value invalid, with the given errors."""

    def __init__(self, *errors: Any) -> None:
        self._errors = errors

    def is_valid(self, _value: object) -> bool:
        return False

    def iter_errors(self, _value: object) -> Iterator[Any]:
        yield from self._errors


def _make_validator(library: InvalidWith) -> schema.Validator:
    validator = schema.Validator({})
    validator._validator = validator._lister = cast("Any", library)
    return validator


def test_an_invalid_value_has_a_problem_even_if_the_library_gives_no_error() -> None:
    assert _make_validator(InvalidWith())({}) == [SchemaProblem("", "does not satisfy the schema")]


def test_a_value_that_only_lacks_keys_is_not_shown() -> None:
    # An object of many keys takes long to show; the message names the missing keys alone.
    kind = SimpleNamespace(name="required", as_dict=lambda: {"property": "a"})
    error_without_instance = SimpleNamespace(kind=kind, instance_path=[])

    (problem,) = _make_validator(InvalidWith(error_without_instance))({})

    assert problem.message == "missing keys: a"


def test_a_value_too_deep_to_show_is_one_problem() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]

    assert check_value(VERSIONS, {"expected": deep}) == [SchemaProblem("", "nested too deeply")]


def test_a_value_too_deep_to_show_is_one_problem_even_with_half_of_a_surrogate_pair() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]

    assert check_value(VERSIONS, {"\ud800": 1, "expected": deep}) == [SchemaProblem("", "nested too deeply")]


def test_problems_can_be_encoded_as_utf_8() -> None:
    (problem,) = check_value(RECORD, valid_record() | {"verdicts": {"\ud800/~": -1}})

    assert problem.pointer == "/verdicts/\\ud800~1~0"


def test_many_values_are_reported_by_their_position() -> None:
    values = [{"expected": {}}, 5, {"expected": {}}, {}]

    assert [position for position, value in enumerate(values) if check_value(VERSIONS, value)] == [1, 3]


def pointers_with(entries: list[Any]) -> dict[str, Any]:
    return {"pointer_contract_version": "0.1", "pointers": entries}


def valid_record() -> dict[str, Any]:
    return {
        "activation_version": "0.1",
        "action": "init",
        "moves": [],
        "runs": [],
        "actor": "a",
        "reason": "",
        "verdicts": {},
        "pointer_sha256_before": "a" * 64,
        "pointer_sha256_after": "a" * 64,
        "previous_activation": None,
    }
