"""Where the code of an asset is, for the link on its page.

The functions of the assets say nothing about a registry, because all registries share one. What differs is how a
registry is read and built.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Final

from dagster import BetaWarning, CodeReferencesMetadataValue, LocalFileCodeReference

_PACKAGE: Final = Path(__file__).resolve().parents[1]
_KEY: Final = "dagster/code_references"


def make_code_references(*functions: str) -> dict[str, CodeReferencesMetadataValue]:
    """Return the metadata of an asset with the file and line of each function, given by its dotted name."""
    with warnings.catch_warnings():
        # These classes are beta in Dagster 1.13.27 and tested here.
        warnings.simplefilter("ignore", BetaWarning)
        return {_KEY: CodeReferencesMetadataValue(code_references=[_find_function(name) for name in functions])}


def _find_function(dotted_name: str) -> LocalFileCodeReference:
    # The file is searched, not imported: the readers and builders are imported only when they are called.
    module, _, name = dotted_name.rpartition(".")
    file = _PACKAGE.joinpath(*module.split(".")[1:]).with_suffix(".py")
    text = file.read_text(encoding="utf-8")
    starts = tuple(f"{name}{after}" for after in "(:[ ")
    lines = enumerate(text.splitlines(), 1)
    number = next((number for number, line in lines if line.removeprefix("def ").startswith(starts)), None)
    return LocalFileCodeReference(file_path=str(file), line_number=number, label=name)
