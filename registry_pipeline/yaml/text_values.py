"""Read a YAML text with every scalar as its text, so that `no` and 010 do not become other values."""

from __future__ import annotations

from typing import Any


def read_text_values(text: str) -> Any:
    """Return the value of a YAML text: dictionaries, lists and texts.

    Raises:
        ValueError: the text is not YAML, or has duplicate keys.
    """
    from ruamel.yaml import YAML  # noqa: PLC0415 - few commands need it
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415

    try:
        return YAML(typ="base", pure=True).load(text)
    except (YAMLError, ValueError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())) from None
