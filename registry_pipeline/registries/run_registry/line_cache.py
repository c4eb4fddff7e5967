"""Keep the lines of run folders from one build to the next, with what shows that a folder has not changed.

A line is used again if the folder and each of its files still have the inode, the size and the change time that they
had when the line was made. Every write, rename and link moves a change time, but for a file that a process has mapped
into its memory: the kernel moves it when it writes the page. The file proves nothing: a program that can write it can
also write the run folders. Without it a build reads every folder.
"""

from __future__ import annotations

import json
import os
from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import accumulate, groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from registry_pipeline.files.cache_file import find_safe_change, hash_maker, read_cache_file, write_cache_file
from registry_pipeline.registries.run_registry.build import LineBlock, RunLine, RunRegistryInputs
from registry_pipeline.runs.scan import FolderIdentity

NAME: Final = "run_registry_lines"
"""The file's name below `cache/`."""
# A bit of `RunLine.facts` that only this file uses.
_CLAIMS_NOTHING: Final = 1 << 8
_FOLDER_NUMBERS: Final = 2
_FILE_NUMBERS: Final = 3
_MAX_SIZES_BYTES: Final = 4096
# Writing a line costs a hundredth of reading its folder.
_LINES_PER_CHANGE: Final = 100
LINES: Final = "RUN_LINES_v0_1.jsonl"
IDENTITIES: Final = "FOLDER_IDENTITIES_v0_1.json"
"""The artifacts of a shard: its lines, and what shows that their folders have not changed."""
_COLUMNS: Final = ("root_of", "names_of", "facts", "sizes", "numbers")


