"""Law: a line that a learned pattern matches is what the parser says it is; patterns change no result of any log."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from registry_pipeline.canonical import json_line
from registry_pipeline.registries.run_index import line_pattern
from registry_pipeline.registries.run_index.check import check_run_index
from registry_pipeline.registries.run_index.gates import RuleContext, SongIndex
from registry_pipeline.registries.run_index.line_pattern import CAPTURED, LinePatterns
from registry_pipeline.registries.run_index.log_file import (
    Entry,
    Line,
    Log,
    parse_line,
    read_lines,
    run_index_log,
    scan_lines,
)
from registry_pipeline.registries.run_index.record import GRAMMARS, RUN
from registry_pipeline_tests.laws import examples
from registry_pipeline_tests.patterns.adversary import MOST_GROWTH, growth
from registry_pipeline_tests.patterns.collecting import Use
from registry_pipeline_tests.patterns.worst_texts import Worst
from registry_pipeline_tests.run_index.values import a_run, a_success, repository_at

_ULID: Final = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
_TEXTS: Final = [
    "",
    " ",
    "x",
    "PASS",
    "a\nb",
    'say "so"',
    "é",
    "\U0001f600",
    "a\\b",
    "\x00",
    "\x7f",
    "\ud83d",
    "x\udc00",
]
_ODD: Final[list[Any]] = [*_TEXTS, 7, None, [], {}]
_CONTENTS: Final[dict[str, list[Any]]] = {
    "run_id": ["RUN-20240229-0900-AAAA", "RUN-20250229-0900-AAAA", "RUN-20250431-2359-AAAA", "RUN-00000101-0000-AAAA",
               "RUN-20251231-2400-AAAA", "RUN-20250930-0960-AAAA", "RUN-20251231-2359-ZZZ9", f"RUN_{_ULID}"],
    "created_utc": ["2024-02-29T09:00Z", "2025-02-29T09:00Z", "2025-04-31T09:00:00Z", "2025-12-31T24:00Z",
                    "2025-12-31T23:59:60Z", "2025-06-30T23:59:59Z", "0000-01-01T00:00Z", "2025-06-30T23:59:59+00:00"],
    "last_updated_utc": ["2025-12-30T09:00Z", "2026-02-09T00:00:00Z", "2027-01-31T00:00:00Z"],
    "artist_id": ["ART-" + "a" * 124, "ART-" + "a" * 125, "ART-a-b-c", "ART-a--b", "ART-", "ART-A", "ART_a"],
    "genre_id": ["GEN-1", "GEN-1-", "GEN_g1"],
    "scripture_packet_id": ["SCR-20250101-0000-AAAA", "SPK_a-b.c", "SPK_" + "a" * 125, "SPK_a..b",
                            "SPK_a__b", "SPK_a___b", "SPK__a"],
    "version_ids": [[], ["VER-20250101-0000-AAAA"], ["VER-20250101-0000-AAAA", "VER-20250101-0000-AAAB"],
                    ["VER-20250101-0000-AAAA"] * 2, ["VER-20250132-0000-AAAA"], f"VER_{_ULID}", [f"VER_{_ULID}"],
                    ["VER-20250101-0000-AAAA", "VER-20250101-0000-AAAB", "VER-20250101-0000-AAAA"]],
    "run_log_filepath_abs": ["/srv/a.md", "C:\\a.md", "a.md", "/srv/é", " /srv", '/srv/"a'],
    "corrects": [["notes"], ["run_id"], []],
}  # fmt: skip
_SPELLINGS: Final = st.sampled_from(["compact", "spaced", "utf-8", "escaped", "crlf"])


@st.composite
def _records(draw: st.DrawFn) -> dict[str, Any]:
    """Return a record with valid contents, odd contents, missing fields, unknown fields, in any order."""
    record: dict[str, Any] = dict(draw(st.sampled_from([a_run, a_success]))(draw(st.integers(0, 4))))
    for name in draw(st.lists(st.sampled_from([*RUN.fields, "mood", "unknown"]), max_size=3)):
        field = RUN.fields.get(name)
        record[name] = draw(st.sampled_from([*_CONTENTS.get(name, []), *(field.values if field else ()), *_ODD]))
    for name in draw(st.lists(st.sampled_from(list(record)), max_size=1)):
        del record[name]
    names = draw(st.sampled_from([list(record), sorted(record), [*reversed(record)]]))
    return {name: record[name] for name in names}


def _make_full_record(grammar: str) -> dict[str, Any]:
    """Return a valid record with every field that has a pattern."""
    record = a_success(1, notes="", mood="major", last_updated_utc="2026-02-10T10:00:00Z", run_log_filepath_abs="/a")
    for name, field in RUN.fields.items():
        if field.form == "enum":
            record[name] = field.values[0]
        elif field.form in ("id", "ids"):
            known = (
                {"artist": "ART-a", "genre": "GEN-g"} if grammar == "dash" else {"artist": "ART_a", "genre": "GEN_g"}
            )
            prefix = GRAMMARS[grammar].forms[field.kind].prefix
            default = prefix + ("20260210-0900-AAAA" if grammar == "dash" else _ULID)
            content = known.get(field.kind, default)
            record[name] = content if field.form == "id" else [content]
    return {name: record[name] for name in (*RUN.fields, "mood") if name in record}


def _spell(record: dict[str, Any], spelling: str) -> bytes:
    if spelling == "compact":
        return json_line(record)
    if spelling == "crlf":
        return json_line(record).replace(b"\n", b"\r\n")
    if spelling == "escaped":
        return json_line(record).replace(b"A", b"\\u0041").replace(b"/", b"\\/")
    text = json.dumps(record, ensure_ascii=spelling != "utf-8")
    return text.encode("utf-8", "surrogatepass") + b"\n"


@st.composite
def _line(draw: st.DrawFn) -> bytes:
    line = _spell(draw(_records()), draw(_SPELLINGS))
    damage = draw(st.sampled_from(["none", "none", "byte", "cut", "twice", "joined", "repeated key"]))
    at = draw(st.integers(0, len(line) - 2))
    if damage == "byte":
        return line[:at] + draw(st.sampled_from([b'"', b"\\", b",", b"}", b"0", b"\xff", b" "])) + line[at + 1 :]
    if damage == "cut":
        return line[:at] + b"\n"
    if damage == "twice":
        return line.rstrip() + line
    if damage == "joined":
        return line.rstrip(b"\r\n") + b",\n"
    return b'{"qa_gate2":"PASS",' + line[1:] if damage == "repeated key" else line


_LOGS: Final = st.lists(_line(), max_size=8).map(lambda lines: b"".join(lines * 2))
_MACHINES: Final = st.sampled_from([None, "C1"])


def _make_log(grammar: str = "dash") -> Log:
    return run_index_log(repository_at(Path("/nowhere"), ids=grammar, extra_keys=("mood", "corrects")))


@contextmanager
def _without_patterns() -> Iterator[None]:
    with mock.patch.object(LinePatterns, "match_lines", side_effect=lambda *_: iter(())):
        yield


def _scan(log: Log, data: bytes) -> list[tuple[Entry | None, list[Any], int]]:
    """Return what comes of each line, with the record of a matched line parsed without the rules."""
    results = []
    for number, offset, size, contents in scan_lines(log, io.BytesIO(data), end=len(data)):
        if isinstance(contents, Line):
            results.append((*parse_line(log, contents), size))
            continue
        record = json.loads(data[offset : offset + size])
        for name, content in zip(CAPTURED, contents, strict=True):
            quoted = f"[{content}]" if name == "version_ids" else f'"{content}"'
            assert record.get(name) == (None if content is None else json.loads(quoted))
        results.append((Entry(record, number, offset, size), [], size))
    return results


@examples(100)
@given(_LOGS, st.sampled_from(["dash", "ulid"]), st.binary(max_size=5), st.sampled_from([300, 700, 1 << 21]))
@example(json_line(a_run(1)) * 4, "dash", b"", 1 << 21)
@example(json_line(a_run(1)) * 3 + json_line(a_run(1)).replace(b"}", b',"corrects":"x"}'), "dash", b"", 1 << 21)
def test_lines_have_the_same_records_and_findings_with_and_without_patterns(
    data: bytes, grammar: str, tail: bytes, block: int
) -> None:
    data += tail
    with mock.patch("registry_pipeline.registries.run_index.log_file._SCAN_BLOCK", block):
        matched = _scan(_make_log(grammar), data)
    log = _make_log(grammar)
    with _without_patterns():
        parsed = [(*parse_line(log, line), line.size) for line in read_lines(io.BytesIO(data), end=len(data))]

    assert matched == parsed
    assert [repr(entry and list(entry.record.items())) for entry, *_ in matched] == [
        repr(entry and list(entry.record.items())) for entry, *_ in parsed
    ]


@examples(100)
@given(_LOGS, _MACHINES, st.booleans())
def test_a_check_has_the_same_result_with_and_without_patterns(data: bytes, machine: str | None, songs: bool) -> None:
    index = SongIndex(frozenset({"WORK-20260210-0930-AAAA"}), {"VER-20260210-0940-AAAA": None}) if songs else None
    context = RuleContext(song_index=index, machine_id=machine, now="2026-12-31T00:00:00Z", is_file=os.path.isfile)
    matched = check_run_index(_make_log(), io.BytesIO(data), len(data), context)
    with _without_patterns():
        parsed = check_run_index(_make_log(), io.BytesIO(data), len(data), context)

    assert (matched.lines, matched.records, matched.subjects) == (parsed.lines, parsed.records, parsed.subjects)
    assert sorted(map(repr, matched.findings)) == sorted(map(repr, parsed.findings))


@pytest.mark.parametrize("grammar", ["dash", "ulid"])
@pytest.mark.parametrize("spelling", ["compact", "spaced"])
@pytest.mark.parametrize("name", [*RUN.fields, "mood", "unknown"])
def test_every_odd_content_of_each_field_has_the_same_result_with_and_without_patterns(
    name: str, grammar: str, spelling: str
) -> None:
    base = _make_full_record(grammar)
    values = RUN.fields[name].values if name in RUN.fields else ()
    contents = [*_CONTENTS.get(name, []), *_CONTENTS["run_id"], *_CONTENTS["artist_id"], *values, *_ODD]
    records = [base, base, base, *({**base, name: content} for content in contents)]
    records.append({key: content for key, content in base.items() if key != name})
    data = b"".join(_spell(record, spelling) for record in records)

    matched = _scan(_make_log(grammar), data)
    with _without_patterns():
        parsed = _scan(_make_log(grammar), data)

    assert matched == parsed
    assert isinstance(
        next(scan_lines(_learned(_spell(base, spelling), grammar), io.BytesIO(data), end=len(data)))[3], tuple
    )


def _learned(line: bytes, grammar: str) -> Log:
    log = _make_log(grammar)
    for _ in range(2):
        assert parse_line(log, Line(1, 0, line.strip(), 0))[0]
    return log


@pytest.mark.parametrize("machine", [None, "C1"])
@pytest.mark.parametrize("gate", ["PASS", "FAIL"])
def test_every_field_of_a_run_with_one_record_is_checked_as_without_patterns(gate: str, machine: str | None) -> None:
    base = a_success(0, qa_gate2=gate, last_updated_utc="2026-02-10T09:00Z", uniqueness_scene="PASS")
    changes: list[dict[str, Any]] = [{}, {}, {}, {"uniqueness_scene": "FAIL"}, {"uniqueness_scene": "NOT_RUN"}]
    changes += [{"run_log_filepath_abs": path} for path in (__file__, "C:\\a.md", "a.md", '/srv/"')]
    changes += [{"version_ids": []}, {"machine_id": "C2", "run_log_filepath_abs": "/nowhere"}]
    stamps = ("2026-02-09T00:00:00Z", "2026-02-10T09:00:00Z", "2026-02-10T09:00Z", "2026-03-01T00:00:01Z")
    changes += [{"created_utc": first, "last_updated_utc": second} for first in stamps for second in stamps]
    records = [base | change for change in changes]
    records += [{key: each for key, each in base.items() if key not in (one, two)} for one in base for two in base]
    lines = [json_line(record | {"run_id": a_run(number)["run_id"]}) for number, record in enumerate(records)]
    data, now = b"".join(lines), "2026-03-01T00:00:00Z"
    context = RuleContext(machine_id=machine, now=now, is_file=os.path.isfile)

    matched = check_run_index(_make_log(), io.BytesIO(data), len(data), context)
    with _without_patterns():
        parsed = check_run_index(_make_log(), io.BytesIO(data), len(data), context)

    assert sorted(map(repr, matched.findings)) == sorted(map(repr, parsed.findings))
    assert matched.lines == parsed.lines == len(records)


def test_every_order_of_fields_that_is_frequent_is_matched() -> None:
    orders = [a_success(1), dict(sorted(a_success(2).items())), a_success(3, mood="major", notes="\u00e9\n")]
    data = b"".join(map(json_line, [record for record in orders for _ in range(3)]))
    log, is_parsed = _make_log(), []
    for *_, contents in scan_lines(log, io.BytesIO(data), end=len(data)):
        is_parsed.append(isinstance(contents, Line))
        if isinstance(contents, Line):
            assert parse_line(log, contents)[0]

    # The first two of each order are parsed.
    assert is_parsed == [True, True, False] * 3


def test_a_pattern_is_made_when_an_order_was_parsed_often_and_only_for_a_few_orders() -> None:
    with mock.patch.object(line_pattern, "_FREQUENT", 3):
        patterns = LinePatterns(RUN.fields, GRAMMARS["dash"])
        for _ in range(2):
            patterns.learn(a_run(1), "")
        assert not list(patterns.match_lines(json_line(a_run(2)).decode()))
        for first in [name for name in a_success(1) for _ in range(3)]:
            patterns.learn({first: a_success(1)[first], **{k: v for k, v in a_success(1).items() if k != first}}, "")

    assert len(patterns._patterns) == line_pattern._MAX_PATTERNS
    assert [end for end, _ in patterns.match_lines(json_line(a_run(2)).decode())] == [len(json_line(a_run(2)))]


def test_the_pattern_of_a_line_takes_time_that_grows_as_the_line_does() -> None:
    patterns = LinePatterns(RUN.fields, GRAMMARS["dash"], ["mood"])
    for _ in range(2):
        patterns.learn(a_success(1), "")
    ((pattern, _),) = patterns._patterns
    use = Use("line", pattern, ("match",))
    head = json_line(a_success(1)).decode().rstrip("}\n")

    for name, body in (("notes", "a\\n"), ("version_ids", '"VER-20260210-0940-AAAA",'), ("mood", " ")):
        assert growth(use, Worst(f'{head},"{name}":"', body, "\x01"), 64) <= MOST_GROWTH
        assert growth(use, Worst(f'{head},"{name}":[', body, "\x01"), 64) <= MOST_GROWTH


def test_a_line_over_the_limit_is_not_matched() -> None:
    log = _make_log()
    lines = [json_line(a_run(1, notes="x" * size)) for size in (1, 1, 1, 700, 1)]
    with mock.patch("registry_pipeline.registries.run_index.log_file.MAX_LINE", 600):
        results = _scan(log, b"".join(lines))

    assert [[item.code for item in findings] for _, findings, _ in results] == [[], [], [], ["RI006"], []]
