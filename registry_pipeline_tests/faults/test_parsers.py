"""A short fuzz of every parser: a value, findings or the documented exception, and nothing else.

`PARSERS` lists every public function of the package that reads bytes or text. A test fails when one is missing.
"""

from __future__ import annotations

import ast
import io
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry_pipeline import canonical, config, path_pattern
from registry_pipeline.config import Adapter, Config, Repository
from registry_pipeline.errors import ConfigError, EvidenceError
from registry_pipeline.findings.collector import FindingCollector
from registry_pipeline.git import tree as git_tree
from registry_pipeline.pointers.chain import ActivationRecord, Intent
from registry_pipeline.registries.base import delta, operations, upstream
from registry_pipeline.registries.base.delta import DeltaEdge, PathChanges
from registry_pipeline.registries.collections.build import IndexEntry, parse_index
from registry_pipeline.registries.roles import pack, strict_json, waivers
from registry_pipeline.registries.run_index import append, log_file
from registry_pipeline.registries.run_index.log_file import overrides_log, run_index_log
from registry_pipeline.runs import envelope_file, scan
from registry_pipeline.runs.check_manifest import check_manifest
from registry_pipeline.runs.envelope import Inputs
from registry_pipeline.runs.hash_file import parse_hash_lines
from registry_pipeline.runs.pointer_file import parse_pointer_file
from registry_pipeline.runs.reference import RunId, SealedRef
from registry_pipeline.schema import make_validator
from registry_pipeline.yaml import compose, values
from registry_pipeline.yaml.compose import StrictYamlError
from registry_pipeline_tests import known_answers
from registry_pipeline_tests.laws import examples
from registry_pipeline_tests.role_packs import SMALL
from registry_pipeline_tests.run_index.values import a_run

_RUN_INDEX = run_index_log(Repository(Path("/nowhere"), Config()))
_OVERRIDES = overrides_log(Repository(Path("/nowhere"), Config()))
_ADAPTER = Adapter(root="runs", file="meta.json", created_utc="job.started")
_REF = {"run_id": "r", "run_root": "runs", "relpath": None, "manifest_sha256": "a" * 64}
_RECORD = {
    "activation_version": "0.1",
    "action": "activate",
    "moves": [{"registry_id": "run_registry", "from_ref": None, "to_ref": _REF}],
    "runs": [],
    "actor": "Ada",
    "reason": "x",
    "verdicts": {"pass": 1},
    "pointer_sha256_before": "a" * 64,
    "pointer_sha256_after": "b" * 64,
    "previous_activation": _REF,
}
_ENTRY = {"registry_id": "x", "active_ref": _REF, "active_ref_known": True, "active_asof_utc": "2026-01-01T00:00:00Z"}
_EDGE = DeltaEdge(
    "run_registry", None, SealedRef("r", "runs", None, "a" * 64), "manifest_diff", PathChanges((), (), ()), "x", "y"
).to_json()
_INDEX_ENTRY = IndexEntry("a", SealedRef("r", "runs", None, "a" * 64), "b" * 64, 1, 2).to_json()
_RUN_ROW = (Path(known_answers.__file__).parent / "expected/RUN_REGISTRY_v0_1.jsonl").read_bytes().split(b"\n")[0]
_CATALOG = "## Option A\n### OP-A01: Build\nBound Executables:\n- `python a.py`\n"
_MATRIX = "| OP-A01 | A | E1 | C3 | because |\n"


@dataclass(frozen=True)
class Parser:
    """A parser with valid samples and the exceptions that its documentation names."""

    parse: Callable[[bytes], object]
    samples: tuple[bytes, ...]
    raises: tuple[type[Exception], ...] = ()


def _json(*values: object) -> tuple[bytes, ...]:
    return tuple(json.dumps(value).encode() for value in values)