class LineCache:
    """The lines of an earlier build, and of shards; without them there are none.

    Lines, with everything that belongs to one, are in the order of the registry.
    """

    def __init__(self, path: Path | None, artifacts: Collection[str]) -> None:
        """Read the file, if this program wrote it for this user; `artifacts` decide what a folder claims."""
        self._path = path
        # Another version may write other lines, and another user may be able to read other folders.
        self._maker = hash_maker(sorted(artifacts))
        self._first_line = f"registry-pipeline run registry lines 1 {self._maker}\n".encode()
        self._entries = _Entries() if path is None else _Entries.read(path, self._first_line)
        self._count_in_file = self._entries.count
        self._kept: list[int] = []
        self._new: list[tuple[RunLine, FolderIdentity | None]] = []

    def list_unknown(self, run_root: str, run_ids: Iterable[str]) -> list[str]:
        """Return the run ids without a line."""
        indexes = self._entries.indexes.get(run_root, {})
        return [run_id for run_id in run_ids if run_id not in indexes]

    def add_shards(self, shards: Iterable[Mapping[str, bytes]]) -> None:
        """Add the lines of shards, given as their artifacts, before `find_unchanged` is called for their run root.

        A line of the file stays, and shards that another program or user made are ignored.
        """
        read = [_Entries.read_shard(files, self._maker) for files in shards]
        contents = [
            content
            for content in read
            if any(self.list_unknown(run_root, indexes) for run_root, indexes in content.indexes.items())
        ]
        if contents:
            # The order of the lines changes, and with it the indexes of those that were found so far.
            kept = [(self._entries.roots[self._entries.root_of[i]], self._entries.ids[i]) for i in self._kept]
            self._entries = _Entries.combine([self._entries, *contents])
            self._kept = sorted(self._entries.indexes[run_root][run_id] for run_root, run_id in kept)

    def list_run_ids(self, run_root: str) -> Collection[str]:
        """Return the run ids that have a line."""
        return self._entries.indexes.get(run_root, {}).keys()

    def make_shard(self, started: datetime) -> dict[str, bytes]:
        """Return the artifacts of a shard with the lines that were found and added; `started` is as for `save`."""
        shard = _Entries.parse(memoryview(b"".join(self._entries.merge(self._kept, self._list_safe(started)))))
        identities = {
            "schema_version": "0.1",
            "made_by": self._maker,
            "roots": shard.roots,
            "name_sets": shard.name_sets,
            "ids": shard.ids,
            "times": shard.times,
            **{name: list(column) for name, column in zip(_COLUMNS, shard.columns, strict=True)},
        }
        text = json.dumps(identities, separators=(",", ":")) + "\n"
        return {LINES: bytes(shard.text), IDENTITIES: text.encode("ascii")}

    def find_unchanged(self, root_path: str, run_root: str, run_ids: Sequence[str]) -> set[str]:
        """Return the run ids whose folders have not changed; `lines` then has their lines."""
        entries, unchanged = self._entries, set[str]()
        indexes = entries.indexes.get(run_root, {})
        numbers, starts, name_sets, names_of = entries.numbers, entries.starts, entries.name_sets, entries.names_of
        lstat = os.lstat
        try:
            root = os.open(root_path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            return unchanged
        # One loop over plain arrays, and short paths: a hundred thousand folders have half a million files.
        for run_id in run_ids:
            index = indexes.get(run_id)
            if index is None:
                continue
            position = starts[index]
            try:
                status = lstat(run_id, dir_fd=root)
                if status.st_ctime_ns != numbers[position] or status.st_ino != numbers[position + 1]:
                    continue
                position += _FOLDER_NUMBERS
                for name in name_sets[names_of[index]]:
                    status = lstat(f"{run_id}/{name}", dir_fd=root)
                    if (
                        status.st_ctime_ns != numbers[position]
                        or status.st_size != numbers[position + 1]
                        or status.st_ino != numbers[position + 2]
                    ):
                        break
                    position += _FILE_NUMBERS
                else:
                    unchanged.add(run_id)
                    self._kept.append(index)
            except OSError:
                continue
        os.close(root)
        # The names of the folders have another order than the lines of the registry.
        self._kept.sort()
        return unchanged

    def add(self, line: RunLine, identity: FolderIdentity | None, *, claims_nothing: bool) -> None:
        """Add the line of a folder that was read; without an identity it is read again next time."""
        facts = line.facts | _CLAIMS_NOTHING * claims_nothing
        self._new.append((line._replace(facts=facts), identity))

    def lines(self) -> RunRegistryInputs:
        """Return all lines: those that were added, and the others in blocks between them."""
        lines = sorted(line for line, _ in self._new)
        pieces = self._entries.split(self._kept, lines)
        blocks = [self._entries.block(piece) for piece in pieces if isinstance(piece, range)]
        return RunRegistryInputs(tuple(lines), tuple(blocks))

    def list_without_claim(self) -> dict[str, set[str]]:
        """Return the ids of the folders, found and added, that claim to belong to no registry, by run root."""
        entries = self._entries
        ids: dict[str, set[str]] = {root: set() for root in entries.roots}
        by_position = [ids[root] for root in entries.roots]
        for index in self._kept:
            if entries.facts[index] & _CLAIMS_NOTHING:
                by_position[entries.root_of[index]].add(entries.ids[index])
        for line, _ in self._new:
            if line.facts & _CLAIMS_NOTHING:
                ids.setdefault(line.run_root, set()).add(line.run_id)
        return ids

    def save(self, started: datetime) -> None:
        """Replace the file if enough lines are new or gone; `started` is a time before the first folder was read.

        A folder that changed shortly before `started`, or since, is left out.
        """
        new = self._list_safe(started)
        # Lines of shards are not in the file yet, and there is one line for each folder.
        from_shards = self._entries.count - self._count_in_file
        changes = len(new) + self._entries.count - len(self._kept) + from_shards
        # To read a few folders again takes less than to write all lines.
        if self._path is not None and changes * _LINES_PER_CHANGE > self._count_in_file:
            write_cache_file(self._path, self._first_line, self._entries.merge(self._kept, new))

    def _list_safe(self, started: datetime) -> list[tuple[RunLine, FolderIdentity]]:
        """Return the new lines of folders that show any later change, in the order of the registry."""
        newest = find_safe_change(started)
        safe = (
            (line, identity)
            for line, identity in self._new
            if identity is not None and _find_newest_change(identity) < newest
        )
        return sorted(safe, key=itemgetter(0))


def _find_newest_change(identity: FolderIdentity) -> int:
    """Return the newest change time of the folder and its files, in nanoseconds."""
    return max(identity.numbers[:1] + identity.numbers[_FOLDER_NUMBERS::_FILE_NUMBERS])


class _Entries:
    """The content of the file: columns with one item for each line, and the lines themselves."""

    def __init__(
        self,
        texts: Sequence[Any] = ([], [], [], []),
        columns: Sequence[bytes | memoryview] = (b"", b"", b"", b"", b""),
        text: bytes | memoryview = b"",
    ) -> None:
        self.roots: list[str]
        self.name_sets: list[list[str]]
        self.ids: list[str]
        # The times that the runs state, None for none.
        self.times: list[str | None]
        self.roots, self.name_sets, self.ids, self.times = map(list, texts)
        # Of each line: the positions of its root and its name set, its facts and its bytes. Then the numbers of the
        # FolderIdentity of each folder.
        self.columns = tuple(array("Q", bytes(column)) for column in columns)
        self.root_of, self.names_of, self.facts, self.sizes, self.numbers = self.columns
        self.text = text
        self._positions = {tuple(names): position for position, names in enumerate(self.name_sets)}
        self._locate()

    @classmethod
    def read(cls, path: Path, first_line: bytes) -> _Entries:
        """Return the content of a file; nothing if it is missing, damaged or of another version."""
        body = read_cache_file(path, first_line)
        try:
            return cls() if body is None else cls.parse(body)
        except (ValueError, TypeError, IndexError, KeyError):
            # The hash is valid, so another program wrote it like that: ignored like a damaged file.
            return cls()

    @classmethod
    def parse(cls, body: memoryview) -> _Entries:
        """Return the content that `merge` wrote."""
        position = bytes(body[:_MAX_SIZES_BYTES]).index(b"\n") + 1
        parts = []
        for size in json.loads(bytes(body[:position])):
            parts.append(body[position : position + size])
            position += size
        return cls(json.loads(bytes(parts[0])), parts[1:-1], parts[-1])

    @classmethod
    def read_shard(cls, files: Mapping[str, bytes], maker: str) -> _Entries:
        """Return the content of a shard; nothing if another program or user made it, or if it has another form."""
        try:
            document = json.loads(files[IDENTITIES])
            if document["made_by"] != maker:
                return cls()
            texts = [document[name] for name in ("roots", "name_sets", "ids", "times")]
            columns = [array("Q", document[name]).tobytes() for name in _COLUMNS]
            shard = cls(texts, columns, memoryview(files[LINES]))
            is_whole = shard.offsets[-1] == len(shard.text) and shard.starts[-1] == len(shard.numbers)
            is_text = all(isinstance(text, str) for text in (*shard.roots, *shard.ids, *filter(None, shard.times)))
            return shard if is_whole and is_text else cls()
        except (ValueError, TypeError, IndexError, KeyError, OverflowError):
            # The seal is valid, so another program wrote it like that: ignored like one of another version.
            return cls()

    @classmethod
    def combine(cls, sources: Sequence[_Entries]) -> _Entries:
        """Return the lines of all contents in the order of the registry; of a folder the line of the first one.

        The contents are used up.
        """
        combined = cls()
        for source in sources:
            roots = [combined._number_root(root) for root in source.roots]
            names = [combined._number_names(tuple(names)) for names in source.name_sets]
            source.root_of[:] = array("Q", [roots[number] for number in source.root_of])
            source.names_of[:] = array("Q", [names[number] for number in source.names_of])
        places: list[tuple[tuple[str, bool, str, str], int, int]] = []
        known = set[tuple[str, str]]()
        for number, source in enumerate(sources):
            for index, (root_of, run_id, time) in enumerate(zip(source.root_of, source.ids, source.times, strict=True)):
                root = combined.roots[root_of]
                if (root, run_id) not in known:
                    known.add((root, run_id))
                    places.append(((root, time is None, time or "", run_id), number, index))
        places.sort()
        texts = []
        # Neighbours of one source are copied together.
        for (number, _), group in groupby(enumerate(places), lambda pair: (pair[1][1], pair[1][2] - pair[0])):
            indexes = [place[2] for _, place in group]
            neighbours = range(indexes[0], indexes[-1] + 1)
            texts.append(combined._copy(sources[number], neighbours))
            combined.numbers.frombytes(sources[number].view_numbers(neighbours))
        combined.text = b"".join(texts)
        combined._locate()
        return combined

    def _locate(self) -> None:
        """Compute where the numbers and the line of each folder begin, and its index by run root and run id."""
        lengths = [_FOLDER_NUMBERS + _FILE_NUMBERS * len(names) for names in self.name_sets]
        self.starts = array("Q", accumulate((lengths[names] for names in self.names_of), initial=0))
        self.offsets = array("Q", accumulate(self.sizes, initial=0))
        self.indexes: dict[str, dict[str, int]] = {root: {} for root in self.roots}
        by_position = [self.indexes[root] for root in self.roots]
        for index, (root, run_id) in enumerate(zip(self.root_of, self.ids, strict=True)):
            by_position[root][run_id] = index

    @property
    def count(self) -> int:
        """The number of lines."""
        return len(self.ids)

    def line(self, index: int) -> RunLine:
        """Return a line."""
        root, time = self.roots[self.root_of[index]], self.times[index]
        text = self.text[self.offsets[index] : self.offsets[index + 1]]
        return RunLine(root, time is None, time or "", self.ids[index], text, self.facts[index])

    def block(self, indexes: range) -> LineBlock:
        """Return the lines at neighbouring indexes."""
        first = self.line(indexes.start)
        text = self.text[self.offsets[indexes.start] : self.offsets[indexes.stop]]
        return LineBlock(*first[:-2], text, self.facts[indexes.start : indexes.stop])

    def split(self, kept: Sequence[int], new: Sequence[RunLine]) -> Iterator[range | RunLine]:
        """Yield indexes that are neighbours, and the new lines where they belong, in the order of the registry.

        Both arguments are in this order.
        """
        done = 0
        for line in (*new, None):
            end = len(kept) if line is None else bisect_left(kept, line, lo=done, key=self.line)
            while done < end:
                first = kept[done]
                # The indexes are sorted, so they are neighbours as long as they grow by one.
                count = bisect_left(range(end - done), 1, key=lambda step: kept[done + step] - first != step)
                yield range(first, first + count)
                done += count
            if line is not None:
                yield line

    def merge(self, kept: Sequence[int], new: Sequence[tuple[RunLine, FolderIdentity]]) -> Iterator[bytes | memoryview]:
        """Yield the parts of a file with the lines at some indexes and new ones, both in the order of the registry."""
        merged = _Entries((self.roots, self.name_sets, [], []))
        identities = iter([identity for _, identity in new])
        # The largest parts, the numbers and the lines, are not copied.
        numbers: list[bytes | memoryview] = []
        texts: list[bytes | memoryview] = []
        for piece in self.split(kept, [line for line, _ in new]):
            if isinstance(piece, range):
                texts.append(merged._copy(self, piece))
                numbers.append(self.view_numbers(piece))
            else:
                identity = next(identities)
                texts.append(merged._append(piece, identity.names))
                numbers.append(memoryview(identity.numbers).cast("B"))
        merged._drop_unused_names()
        header = json.dumps([merged.roots, merged.name_sets, merged.ids, merged.times]).encode("ascii")
        columns = [memoryview(column).cast("B") for column in merged.columns[:-1]]
        parts: list[Sequence[bytes | memoryview]] = [[header], *([column] for column in columns), numbers, texts]
        yield json.dumps([sum(map(len, part)) for part in parts]).encode("ascii") + b"\n"
        for part in parts:
            yield from part

    def _copy(self, source: _Entries, indexes: range) -> bytes | memoryview:
        """Append neighbouring lines of another content without their numbers, and return their text."""
        first, last = indexes.start, indexes.stop
        self.ids += source.ids[first:last]
        self.times += source.times[first:last]
        for column, other in zip(self.columns[:-1], source.columns[:-1], strict=True):
            column.extend(other[first:last])
        return source.text[source.offsets[first] : source.offsets[last]]

    def view_numbers(self, indexes: range) -> memoryview:
        """Return the bytes of the numbers of the folders of neighbouring lines."""
        return memoryview(self.numbers)[self.starts[indexes.start] : self.starts[indexes.stop]].cast("B")

    def _drop_unused_names(self) -> None:
        used = {position: number for number, position in enumerate(dict.fromkeys(self.names_of))}
        if len(used) < len(self.name_sets):
            self.name_sets = [self.name_sets[position] for position in used]
            self.names_of[:] = array("Q", [used[position] for position in self.names_of])

    def _append(self, line: RunLine, names: tuple[str, ...]) -> bytes | memoryview:
        """Append a new line without the numbers of its folder, and return its text."""
        self.ids.append(line.run_id)
        self.times.append(None if line.has_no_time else line.created_utc)
        self.root_of.append(self._number_root(line.run_root))
        self.names_of.append(self._number_names(names))
        self.facts.append(line.facts)
        self.sizes.append(len(line.text))
        return line.text

    def _number_root(self, run_root: str) -> int:
        if run_root not in self.roots:
            self.roots.append(run_root)
        return self.roots.index(run_root)

    def _number_names(self, names: tuple[str, ...]) -> int:
        if names not in self._positions:
            self._positions[names] = len(self.name_sets)
            self.name_sets.append(list(names))
        return self._positions[names]
