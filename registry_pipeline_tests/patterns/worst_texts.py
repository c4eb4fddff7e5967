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

CODE: Final[Mapping[str, Worst]] = {
    "canon:_INSTANT": Worst(f"{_DAY}T10:00:00.", "0", "x"),
    "canon:_UTC": Worst(f"{_DAY}T10:00:00", "0", "Z"),
    "cli.days:_DAY": Worst("2026-03-", "0", ""),
    "cli.entry_input:_ESCAPE": Worst("", "\\ud83d", "\\"),
    "cli.reporter:_ONE_CELL_EACH": Worst("", "a", "\x00"),
    "cli.wording:_BLANKS": Worst("", "{a", "}"),
    "cli.wording:_LINE": Worst("line ", "1", ":x"),
    "entries.abilities:place_ability": Worst("", "a.", ":"),
    "entries.change:_LINES": Worst(":", "1", ":"),
    "entries.rendering:_ESCAPED": Worst("", "a\x7f", ""),
    "entries.rendering:_PLAIN": Worst("a", "b", "\n"),
    "entries.routes:_NOT_IN_SLUGS": Worst("", "- ", "a"),
    "entries.splice:_COMMENT": Worst("", " \t", "a"),
    "entries.splice:_DASHES": Worst("", " ", "-x"),
    "entries.splice:_MARK": Worst("", "\n---x", ""),
    "entries.splice:_ODD_LINE_ENDS": Worst("", "\r\n", ""),
    "entries.yaml_file:_COMMENT": Worst("", " #\n", "#"),
    "model.attribution:_VERSION": Worst("_v", "1", "_2"),
    "model.captures:_FILE_NAME": Worst("a", ".b-", "é"),
    "model.display:_BACKTICKS": Worst("", "`", "a"),
    "model.display:_FORMULA": Worst("", " ", "a"),
    "model.display:_HEADING": Worst("", " ", "a"),
    "model.display:_HIDDEN_OTHERS": Worst("", "\u034f", "a"),
    "model.display:_LINE_BREAKS": Worst("", "\n", "a"),
    "model.display:_MARKUP": Worst("", "*", "a"),
    "model.finding:_NUMBER": Worst("", "1", "x"),
    "model.ids:_REPOSITORY_ID": Worst("", "a", "_"),
    "model.ids:_RUN_ID": Worst(f"{_DAY}__000000__a", "__11", "_"),
    "model.ids:_SHA256": Worst("", "0", "x"),
    "roles.change_rules:_WHOLE": Worst("", "1", "x"),
    "roles.json_defects:_BLANKS": Worst("", " \n", "x"),
    "roles.json_defects:_LONE": Worst("", "\ud7ff", ""),
    "roles.json_defects:_NUMBER": Worst("-1.", "0", "e"),
    "roles.pack_fields:CONTRACT_ID": Worst("ROLE:", "a", ":X:1"),
    "roles.pack_fields:SAFE_ID": Worst("", "a", "-"),
    "roles.pack_fields:_PLAIN_ID": Worst("", "a", "é"),
    "roles.positions:_BLANKS": Worst("", " \n", "x"),
    "roles.role_texts:_FIRST_ROLE": Worst("", '"roles":[ ', '"roles":[{"a'),
    "roles.strict_json:_LARGE_NUMBER": Worst("", "123456789012345,", ""),
    "roles.strict_json:_PAIR_OF_ESCAPES": Worst("", "\\ud83d", "\\udbff\\u"),
    "roles.strict_json:_SURROGATE_ESCAPE": Worst("", "\\ud", "\\"),
    "roles.surface:_REST_OF_STRING": Worst("", "\U0001f600", "\\\n"),
    "roles.waivers:_DAY": Worst("2026-03-", "0", ""),
    "roles.waivers:_FINGERPRINT": Worst("", "0", "x"),
    "run_index.ids:_forms": Worst("ART-a", "-a", "-"),
    "run_index.scan:_ESCAPED": Worst("", "\\u00", "\\u005"),
    "run_index.scan:_KEYS": Worst("", '"run_id":"', "a"),
    "run_index.stamps:_STAMP": Worst(f"{_DAY}T10:00", "0", "Z"),
    "runbook.verification:_ACTIVE": Worst("active~", "1", ""),
    "seal.hash_file_rules:_FILE_LINE": Worst(f"{_SHA}  ", "a\n", ""),
    "seal.hash_file_rules:_ROOT_LINE": Worst("ROOT_SHA256  ", "0", ""),
    "seal.hash_list:_LINE": Worst(f"{_SHA}  ./", "./", ""),
    "seal.hash_list:_SEAL_LINE": Worst("ROOT_SHA256", "a", ""),
    "seal.manifest_rules:_PLAIN_ENTRY": Worst("", ' "relpath": "a', '"'),
    "seal.staging:_STAGED": Worst("a", ".1", ".0123456x"),
    "sources.operations:_BETWEEN_CELLS": Worst("", "\\|", "|"),
    "sources.operations:_CODE": Worst("", "a`", "a"),
    "sources.operations:_FIELD_LINE": Worst("Option:", " ", "\n"),
    "sources.operations:_FIELD_ROW": Worst("|**Option**|", "|", "x"),
    "sources.operations:_LEVEL": Worst("C1", "1", ""),
    "sources.operations:_LIST_ITEM": Worst("-", " ", ""),
    "sources.operations:_OPERATION_HEADING": Worst("### OP-A1", " ", ""),
    "sources.operations:_OPTION_HEADING": Worst("## Option", " ", ""),
    "sources.operations:_ROW_OPERATION": Worst("OP-A1", " ", ""),
    "sources.operations_document:_LINE_OF_ERROR": Worst("line ", "1", " column x"),
    "sources.operations_document:_OPERATION_KEY": Worst("", '"operation_id" ', ""),
    "sources.scorecard:_PATH": Worst("", "a", ""),
    "sources.versions:_ASSIGNMENT": Worst("A", "_VERSION", " = 'x"),
    "sources.versions:_LABEL": Worst("", "\n**Version**:", ""),
    "sources.versions:_PLAIN_LABEL": Worst("", "\nVersion:\n", "\n"),
    "sources.versions:_QUOTED": Worst("", "'a", " "),
    "runbook.leftovers:_BY_PROCESS": Worst(".", ".1", "x"),
    "sources.tracked_evidence:_quoted": Worst("", "*", "a"),
    "sources.versions:_SCHEMA_VERSION": Worst("", "SCHEMA_VERSION ", ""),
    "validate.pointer_entry:_FOLDER_NAME": Worst("", "a", "/"),
    "validate.pointer_entry:_REGISTRY_ID": Worst("a", "b", "-"),
    "yaml_values.scalars:_BASED": Worst("0x", "f", "x"),
    "yaml_values.scalars:_FLOAT": Worst("1.", "0", "e"),
    "yaml_values.scalars:_INTEGER": Worst("-", "1", "x"),
    "yaml_values.scalars:_NON_FINITE": Worst("-.", "i", ""),
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
    "^[A-Za-z0-9][A-Za-z0-9_.:-]*$": Worst("a", ":", "/"),
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])(?!\n)$": Worst(_DAY, "1", ""),
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
    r"^(SCR-[0-9]{8}-[0-9]{4}-[A-Z0-9]{4}|SPK_[A-Za-z0-9]+([-_.][A-Za-z0-9]+)*)(?!\n)$": Worst("SPK_a", ".a", "-"),
}
"""By the pattern itself, for those of the JSON Schemas."""