def _text(parse: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda data: parse(data.decode("utf-8", "replace"))


def _value(parse: Callable[[Any], object]) -> Callable[[bytes], object]:
    """Return a parser of the value of strict JSON, which is how the function is used."""
    return lambda data: parse(canonical.parse_strict_json(data))


_STRICT = (canonical.StrictJsonError,)
PARSERS: Final[Mapping[str, Parser]] = {
    "canonical.parse_strict_json": Parser(canonical.parse_strict_json, _json({"a": [1.5, None]}), _STRICT),
    "canonical.parse_finite_json": Parser(canonical.parse_finite_json, _json({"a": 1}), (ValueError, RecursionError)),
    "canonical.parse_strict_csv": Parser(
        lambda data: list(canonical.parse_strict_csv(data)), (b'a,b\n1,"x"\n',), (canonical.StrictCsvError,)
    ),
    "canonical.parse_utc": Parser(_text(canonical.parse_utc), (b"2026-01-01T00:00:00Z",)),
    "canonical.parse_instant": Parser(_text(canonical.parse_instant), (b"2026-01-01T00:00:00+01:00",)),
    "config.parse_config": Parser(
        lambda data: config.parse_config(data, Path("/nowhere")),
        (b'stale_days = 3\nrun_roots = [".codex/RUNS"]\n',),
        (ConfigError,),
    ),
    "config.parse_toml": Parser(config.parse_toml, (b"a = 1\n[b]\nc = 2026-01-01\n",), (ConfigError,)),
    "path_pattern.parse_path_pattern": Parser(
        _text(path_pattern.parse_path_pattern),
        (b"{operation_id}__*", b"runs/*/{option}-{run_type}_v1"),
        (ValueError,),
    ),
    "registries.base.delta.parse_delta_log": Parser(
        lambda data: list(delta.parse_delta_log(data)), (json.dumps(_EDGE).encode() + b"\n",), (ValueError,)
    ),
    "registries.collections.build.parse_index": Parser(
        parse_index, (json.dumps(_INDEX_ENTRY).encode() + b"\n",), (ValueError,)
    ),
    "model.activation": Parser(_value(ActivationRecord.from_json), _json(_RECORD), (ValueError,)),
    "pointers.chain.intent": Parser(
        _value(Intent.from_json), _json({"run_id": "r", "before": "a" * 64, "after": "b" * 64}), _STRICT
    ),
    "model.envelope": Parser(
        _value(Inputs.from_json),
        _json({"registries": [{"registry_id": "x", "role": "previous", "sealed_ref": _REF}]}),
        _STRICT,
    ),
    "model.refs": Parser(_value(SealedRef.from_json), _json(_REF), _STRICT),
    "model.ids": Parser(_text(RunId.parse), (b"2026-01-01__000000__run_registry_build__02",)),
    "runs.pointer_file.parse_pointer_file": Parser(
        lambda data: parse_pointer_file(data, "P.json"),
        _json({"pointer_contract_version": "0.1", "pointers": [_ENTRY]}),
    ),
    "registries.roles.pack.parse_pack": Parser(lambda data: pack.parse_pack(data, "p.json"), (SMALL.encode(),)),
    "registries.roles.pack.parse_whole_pack": Parser(
        lambda data: pack.parse_whole_pack(data, "p.json"), (SMALL.encode(),)
    ),
    "registries.roles.strict_json.parse_strict_bytes": Parser(strict_json.parse_strict_bytes, (SMALL.encode(),)),
    "registries.roles.strict_json.parse_strict_text": Parser(_text(strict_json.parse_strict_text), (SMALL.encode(),)),
    "registries.roles.pack.parse_pack_by_roles": Parser(
        lambda data: pack.parse_pack_by_roles(data, "p.json"), (SMALL.encode(),)
    ),
    "registries.roles.waivers.parse_waivers": Parser(
        lambda data: waivers.parse_waivers(data, "w.json"), _json({"waivers_version": "0.1", "waivers": []})
    ),
    "registries.run_index.append.parse_batch": Parser(
        lambda data: append.parse_batch(_RUN_INDEX, data, "batch"), _json(a_run(1), a_run(2))
    ),
    "registries.run_index.log_file.parse_record": Parser(
        lambda data: log_file.parse_record(_OVERRIDES, data), _json(a_run(1))
    ),
    "registries.run_index.log_file.read_lines": Parser(
        lambda data: list(log_file.read_lines(io.BytesIO(data), end=len(data))), _json(a_run(1))
    ),
    "schema.make_validator": Parser(
        make_validator, _json({"type": "object", "properties": {"a": {"pattern": "^x{1,3}$"}}}), (ValueError,)
    ),
    "runs.hash_file.parse_hash_lines": Parser(
        lambda data: parse_hash_lines(data, FindingCollector("M")),
        (b"a" * 64 + b"  a.txt\nROOT_SHA256  " + b"b" * 64 + b"\n",),
    ),
    "runs.check_manifest.check_manifest": Parser(
        lambda data: check_manifest(data, FindingCollector("M")),
        _json([{"relpath": "a", "bytes": 1, "sha256": "a" * 64}]),
    ),
    "git.tree.parse_tree": Parser(
        lambda data: git_tree.parse_tree(data, 20), (b"100644 a.txt\0" + b"x" * 20,), (ValueError,)
    ),
    "runs.scan.parse_claimed_root": Parser(scan.parse_claimed_root, (b"ROOT_SHA256  " + b"b" * 64 + b"\n",)),
    "runs.envelope_file.parse_run_json": Parser(envelope_file.parse_run_json, _json({"run_id": "x", "option": 1})),
    "runs.envelope_file.parse_adapted_file": Parser(
        lambda data: envelope_file.parse_adapted_file(data, _ADAPTER), _json({"job": {"started": "2026-01-01"}})
    ),
    "registries.base.upstream.parse_run_rows": Parser(
        lambda data: tuple(upstream.parse_run_rows(data)), (_RUN_ROW, _RUN_ROW + b"\n"), (EvidenceError,)
    ),
    "registries.base.operations.parse_catalog_document": Parser(
        _text(lambda text: operations.parse_catalog_document(text, "C.md")), (_CATALOG.encode(),)
    ),
    "registries.base.operations.parse_matrix_document": Parser(
        _text(lambda text: operations.parse_matrix_document(text, "M.md")), (_MATRIX.encode(),)
    ),
    "registries.base.operations.parse_operations_document": Parser(
        lambda data: operations.parse_operations_document(data, "o.yaml"), (b"operations: []\n",)
    ),
    "registries.base.upstream.parse_expected_versions": Parser(
        upstream.parse_expected_versions, _json({"expected": {"schema_version": "0.1"}})
    ),
    "yaml.compose.parse_yaml": Parser(compose.parse_yaml, (b"a: [1, {b: c}]\n",), (StrictYamlError,)),
    "yaml.compose.parse_yaml_values": Parser(compose.parse_yaml_values, (b"a: 1\n---\nb: 2\n",), (StrictYamlError,)),
    "yaml.values.parse_text_values": Parser(_text(values.parse_text_values), (b"a: 010\n",), (ValueError,)),
    "yaml_values.scalars": Parser(_text(compose.parse_plain_scalar), (b"0x1F", b"1.5", b"~"), (ValueError,)),
}

_PIECES: Final = tuple(
    piece.encode("utf-8", "surrogatepass")
    for piece in (
        "\0",
        "\ufeff",
        "\r\n",
        "\u2028",
        "\u202e",
        "\ud800",
        "é",
        "e\u0301",
        "9" * 5000,
        "-" * 50,
        "[" * 3000,
        "{" * 3000,
        '"',
        "\\u0000",
        "\\ud800",
        "1e999",
        "NaN",
        ": ",
        "- ",
        "|",
        "#",
        "&a *a ",
        "!!python/object ",
        "{1,99999999}",
        "2026-13-45T99:99:99Z",
    )
)


@st.composite
def mutated(draw: st.DrawFn, samples: tuple[bytes, ...]) -> bytes:
    """A valid sample with some bytes cut, repeated, flipped or replaced by what parsers dislike."""
    data = bytearray(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(data)))
        end = min(len(data), place + draw(st.integers(0, 12)))
        kind = draw(st.sampled_from(("insert", "cut", "repeat", "flip", "raw")))
        if kind == "insert":
            data[place:place] = draw(st.sampled_from(_PIECES))
        elif kind == "cut":
            del data[place:end]
        elif kind == "repeat":
            data[place:place] = data[place:end] * draw(st.integers(1, 20))
        elif kind == "flip" and place < len(data):
            data[place] ^= 1 << draw(st.integers(0, 7))
        else:
            data[place:end] = draw(st.binary(max_size=8))
    return bytes(data)


