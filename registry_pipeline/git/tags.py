"""Annotated tags: create a signed one, read their bytes, and parse these."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from registry_pipeline.errors import NotFoundError, WriteError
from registry_pipeline.git.process import ObjectPipe, ask_git
from registry_pipeline.values import value_type

_HEADER: Final = ("object", "type", "tag", "tagger")
_LAST_SECOND: Final = 253402300799  # of the year 9999


@value_type
class AnnotatedTag:
    """What the object of an annotated tag says: its name, when the tagger claims to have made it, and its message."""

    name: str
    moment: datetime
    message: str


def parse_annotated_tag(content: bytes) -> AnnotatedTag | None:
    """Return what the bytes of a tag say; None if their header has not exactly the four lines of a tag."""
    header, _, message = content.decode("utf-8", "replace").partition("\n\n")
    fields = [line.partition(" ")[::2] for line in header.split("\n")]
    if tuple(key for key, _ in fields) != _HEADER:
        return None
    # Such as `Ada <ada@example.org> 1772366400 +0000`.
    words = fields[-1][1].split()
    if len(words) < 2 or not words[-2].isdecimal() or len(words[-2]) > 12:
        return None
    moment = datetime.fromtimestamp(min(int(words[-2]), _LAST_SECOND), UTC)
    return AnnotatedTag(fields[2][1], moment, message)


def create_signed_tag(root: Path, name: str, message: str, *, key: str, program: str) -> None:
    """Create a tag of the commit at HEAD that is signed with an SSH key.

    Raises:
        NotFoundError: `root` is not in a git repository.
        WriteError: git did not create it; the message says why.
    """
    # Git would start the program that the repository's own configuration names, so it is always stated.
    settings = ("gpg.format=ssh", f"gpg.ssh.program={program}", f"user.signingKey={key}")
    options = [word for setting in settings for word in ("-c", setting)]
    try:
        created = ask_git(root, *options, "tag", "--sign", "--message", message, name)
    except NotFoundError as error:
        reason = error.message.rpartition(": ")[2]
        unknown = "identity" in reason or "ident name" in reason
        advice = "set `git config user.name` and `git config user.email`" if unknown else error.advice
        raise WriteError(f"git did not create the tag {name}: {reason}", advice) from None
    if created is None:
        raise NotFoundError(f"{root} is not in a git repository", "an anchor that is a tag needs one")


def read_tags(root: Path, prefix: str) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the bytes of each tag whose name starts so; b"" for one that is not annotated."""
    answer = ask_git(root, "for-each-ref", "--format=%(refname:strip=2)%00%(objecttype)%00%(objectname)", "refs/tags")
    rows = [line.split("\0") for line in os.fsdecode(answer or b"").splitlines()]
    found = [(name, kind, object_id) for name, kind, object_id in rows if name.startswith(prefix)]
    if not found:
        return
    with ObjectPipe(root) as pipe:
        for name, kind, object_id in found:
            yield name, (pipe.read(object_id) or b"") if kind == "tag" else b""
