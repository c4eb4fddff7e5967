"""Read scalars by the core schema of YAML 1.2 (YAML 1.2.2, section 10.3.2)."""

from __future__ import annotations

import math
import re
from typing import Any, Final

CORE: Final = "tag:yaml.org,2002:"  # the prefix of YAML's own tags
_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEAN: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_BASED: Final = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NON_FINITE: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
# Python reads an octal or hexadecimal number of any length, but writes at most 4300 decimal digits.
_MAX_BASED: Final = 3_500
# A plain scalar that starts with none of these is a text; an empty one is null.
MAY_BE_MORE: Final = frozenset("~nNtTfF0123456789.-+")
_TYPES_BY_TAG: Final[dict[str, tuple[type, ...]]] = {
    f"{CORE}int": (int,),
    f"{CORE}float": (float, int),
    f"{CORE}bool": (bool,),
    f"{CORE}null": (type(None),),
}


def read_plain_scalar(text: str) -> Any:
    """Return the value of a scalar without quotes and tag.

    Raises:
        ValueError: a number that JSON cannot represent, or one of too many digits.
    """
    if text and text[0] not in MAY_BE_MORE:
        return text
    if text in _NULL:
        return None
    if text in _BOOLEAN:
        return _BOOLEAN[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        if len(text) > _MAX_BASED:
            raise ValueError(f"a number of more than {_MAX_BASED} digits")
        return int(text[2:], 8 if text[1] == "o" else 16)
    if _NON_FINITE.fullmatch(text):
        raise ValueError(f"{text} is not a JSON number")
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            raise ValueError(f"{text} is beyond the range of a double")
        return number
    return text


def read_tagged_scalar(tag: str, text: str) -> Any:
    """Return the value of a scalar with an explicit tag.

    Raises:
        ValueError: the tag is not one of YAML's own, or the text does not fit it.
    """
    if tag == f"{CORE}str":
        return text
    value = read_plain_scalar(text)
    if tag not in _TYPES_BY_TAG:
        raise ValueError(f"the tag {tag} is not supported; only YAML's own tags are")
    if type(value) not in _TYPES_BY_TAG[tag]:
        raise ValueError(f"{text!r} is not of type {tag.removeprefix(CORE)}")
    return float(value) if tag == f"{CORE}float" else value
