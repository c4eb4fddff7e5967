"""The relative paths that may be sealed, for writer and verifier (docs/reference/specification.md, "Path rules").

A path must survive a copy to another file system, a git checkout, a line of a hash file and a terminal.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

SEAL_FILES: Final = ("manifest.json", "MANIFEST.sha256")
STATEMENT_FILES: Final = ("BUILD_STATEMENT_v0_1.json", "BUILD_STATEMENT_v0_1.json.sig")
"""What a signed build also has: the hashes of its other files, and the signature of this statement."""
"""The two top-level files that make a folder sealed; no manifest lists them."""
_RESERVED: Final = frozenset(("manifest.json", "manifest.sha256", "root_sha256"))
_REFUSED_CATEGORIES: Final = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
_BAD_CHARACTERS: Final = '\\<>:"|?*'
# The superscript digits are device numbers on Windows too.
_DEVICES: Final = frozenset(("con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in "123456789¹²³")))


def bad_characters(relpath: str) -> str:
    """Return the characters of `relpath` that some file systems refuse, each once, in the order of the rule."""
    return "".join(c for c in _BAD_CHARACTERS if c in relpath)


# The same few names are in every folder, so that a scan of thousands finds them in the cache.
@lru_cache(maxsize=4096)
def path_codes(relpath: str) -> tuple[str, ...]:
    """Return the code of every path rule that a relative path violates, in the order of the rules.

    An empty path has only MANIFEST_PATH_TYPE. Collisions concern several paths: see `find_collisions`.
    """
    if not relpath:
        return ("MANIFEST_PATH_TYPE",)
    components = relpath.split("/")
    lengths = [len(component.encode("utf-8", "surrogatepass")) for component in components]
    broken = {
        "NOT_UTF8": any("\ud800" <= c <= "\udfff" for c in relpath),
        "TOO_LONG": sum(lengths) + len(lengths) - 1 > 1024 or max(lengths) > 255,
        "CONTROL_CHAR": any(unicodedata.category(c) in _REFUSED_CATEGORIES for c in relpath),
        "BAD_CHAR": bool(bad_characters(relpath)),
        "ABSOLUTE": relpath.startswith("/"),
        "NOT_NFC": not unicodedata.is_normalized("NFC", relpath),
        "DOUBLE_SPACE": "  " in relpath,
        "DOT_COMPONENT": any(c in ("", ".", "..") for c in components),
        "EDGE_SPACE_OR_DOT": any(c != c.strip() or (c.endswith(".") and c not in (".", "..")) for c in components),
        "DOS_DEVICE": any(c.split(".")[0].strip().casefold() in _DEVICES for c in components),
        "RESERVED": components[0].casefold() in _RESERVED,
    }
    return tuple(f"MANIFEST_PATH_{rule}" for rule, is_broken in broken.items() if is_broken)


def find_collisions(relpaths: Iterable[str]) -> list[tuple[str, str]]:
    """Return (path, the earlier path that it collides with) where letter case and Unicode form are ignored.

    Two paths collide if they are one file there, if one is a file where the other needs a folder, or if their folders
    differ in case alone. A path is returned at most once, with its first collision.
    """
    known: dict[str, tuple[str, bool]] = {}
    found = []
    for relpath in relpaths:
        parts = relpath.split("/")
        for depth in range(1, len(parts) + 1):
            prefix, is_file = "/".join(parts[:depth]), depth == len(parts)
            key = _fold_case(prefix)
            if key not in known:
                known[key] = (prefix, is_file)
                continue
            other, was_file = known[key]
            if is_file or was_file or other != prefix:
                found.append((relpath, other))
                break
    return found


def _fold_case(text: str) -> str:
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
