"""The findings of the run index and the overrides log (SPEC 11, seed 004)."""

from __future__ import annotations

from typing import Final

from registry_pipeline.model.finding import Severity

_E, _W, _I = Severity.ERROR, Severity.WARNING, Severity.INFO

_LINE: Final = "run-index 11 line"
_RECORD: Final = "run-index 11 record"
_HISTORY: Final = "run-index 11 history"
_GATE: Final = "run-index 11 gates"
_OVERRIDE: Final = "run-index 11 overrides"
_APPEND: Final = "run-index 11 append-only"
_LATER: Final = "append a later record of the run that states it right"
_REMOVE: Final = "a line that is no record may be removed; append its record anew"

ROWS: Final[tuple[tuple[str, Severity, str, str, str], ...]] = (
    ("RI001", _E, _LINE, "the line is not JSON: {detail}", _REMOVE),
    (
        "RI002",
        _E,
        _LINE,
        "the line begins with a byte order mark",
        "write the log as UTF-8 without it, and leave the rest of the line as it is",
    ),
    ("RI003", _E, _LINE, "the line is ambiguous: {detail}", _REMOVE),
    ("RI004", _W, _LINE, "the line is blank", "remove it; a log has one record a line"),
    (
        "RI005",
        _W,
        _LINE,
        "the line ends in CRLF",
        "let git leave line ends alone: `<path of the log> -text` in .gitattributes",
    ),
    ("RI006", _E, _LINE, "the line is too long to be a record", "keep narratives in the run log file"),
    (
        "RI007",
        _W,
        _LINE,
        "the log ends in something unfinished, which counts as no record: {detail}",
        "a write goes on or was cut off; the next append settles it",
    ),
    (
        "RI008",
        _W,
        _LINE,
        "what a cut-off write had left at the end of the log was set aside: {detail}",
        "look at the file; append what it was meant to say",
    ),
    ("RI009", _I, _LINE, "the last record lacked its newline and has it now", "nothing is to be done"),
    (
        "RI010",
        _E,
        _RECORD,
        "not a record: {detail}",
        "a run index holds RUN records, an overrides log OVERRIDE and OVERRIDE_UPDATE",
    ),
    ("RI011", _E, _RECORD, "the required field {detail} is missing", "state it"),
    (
        "RI012",
        _E,
        _RECORD,
        "the value is none that the field takes: {detail}",
        "leave a field out where its value is not known; null is no value",
    ),
    (
        "RI013",
        _E,
        _RECORD,
        "unknown key {detail}",
        "use a field of `registry-pipeline run-index rules`, or allow the key by `extra_keys` of [run_index]",
    ),
    ("RI014", _E, _RECORD, "not {detail}", "`ids` of [run_index] chooses the grammar, dash or ulid"),
    (
        "RI015",
        _E,
        _RECORD,
        "{detail} whose date or time does not exist",
        "`registry-pipeline run-index start` mints an id",
    ),
    ("RI016", _E, _RECORD, "not a UTC stamp: {detail}", "write UTC to the minute or to the second, with a real date"),
    (
        "RI017",
        _E,
        _RECORD,
        "run_log_filepath_abs is not an absolute path",
        "begin it with / or with a drive and a slash, as in C:\\",
    ),
    (
        "RI018",
        _E,
        _RECORD,
        "the run log file cannot be read: {detail}",
        "`registry-pipeline run-index start` writes one; fill in what stands between its two `---` lines",
    ),
    (
        "RI020",
        _W,
        _HISTORY,
        "last_updated_utc lies before created_utc",
        "set the clock of the machine that wrote it",
    ),
    (
        "RI021",
        _W,
        _HISTORY,
        "the record is from the future",
        "set the clock of the machine that wrote it; the record stays the current one until then",
    ),
    (
        "RI022",
        _W,
        _HISTORY,
        "the record stands after one that is newer by its stamp, so that it is not the current one",
        "append it anew with a later last_updated_utc or update_utc where it is meant to hold",
    ),
    ("RI023", _W, _HISTORY, "the same record stands on line {detail} already", "nothing is lost; one would do"),
    (
        "RI024",
        _E,
        _HISTORY,
        "two runs have one id: the record on line {detail} has the same run_id and created_utc",
        "give one of the runs an id of its own before it is appended",
    ),
    (
        "RI025",
        _E,
        _HISTORY,
        "{detail}, against the record before it, and `corrects` does not name it",
        "append a later record that states it and names the field in `corrects`",
    ),
    (
        "RI026",
        _W,
        _HISTORY,
        "`corrects` names {detail}, which did not change",
        "nothing is to be done; name only what a record changes",
    ),
    (
        "RI030",
        _E,
        _GATE,
        "qa_gate2 is PASS without {detail}",
        "append a later record with work_id and version_ids",
    ),
    (
        "RI031",
        _E,
        _GATE,
        "qa_gate2 is PASS though {detail} is FAIL, and no override in force allows it",
        "append an override with `registry-pipeline overrides append`, or correct the record",
    ),
    ("RI032", _W, _GATE, "qa_gate2 is PASS without the Final Save field {detail}", _LATER),
    (
        "RI034",
        _W,
        _GATE,
        "the run log file is not there, on the machine that wrote the record",
        "restore the file, or append a later record that names its new place",
    ),
    (
        "RI035",
        _E,
        _GATE,
        "the run names {detail}, and cannot be linked to it: no scripture_packet_id",
        "append a later record that names the packet",
    ),
    ("RI036", _W, _GATE, "the song index does not list {detail}", "add it to the song index, or correct the record"),
    (
        "RI037",
        _W,
        _GATE,
        "the song index tells another run for {detail}",
        "make the song index and the run index agree",
    ),
    (
        "RI038",
        _W,
        _GATE,
        "the song index cannot be read, so that no link to it was checked: {detail}",
        "mend `song_index` of [run_index]",
    ),
    (
        "RI039",
        _W,
        _GATE,
        "the song index tells a run of {detail} that does not name it",
        "make the song index and the run index agree",
    ),
    (
        "RI040",
        _E,
        _OVERRIDE,
        "the override does not say what it is about: {detail}",
        "state which hook, scene, packet or scope the override is about",
    ),
    (
        "RI041",
        _E,
        _OVERRIDE,
        "the update is about an override that the log does not hold",
        "append the override, or correct the id",
    ),
    (
        "RI042",
        _E,
        _OVERRIDE,
        "the override_id stands on line {detail} already, and says something else there",
        "give each override an id of its own; what became of one is an OVERRIDE_UPDATE",
    ),
    (
        "RI043",
        _W,
        _OVERRIDE,
        "the run that the override allows is not in the run index",
        "append the run, or void the override",
    ),
    (
        "RI044",
        _E,
        _OVERRIDE,
        "the override names another {detail} than its run",
        "void it and append one that is about the run",
    ),
    (
        "RI045",
        _W,
        _OVERRIDE,
        "the update is older than the override",
        "set the clock of the machine that wrote it",
    ),
    (
        "RI050",
        _E,
        _APPEND,
        "a line of {detail} is gone or was changed",
        "restore it; correct a run by a later record, an override by an update",
    ),
    (
        "RI051",
        _E,
        _APPEND,
        "a line of {detail} stands before one that it followed",
        "restore the order; records are only ever added",
    ),
    ("RI052", _I, _APPEND, "there is no such log in {detail}: all of it is new", "nothing is to be done"),
    (
        "RI053",
        _W,
        _APPEND,
        "a line of {detail} that was no record is gone",
        "nothing is to be done if it was removed on purpose",
    ),
    (
        "RI060",
        _E,
        _APPEND,
        "the two logs tell the same lines in opposite order",
        "one of them was edited: find it with `registry-pipeline run-index check --baseline REF`",
    ),
    (
        "RI070",
        _I,
        "run-index 11 index",
        "the side index was not used: {detail}",
        "nothing is to be done: the log itself was read; remove the file if this stays",
    ),
)
