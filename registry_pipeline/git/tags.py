"""Annotated tags: create a signed one, and read their bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from registry_pipeline.errors import NotFoundError, WriteError
from registry_pipeline.git.process import ObjectPipe, ask_git


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
