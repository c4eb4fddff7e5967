"""The worst text of every pattern: a beginning, a piece that is repeated, and an end.

A text is bad for a backtracking matcher when nearly all of it matches and the end does not, or when a match could begin
at each character of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple


class Worst(NamedTuple):
    """One text for each length: `head`, then `body` again and again, then `tail`."""

    head: str
    body: str
    tail: str

    def repeated(self, times: int) -> str:
        """Return the text with its body so many times."""
        return self.head + self.body * times + self.tail


_DAY: Final = "2026-03-01"
_SHA: Final = "0123456789abcdef" * 4
_RUN_LINE: Final = (
    '{"registry_version":"0.1","run_id":"r","run_root":"runs","run_key":"runs::r","run_path":"runs/r/",'
    '"created_utc":null,"run_type":null,"option":null,"operation_id":null,"git_commit":null,"working_tree_state":null,'
    '"has_run_json":true,"has_manifest_sha256":true,"has_manifest_json":true,"manifest_root_sha256":null,'
    '"files":[{"relpath":"a","bytes":1}'
)

CODE: Final[Mapping[str, Worst]] = {
    "pipeline.adoption:_ENTRY": Worst("/pointers/12/", "a", "\n"),
    "pipeline.run_root_search:_COMMIT": Worst("", "0", "x"),
    "pipeline.run_root_search:_DATE": Worst("", "2026-03-0", ""),
    "canonical:_INSTANT": Worst(f"{_DAY}T10:00:00.", "0", "x"),
    "example.history:_MOMENT": Worst("{{", "1", "d"),
    "canonical:_UTC": Worst(f"{_DAY}T10:00:00", "0", "Z"),
    "dagster.sealed_folder:_NOT_IN_TAG": Worst("", "a ", ""),
    "dagster.sealed_folder:_CUT_ESCAPE": Worst("", "%4", "x"),
    "dagster.component:_make_io_manager_key": Worst("", "-", ""),
    "dagster.component:_RESOURCE_NAME": Worst("a", "b", "-"),
    "dagster.component:_NAME": Worst("", "a/", "/"),
    "defs.failure_sensors:_WORD": Worst("", "a", " "),
    "cli.param_types:_DAY": Worst("2026-03-", "0", ""),
    "cli.commands.entries:_ESCAPE": Worst("", "\\ud83d", "\\"),
    "cli.reporter:_ONE_CELL_EACH": Worst("", "a", "\x00"),
    "cli.reporter:_FIELDS": Worst("", "{a", "}"),
    "cli.formats.junit:_NOT_IN_XML": Worst("", "\ufffe", ""),
    "registries.entries.change_plan:_LINES": Worst(":", "1", ":"),
    "yaml.values:_ESCAPED": Worst("", "a\x7f", ""),
    "yaml.values:_PLAIN": Worst("a", "b", "\n"),
    "registries.entries.routes:_NOT_IN_SLUGS": Worst("", "- ", "a"),
    "yaml.edit:_COMMENT": Worst("", " \t", "a"),
    "yaml.edit:_DASHES": Worst("", " ", "-x"),
    "yaml.edit:_MARK": Worst("", "\n---x", ""),
    "yaml.edit:_ODD_LINE_ENDS": Worst("", "\r\n", ""),
    "yaml.document:_COMMENT": Worst("", " #\n", "#"),
    "registries.own:_REGISTRY_ID": Worst("a", "_a", "_"),
    "registries.own:_OPERATION_ID": Worst("a", ".-", "/"),
    "registries.base.sealed_input:_VERSION": Worst("_v", "1", "_2"),
    "capture_table:_FILE_NAME": Worst("a", ".b-", "é"),
    "findings.display:_BACKTICKS": Worst("", "`", "a"),
    "findings.display:_FORMULA": Worst("", " ", "a"),
    "findings.display:_HEADING": Worst("", " ", "a"),
    "findings.display:_HIDDEN_OTHERS": Worst("", "\u034f", "a"),
    "findings.display:_LINE_BREAKS": Worst("", "\n", "a"),
    "findings.display:_MARKUP": Worst("", "*", "a"),
    "findings.display:_EMPHASIS": Worst("a", "_", "a"),
    "findings.finding:_NUMBER": Worst("", "1", "x"),
    "findings.finding:_POSITION": Worst("line ", "1", ":x"),
    "canonical:_REPOSITORY_ID": Worst("", "a", "_"),
    "runs.reference:_RUN_ID": Worst(f"{_DAY}__000000__a", "__11", "_"),
    "canonical:_SHA256": Worst("", "0", "x"),
    "registries.roles.rules_change:_DIGITS": Worst("", "1", "x"),
    "registries.roles.strict_json:_LONE_SURROGATE": Worst("", "\ud7ff", ""),
    "registries.roles.strict_json:_NUMBER": Worst("-1.", "0", "e"),
    "registries.roles.snapshot:CONTRACT_ID": Worst("ROLE:", "a", ":X:1"),
    "registries.roles.snapshot:_SURFACE_HASH": Worst("", "0", "x"),
    "registries.roles.snapshot:SAFE_ID": Worst("", "a", "-"),
    "registries.roles.json_text:_PLAIN_ID": Worst("", "a", "é"),
    "registries.roles.json_text:_BLANKS": Worst("", " \n", "x"),
    "registries.roles.pack:_FIRST_ROLE": Worst("", '"roles":[ ', '"roles":[{"a'),
    "registries.roles.pack:_NEXT_OBJECT": Worst("", "}, ", "}"),
    "registries.roles.strict_json:_SURROGATE_ESCAPE": Worst("", "\\ud", "\\"),
    "registries.roles.pack_reader:_SPECIAL_NUMBER": Worst("", "1.", ""),
    "registries.roles.pack_reader:_AFTER_SURROGATES": Worst("", "a", ""),
    "registries.roles.waivers:_DAY": Worst("2026-03-", "0", ""),
    "registries.roles.waivers:_FINGERPRINT": Worst("", "0", "x"),
    "registries.run_index.record:_forms": Worst("ART-a", "-a", "-"),
    "registries.run_index.line_pattern:_compile": Worst('"ART-a', "-a", "x"),
    "registries.run_index.scan:FAILED_UNIQUENESS": Worst("", '"uniqueness_', " "),
    "registries.run_index.scan:_ASCII_ESCAPE": Worst("", "\\u", ""),
    "registries.run_index.scan:make_value_pattern": Worst("", '"ART-', ""),
    "registries.run_index.scan:_ESCAPED": Worst("", "\\u00", "\\u005"),
    "registries.run_index.scan:_KEYS": Worst("", '"run_id":"', "a"),
    "canonical:_STAMP": Worst(f"{_DAY}T10:00", "0", "Z"),
    "path_pattern:OPERATION_ID": Worst("OP-", "A", "-"),
    "path_pattern:_PART": Worst("", "{a", "}"),
    "pointers.find_runs:_ACTIVE": Worst("active~", "1", ""),
    "runs.hash_file:_FILE_LINE": Worst(f"{_SHA}  ", "a\n", ""),
    "runs.hash_file:_ROOT_LINE": Worst("ROOT_SHA256  ", "0", ""),
    "runs.hash_file:_LINE": Worst(f"{_SHA}  ./", "./", ""),
    "runs.hash_file:_SEAL_LINE": Worst("ROOT_SHA256", "a", ""),
    "runs.writer:_STAGED_NAME": Worst("a", ".1", ".0123456x"),
    "registries.base.operations:_CELL_SEPARATOR": Worst("", "\\|", "|"),
    "registries.base.operations:_CODE": Worst("", "a`", "a"),
    "registries.base.operations:_FENCE": Worst("```", "a", "`"),
    "registries.base.operations:_FIELD_LINE": Worst("Option:", " ", "\n"),
    "registries.base.operations:_FIELD_ROW": Worst("|**Option**|", "|", "x"),
    "registries.base.operations:_LEVEL": Worst("C1", "1", ""),
    "registries.base.operations:_LIST_ITEM": Worst("-", " ", ""),
    "pipeline.pages:_OPERATION_ID": Worst("OP-A", "1", "x"),
    "registries.base.operations:_OPERATION_HEADING": Worst("### OP-A1", " ", ""),
    "registries.base.operations:_OPTION_HEADING": Worst("## Option", " ", ""),
    "registries.base.operations:_ROW_OPERATION": Worst("OP-A1", " ", ""),
    "registries.base.operations:_ERROR_LOCATION": Worst("line ", "1", " column x"),
    "registries.base.operations:_OPERATION_KEY": Worst("", '"operation_id" ', ""),
    "registries.scorecard.read:_PATH": Worst("", "a", ""),
    "registries.base.upstream:_ASSIGNMENT": Worst("A", "_VERSION", " = 'x"),
    "registries.base.upstream:_LABEL": Worst("", "\n**Version**:", ""),
    "registries.base.upstream:_LINE": Worst(_RUN_LINE, ',{"relpath":"a","bytes":1}', "x"),
    "registries.base.upstream:_PLAIN_LABEL": Worst("", "\nVersion:\n", "\n"),
    "registries.base.upstream:_QUOTED": Worst("", "'a", " "),
    "registries.base.drift:escape_pathspec": Worst("", "*", "a"),
    "registries.base.upstream:_SCHEMA_VERSION": Worst("", "SCHEMA_VERSION ", ""),
    "runs.pointer_file:_FOLDER_NAME": Worst("", "a", "/"),
    "runs.pointer_file:_REGISTRY_ID": Worst("a", "b", "-"),
    "yaml.compose:_BASED": Worst("0x", "f", "x"),
    "yaml.compose:_FLOAT": Worst("1.", "0", "e"),
    "yaml.compose:_INTEGER": Worst("-", "1", "x"),
    "yaml.compose:_NON_FINITE": Worst("-.", "i", ""),
}
"""By `module:NAME`, for the patterns of the code."""

SCHEMAS: Final[Mapping[str, Worst]] = {
    r"/(?!\n)$": Worst("", "/", "\n"),
    "::": Worst("", ":a", ""),
    "[A-Za-z0-9]": Worst("", "-", ""),
    r"\S": Worst("", " ", ""),
    "^x-": Worst("", "x", ""),
    r"^http://127\.0\.0\.1:[0-9]+": Worst("http://127.0.0.1:", "x", ""),
    r"^(?!\.{1,2}$)[^/\\\u0000-\u001f\u007f]{1,255}(?!\n)$": Worst("", "a", "/"),
    r"^([+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?)?(?!\n)$": Worst("", "1", "x"),
    r"^([0-9A-Fa-f]{8,128})?(?!\n)$": Worst("", "0", ""),
    r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?(?!\n)$": Worst(_DAY, "0", ""),
    r"^([0-9a-f]{40}|[0-9a-f]{64})(?!\n)$": Worst("", "0", ""),
    r"^[a-z0-9-]{8,64}(?!\n)$": Worst("", "a", "_"),
    r"^[0-9]{4}-[0-9]{2}(?!\n)$": Worst("", "0", ""),
    r"^[0-9a-f]{64}(?!\n)$": Worst("", "0", ""),
    r"^ART[-_][a-z0-9]+(-[a-z0-9]+)*(?!\n)$": Worst("ART-a", "-a", "-"),
    r"^GEN[-_][a-z0-9]+(-[a-z0-9]+)*(?!\n)$": Worst("GEN-", "a", "-"),
    r"^HKF[-_][a-z0-9]+(-[a-z0-9]+)*(?!\n)$": Worst("HKF_a", "-ab", "_"),
    r"^C[0-9](?!\n)$": Worst("C1", "1", ""),
    r"^EN[0-9]{3}(?!\n)$": Worst("EN001", "1", ""),
    r"^RI[0-9]{3}(?!\n)$": Worst("RI001", "1", ""),
    r"^OP-[A-Z]+[0-9]+(?!\n)$": Worst("OP-A", "1", "x"),
    r"^[A-Z]{2}[A-Z0-9_]*(?!\n)$": Worst("", "A", "a"),
    r"^[a-z][a-z0-9_]{0,63}(?!\n)$": Worst("a", "b", ""),
    "^[A-Za-z0-9][A-Za-z0-9_-]*$": Worst("a", "-", "."),
    "^[A-Za-z0-9][A-Za-z0-9_.-]*$": Worst("a", "-", ":"),
    "^[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*)*$": Worst("a", "/a", ":"),
    r"^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$": Worst("a", ".a", ":"),
    r"^[A-Za-z0-9][A-Za-z0-9_.-]*(?!\n)$": Worst("a", "-", ":"),
    "^[A-Za-z0-9][A-Za-z0-9_.:-]*$": Worst("a", ":", "/"),
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])(?!\n)$": Worst(_DAY, "1", ""),
    (
        r"^([0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
        r"|(?![0-9]{4}-[0-9]{2}-[0-9]{2}$)[A-Za-z0-9][A-Za-z0-9_.-]*)(?!\n)$"
    ): Worst(_DAY, "-", "/"),
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?Z(?!\n)$": Worst(
        f"{_DAY}T10:00", ":00", "Z"
    ),
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z(?!\n)$": Worst(
        f"{_DAY}T10:00:00", "Z", ""
    ),
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$": Worst(f"{_DAY}T10:00:00", "Z", ""),
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}__[0-9]{6}__[A-Za-z0-9][A-Za-z0-9_.-]*(?!\n)$": Worst(f"{_DAY}__000000__a", "_", "/"),
    **{
        rf"^({dash}-[0-9]{{8}}-[0-9]{{4}}-[A-Z0-9]{{4}}|{ulid}_[0-7][0-9A-HJKMNP-TV-Z]{{25}})(?!\n)$": Worst(
            f"{ulid}_0", "A", ""
        )
        for dash, ulid in (
            ("RUN", "RUN"),
            ("SF", "STY"),
            ("SFR", "SFR"),
            ("WORK", "WRK"),
            ("VER", "VER"),
            ("OVR", "OVR"),
        )
    },
    **{
        rf"^({dash}-[0-9]{{8}}-[0-9]{{4}}-[A-Z0-9]{{4}}|{ulid}_[0-7][0-9A-HJKMNP-TV-Z]{{25}}|VOID)(?!\n)$": Worst(
            f"{ulid}_0", "A", ""
        )
        for dash, ulid in (("WORK", "WRK"), ("VER", "VER"), ("SCN", "SCN"))
    },
    r"^(SCR-[0-9]{8}-[0-9]{4}-[A-Z0-9]{4}|SPK_[A-Za-z0-9]+((__|[-_.])[A-Za-z0-9]+)*)(?!\n)$": Worst(
        "SPK_a", "__a", "_"
    ),
}
"""By the pattern itself, for those of the JSON Schemas."""