@pytest.mark.parametrize("name", PARSERS)
def test_a_valid_sample_parses(name: str) -> None:
    for sample in PARSERS[name].samples:
        PARSERS[name].parse(sample)


@pytest.mark.parametrize("name", PARSERS)
def test_any_text_gives_a_value_or_the_documented_exception(name: str) -> None:
    parser = PARSERS[name]

    @settings(examples(60), database=None, suppress_health_check=list(HealthCheck))
    @given(st.one_of(mutated(parser.samples), st.binary(max_size=40)))
    def law(data: bytes) -> None:
        with suppress(*parser.raises):
            parser.parse(data)

    law()


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", PARSERS)
def test_very_many_texts_give_a_value_or_the_documented_exception(name: str) -> None:
    parser = PARSERS[name]

    @settings(examples(500), database=None, suppress_health_check=list(HealthCheck))
    @given(st.one_of(mutated(parser.samples), st.binary(max_size=200)))
    def law(data: bytes) -> None:
        with suppress(*parser.raises):
            parser.parse(data)

    law()


def test_every_public_parser_is_listed() -> None:
    """A public function `parse_*`, or `read_*` of `data` or `text`, is in the table."""
    root = Path(config.__file__).parent
    found = set()
    for path in sorted(root.rglob("*.py")):
        for node in ast.parse(path.read_bytes()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith(("parse_", "read_")):
                names = [argument.arg for argument in node.args.args]
                if names and (names[0] in ("data", "text") or names[:2] == ["log", "data"]):
                    module = ".".join(path.relative_to(root).with_suffix("").parts)
                    found.add(f"{module}.{node.name}")

    assert found - set(PARSERS) - ELSEWHERE == set()


ELSEWHERE: Final = frozenset(
    (
        "yaml.compose.parse_plain_scalar",
        "registries.run_index.log_file.parse_line",
        "registries.base.upstream.parse_system_drift",
        "registries.base.upstream.parse_upstream_json",
        "canonical.try_parse_strict_json",
        "runs.envelope_file.parse_registry_run_json",
        "yaml.values.parse_json_values",
    )
)
"""Parsers that are called through a listed one only."""
