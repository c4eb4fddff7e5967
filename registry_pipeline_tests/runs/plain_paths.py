"""The path rules of the specification for `plain_reading`; nothing of registry_pipeline is imported."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

DEVICES = {"con", "prn", "aux", "nul"} | {port + digit for port in ("com", "lpt") for digit in "123456789¹²³"}


def path_faults(path: str) -> Iterator[str]:
    """Yield the end of the code of each rule that a path breaks."""
    components = path.split("/")
    rules = {
        "NOT_UTF8": any(unicodedata.category(c) == "Cs" for c in path),
        "TOO_LONG": _bytes(path) > 1024 or any(_bytes(component) > 255 for component in components),
        "CONTROL_CHAR": any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in path),
        "BAD_CHAR": any(c in '\\<>:"|?*' for c in path),
        "ABSOLUTE": path[0] == "/",
        "NOT_NFC": unicodedata.normalize("NFC", path) != path,
        "DOUBLE_SPACE": "  " in path,
        "DOT_COMPONENT": bool({"", ".", ".."} & set(components)),
        "EDGE_SPACE_OR_DOT": any(
            c[0].isspace() or c[-1].isspace() or c[-1] == "." for c in components if c not in ("", ".", "..")
        ),
        "DOS_DEVICE": any(component.split(".")[0].strip().casefold() in DEVICES for component in components),
        "RESERVED": components[0].casefold() in ("manifest.json", "manifest.sha256", "root_sha256"),
    }
    return (rule for rule, is_broken in rules.items() if is_broken)


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def collide(listed: list[str]) -> bool:
    """Tell whether a file system that ignores case and Unicode form would merge two of the paths, or their folders."""
    spelled: dict[tuple[str, ...], tuple[str, ...]] = {}
    files, folders = [], set()
    for path in listed:
        parts = tuple(path.split("/"))
        for depth in range(1, len(parts) + 1):
            if spelled.setdefault(_folded(parts[:depth]), parts[:depth]) != parts[:depth]:
                return True
        files.append(_folded(parts))
        folders |= {_folded(parts[:depth]) for depth in range(1, len(parts))}
    return len(set(files)) < len(files) or bool(set(files) & folders)


def _folded(parts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(unicodedata.normalize("NFC", unicodedata.normalize("NFC", part).casefold()) for part in parts)
