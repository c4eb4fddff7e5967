"""An object store in memory, whose requests a test answers, loses, delays or reorders.

The ETag is the hash of the content, as many stores have it: content that returns has its old ETag again.
"""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass, field

_LAG = 3
"""For how many further writes a store without `READS` or `LISTS` does not show a write."""


class RequestTimeoutError(Exception):
    """No answer came. The request may have taken effect, may still do so, or may never."""


@dataclass(frozen=True)
class Get:
    """Read an object: its bytes and its ETag, or None."""

    key: str


@dataclass(frozen=True)
class List:
    """Return the keys that start with a prefix, sorted."""

    prefix: str


@dataclass(frozen=True)
class Put:
    """Write a whole object, if it does not exist (`if_absent`) or has this ETag (`if_match`); return whether it did."""

    key: str
    data: bytes
    if_absent: bool = False
    if_match: str | None = None


Request = Get | List | Put
Answer = tuple[bytes, str] | tuple[str, ...] | bool | None


class Outcome(enum.Enum):
    """What happens to a request, and to the client that sent it."""

    ANSWERED = "answered"
    REQUEST_LOST = "request lost"
    ANSWER_LOST = "answer lost"
    DELAYED = "delayed"
    CLIENT_DIES = "client dies"


class Promise(enum.Enum):
    """What the protocol relies on; a store without one of these is not enough."""

    CREATE_ONLY = "a put with If-None-Match writes nothing if the key exists"
    SWAP = "a put with If-Match writes nothing if the object has another ETag"
    READS = "a read returns the last write that was acknowledged"
    LISTS = "a listing contains every key whose put was acknowledged"
    WHOLE_PUTS = "an object appears with all of its bytes"


def make_etag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class ObjectStore:
    """The objects, the puts that are still on their way, and each content that a key had."""

    broken: frozenset[Promise] = frozenset()
    objects: dict[str, bytes] = field(default_factory=dict)
    delayed: list[Put] = field(default_factory=list)
    history: list[tuple[str, bytes]] = field(default_factory=list)

    def execute(self, request: Request) -> Answer:
        """Carry a request out, as a store without the broken promises does."""
        if isinstance(request, Put):
            return self._put(request)
        if isinstance(request, List):
            keys = sorted(key for key in self.objects if key.startswith(request.prefix))
            if Promise.LISTS in self.broken:
                newest = {key for key, _ in self.history[-_LAG:]}
                keys = [key for key in keys if key not in newest or not key.endswith("/MANIFEST.sha256")]
            return tuple(keys)
        data = self._read(request.key)
        return None if data is None else (data, make_etag(data))

    def deliver(self, position: int) -> None:
        """Let a delayed put arrive; they may overtake each other."""
        if self.delayed:
            self._put(self.delayed.pop(position % len(self.delayed)))

    def _put(self, request: Put) -> bool:
        current = self.objects.get(request.key)
        if request.if_absent and current is not None and Promise.CREATE_ONLY not in self.broken:
            return False
        matches = current is not None and make_etag(current) == request.if_match
        if request.if_match is not None and not matches and Promise.SWAP not in self.broken:
            return False
        self.objects[request.key] = request.data
        self.history.append((request.key, request.data))
        return True

    def _read(self, key: str) -> bytes | None:
        contents = [data for name, data in self.history if name == key]
        if Promise.READS in self.broken and any(name == key for name, _ in self.history[-_LAG:]):
            return contents[-2] if len(contents) > 1 else None
        data = self.objects.get(key)
        if Promise.WHOLE_PUTS in self.broken and data is not None and self.history[-1] == (key, data):
            return data[: len(data) // 2]
        return data
