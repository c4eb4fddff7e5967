"""Text that is no strict JSON (RR017 to RR019, RR027 to RR030)."""

from __future__ import annotations

from registry_pipeline_tests.roles.base_pack import base_pack, written
from registry_pipeline_tests.roles.recipes import END, Recipe, Told, case
from registry_pipeline_tests.roles.recipes_of_ids import E, W, id_of

BASE = written(base_pack())
SHELF = ["archivist", "ROLE:archivist:X:1"]
OF_SHELF = id_of("ROLE:archivist:X:1")
OF_SURFACE = '"ROLE:archivist:X:1" » "schema_json": ^{'


def with_value(text: str) -> bytes:
    """Return the base pack with `text` where a surface has "Shelf"."""
    return BASE.replace(b'"Shelf"', text.encode("utf-8"))


def defect(code: str, name: str, text: str, here: str) -> Recipe:
    """Return the case of a defect within the surface of the archivist's contract, which is unknown then."""
    return case(f"{code}__{name}", with_value(text), Told(code, E, SHELF, here, OF_SHELF))


def syntax(name: str, text: bytes, here: str | None) -> Recipe:
    return case(f"RR028__{name}", text, Told("RR028", E, [], here, None))


def syntax_of_value(name: str, text: str, here: str) -> Recipe:
    return case(f"RR028__{name}", with_value(text), Told("RR028", E, [], here, None))


def nested(levels: int) -> str:
    """Return arrays in arrays; five levels of the pack and its surface are around them."""
    return "[" * levels + "]" * levels


ENCODING = (
    case("RR017__a_byte_order_mark", b"\xef\xbb\xbf" + BASE, Told("RR017", E, [], "{", None)),
    case("RR017__latin_1", BASE.replace("Café".encode(), b"Caf\xe9"), Told("RR017", E, [], "Caf^\ufffd", None)),
    case("RR017__utf_16", b"\xff\xfe{\x00}\x00", Told("RR017", E, [], "\ufffd", None)),
    case("RR017__an_encoded_surrogate", BASE.replace(b"Shelf", b"\xed\xa0\x80"), Told("RR017", E, [], "\ufffd", None)),
    case("RR017__overlong", BASE.replace(b"Shelf", b"\xc0\xaf"), Told("RR017", E, [], "\ufffd", None)),
)

NUMBERS = (
    defect("RR018", "an_integer_too_large", "9007199254740992", "9007199254740992"),
    defect("RR018", "an_integer_too_small", "-9007199254740992", "-9007199254740992"),
    defect("RR018", "an_integer_of_5000_digits", "9" * 5000, "9" * 5000),
    defect("RR018", "beyond_a_double", "1e400", "1e400"),
    defect("RR018", "beyond_a_double_below", "[-1E309]", "[^-1E309"),
    case(
        "RR018__two_of_them",
        with_value("[1e400, 1e500]"),
        Told("RR018", E, SHELF, "1e400", OF_SHELF),
        Told("RR018", E, SHELF, "1e500", OF_SHELF),
    ),
    case(
        "RR018__left_alone_since_the_baseline",
        with_value("1e400"),
        Told("RR018", W, SHELF, "1e400", OF_SHELF),
        baseline=with_value("1e400"),
    ),
    case(
        "RR018__another_one_since_the_baseline",
        with_value("1e401"),
        Told("RR003", E, SHELF, OF_SURFACE, OF_SURFACE),
        Told("RR018", E, SHELF, "1e401", OF_SHELF),
        baseline=with_value("1e400"),
    ),
)

SURROGATES = (
    defect("RR019", "the_first_half", r'"a\ud83c"', r'"a\ud83c"'),
    defect("RR019", "the_second_half", r'"\udfac"', r'"\udfac"'),
    defect("RR019", "the_halves_in_turn", r'"\udfac\ud83c"', r'"\udfac\ud83c"'),
    defect("RR019", "between_good_ones", r'"\ud83c\udfac\ud83c\ud83c\udfac"', r'"\ud83c\udfac\ud83c'),
    defect("RR019", "behind_an_escaped_backslash", r'"\\ud83c\udfac"', r'"\\ud83c\udfac"'),
    defect("RR019", "in_capitals", r'"\uD83C x"', r'"\uD83C x"'),
    defect("RR019", "in_a_key", r'{"\ud83c": 1}', r'"\ud83c"'),
)

DOUBLED = (
    defect("RR027", "in_a_surface", '1, "k": 2, "k": 2', '"k": 2, ^"k"'),
    defect("RR027", "after_unescaping", r'1, "k": 2, "\u006b": 3', r'"\u006b"'),
    defect("RR027", "deep_within", '{"a": [{"k": 1, "j": 2, "k": 3}]}', '"j": 2, ^"k"'),
    case(
        "RR027__in_the_pack",
        BASE.replace(b'"pack_version"', b'"pack_id": "digital_production_studio", "pack_version"'),
        Told("RR027", E, [], '"pack_id" » ^"pack_id"', None),
    ),
    case(
        "RR027__in_a_role",
        BASE.replace(b'"lifecycle": "deprecated"', b'"lifecycle": "active", "lifecycle": "deprecated"'),
        Told("RR027", E, ["archivist"], '"active", ^"lifecycle"', '"role_id": ^"archivist"'),
    ),
)

SYNTAX = (
    syntax("an_empty_file", b"", END),
    syntax("only_blanks", b" \n\t\n ", END),
    syntax("cut_off", BASE[:-3], END),
    syntax("more_behind_the_end", BASE + b"{}", "]\n}\n^{}"),
    syntax("a_comment_before", b"// roles\n" + BASE, "//"),
    syntax("a_block_comment_before", b"/* */" + BASE, "/*"),
    syntax("a_comma_behind_the_last_role", BASE.replace(b"    }\n  ]\n}\n", b"    },\n  ]\n}\n"), "    }^,\n  ]\n}"),
    syntax_of_value("not_a_number", "NaN", "NaN"),
    syntax_of_value("infinity", "Infinity", "Infinity"),
    syntax_of_value("minus_infinity", "-Infinity", "-Infinity"),
    syntax_of_value("a_comment_within", "# why", "# why"),
    syntax_of_value("single_quotes", "'Shelf'", "'Shelf'"),
    syntax_of_value("a_zero_in_front", "01", '"title": 0^1'),
    syntax_of_value("a_plus_in_front", "+1", "+1"),
    syntax_of_value("no_digit_before_the_point", ".5", '"title": ^.5'),
    syntax_of_value("no_digit_behind_the_point", "5.", '"title": 5^.'),
    syntax_of_value("hexadecimal", "0x10", '"title": 0^x'),
    syntax_of_value("python_true", "True", "True"),
    syntax_of_value("a_bare_newline", '"a\nb"', '"a^\nb"'),
    syntax_of_value("an_unknown_escape", r'"a\qb"', r'"a^\qb"'),
    syntax_of_value("a_short_escape", r'"\u12"', r'"\^u12"'),
    syntax_of_value("a_comma_behind_the_last_item", "[1, ]", "[1^, ]"),
    syntax_of_value("a_comma_behind_the_last_member", '{"a": 1, }', '{"a": 1^, }'),
    syntax_of_value("two_commas", "[1,, 2]", "[1,^, 2]"),
    syntax_of_value("no_colon", '{"a" 1}', '{"a" ^1}'),
    syntax_of_value("the_wrong_bracket", "[1}", "[1^}"),
    syntax_of_value("a_key_that_is_no_string", "{1: 2}", "{^1: 2}"),
)

DEPTH = (
    case("pass__as_deep_as_may_be", with_value(nested(58)), baseline=with_value(nested(58))),
    case(
        "RR029__one_level_more",
        with_value(nested(59)),
        Told("RR029", E, [], "[" * 58 + "^[", None),
    ),
    case("RR029__nothing_but_brackets", b"[" * 5000, Told("RR029", E, [], "[" * 64 + "^[", None)),
    case("RR029__before_the_roles", b'{"a":' * 65 + b"1" + b"}" * 65, Told("RR029", E, [], '{"a":' * 64 + "^{", None)),
)


def unreadable(name: str, baseline: bytes, *expected: Told) -> Recipe:
    return case(f"RR030__{name}", BASE, *expected, Told("RR030", E), baseline=baseline)


UNREADABLE = (
    unreadable("a_baseline_that_is_no_json", b"<<<<<<< HEAD\n"),
    unreadable("a_baseline_that_is_no_pack", b'{"roles": 7}'),
    unreadable("an_empty_baseline", b""),
    case(
        "RR030__with_what_the_pack_itself_has",
        BASE.replace(b'"department_id": "post"', b'"department_id": "Post"', 1),
        Told("RR006", E, ["producer", "Post"], '^"Post"', None),
        Told("RR030", E),
        baseline=b"[",
    ),
)

RECIPES: tuple[Recipe, ...] = (*ENCODING, *NUMBERS, *SURROGATES, *DOUBLED, *SYNTAX, *DEPTH, *UNREADABLE)
