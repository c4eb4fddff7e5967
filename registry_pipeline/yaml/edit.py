"""The smallest change of a YAML text that makes it say other values (SPEC 10: untouched lines stay byte for byte).

Works on the text by the places that `yaml_values` tells. What it proposes is proven by the caller, who parses the
outcome; where a text is laid out in a way that is not understood here, `UnsplicedError` says so. A comment on the lines
directly above an entry, or behind its lines, is that entry's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from registry_pipeline.canonical import json_line
from registry_pipeline.yaml.compose import YamlNode, is_merge_key, same_value
from registry_pipeline.yaml.emit import (
    Style,
    block_lines,
    flow_text,
    inline_text,
    is_block,
    item_lines,
    member_lines,
    scalar_text,
)
from registry_pipeline.yaml.layout import aligned, flow_insertion, layout_of

_ODD_LINE_ENDS: Final = re.compile(r"\r(?!\n)|[\x85\u2028\u2029]")
_MARK: Final = re.compile(r"^---(?=[ \t\r\n]|$)", re.MULTILINE)
_COMMENT: Final = re.compile(r"[ \t]+#[^\r\n]*")
_LOOKED_AT: Final = 50
_DASHES: Final = re.compile(r" *- +")


class UnsplicedError(ValueError):
    """The text is laid out in a way that cannot be changed in place."""


_Edit = tuple[int, int, str]
"""From where to where, in code points, and what shall stand there."""


def splice(text: str, before: Sequence[YamlNode], after: Sequence[Any], key_fields: Sequence[str] = ()) -> str:
    """Return `text`, whose documents are `before`, changed so that they say `after`.

    `key_fields` name what tells the entries of a list apart, by preference; entries without any are compared whole.

    Raises:
        UnsplicedError: documents come or go, or a place in the text is not understood.
    """
    if _ODD_LINE_ENDS.search(text):
        raise UnsplicedError("line ends that are not LF or CRLF")
    changing = _Splicing(text, layout_of(before, "\r\n" if "\r\n" in text else "\n"), tuple(key_fields))
    if not before and len(after) == 1:
        return changing.appended(after[0])
    if len(before) != len(after):
        return changing.other_documents(before, after)
    for node, value in zip(before, after, strict=True):
        changing.document(node, value)
    return changing.applied()


class _Splicing:
    """The edits of one text in the making."""

    def __init__(self, text: str, style: Style, key_fields: tuple[str, ...]) -> None:
        self.text = text
        self.style = style
        self.key_fields = key_fields
        self.edits: list[_Edit] = []

    def appended(self, value: Any) -> str:
        """Return the text, which has no value yet, with one at its end."""
        return self.text + self._glued(len(self.text), self._root_lines(value))

    def other_documents(self, before: Sequence[YamlNode], after: Sequence[Any]) -> str:
        """Return the text with one document more at its end, or with one of two less."""
        if len(after) == len(before) + 1 and all(map(same_value, (node.value for node in before), after)):
            return self.text + self._glued(len(self.text), ["---", *self._root_lines(after[-1])])
        if len(before) == 2 and len(after) == 1:
            marks = [m.start() for m in _MARK.finditer(self.text) if before[0].end <= m.start() < before[1].start]
            if len(marks) == 1:
                kept_first = same_value(before[0].value, after[0])
                return self.text[: marks[0]] if kept_first else self.text[marks[0] :]
        raise UnsplicedError("documents come or go")

    def document(self, node: YamlNode, value: Any) -> None:
        if same_value(node.value, value):
            return
        if node.start == node.end:  # nothing but comments, or an empty document between marks
            start = self._after(node.end) if node.start > self._line_start(node.start) else node.start
            self.edits.append((start, start, self._joined(self._root_lines(value))))
            return
        if node.flow and not node.members:
            self.edits.append((node.start, node.end, self.style.newline.join(self._root_lines(value))))
        elif not self._inside(node, value):
            raise UnsplicedError("the document becomes another kind of value")

    def applied(self) -> str:
        """Return the text with all edits, which may touch but not overlap."""
        pieces, at = [], 0
        for start, end, text in sorted(self.edits, key=lambda edit: edit[:2]):
            if start < at:
                raise UnsplicedError("two changes meet at one place")
            pieces += [self.text[at:start], text]
            at = end
        return "".join([*pieces, self.text[at:]])

    def _root_lines(self, value: Any) -> list[str]:
        return block_lines(value, 0, self.style) if is_block(value) else inline_text(value, 0)

    def _inside(self, node: YamlNode, value: Any) -> bool:
        """Change a block collection member by member; tell whether that was possible."""
        if node.flow or node.kind == "alias" or not is_block(value) or not node.members:
            return False
        if node.kind == "mapping" and isinstance(value, dict):
            return self._mapping(node, value)
        if node.kind == "sequence" and isinstance(value, list):
            return self._sequence(node, value)
        return False

    def _mapping(self, node: YamlNode, value: dict[str, Any]) -> bool:
        pairs = node.pairs()
        gone = [key for key, _ in pairs if not is_merge_key(key) and key.value not in value]
        if pairs[0][0] in gone:
            return False
        column = self._column(pairs[0][0])
        heads = [self._lead(key, column, None if not i else pairs[i - 1][1]) for i, (key, _) in enumerate(pairs)]
        heads.append(self._tail(pairs[-1][1], column))
        for i, (key, member) in enumerate(pairs):
            if key in gone:
                self.edits.append((heads[i], self._end_of(member, column, heads[i + 1]), ""))
            elif key.value in value and not is_merge_key(key) and not same_value(member.value, value[key.value]):
                self._member(key, member, value[key.value], column)
        self._added(node, value, column)
        return True

    def _added(self, node: YamlNode, value: dict[str, Any], column: int) -> None:
        """Write the keys that are new, each behind the one that it follows in the new value."""
        stated = {key.value: member for key, member in node.pairs() if not is_merge_key(key)}
        anchor = node.members[1]
        for name, member in value.items():
            if name in stated:
                anchor = stated[name]
            elif name not in node.value or not same_value(node.value[name], member):  # else a merge key brings it
                start = self._after_node(anchor)
                self.edits.append((start, start, self._glued(start, member_lines(name, member, column, self.style))))

    def _member(self, key: YamlNode, member: YamlNode, value: Any, column: int) -> None:
        if self._inside(member, value):
            return
        empty = member.start == member.end
        one_line = "\n" not in self.text[member.start : member.end]
        if member.flow and member.members and isinstance(value, dict | list):
            added = flow_insertion(self.text, member, value, self.style.newline)
            if added is None:
                self._refuse_comments(member)
            self.edits.append(added or (member.start, member.end, flow_text(value)))
        elif one_line and not empty and not is_block(value) and (member.flow or not member.members):
            text = self.style.newline.join(inline_text(value, column + self.style.mapping))
            self.edits.append((member.start, member.end, text))
        else:
            colon = self.text.index(":", key.end)
            end = max(member.end, colon + 1)
            while self.text[end - 1] in "\r\n":
                end -= 1
            lines = member_lines(key.value, value, column, self.style)
            head = len(f"{' ' * column}{scalar_text(key.value)}:")
            if empty and is_block(value):  # below the line, which may end with a comment
                at = self._after(colon)
                self.edits.append((at, at, self._glued(at, lines[1:])))
                return
            comment = _COMMENT.match(self.text, end) if is_block(value) and one_line else None
            behind = comment[0] if comment else ""  # it stays with the key
            made = self.style.newline.join([lines[0][head:] + behind, *lines[1:]])
            self.edits.append((colon + 1, end + len(behind), made))

    def _sequence(self, node: YamlNode, value: list[Any]) -> bool:
        column = node.column - 1
        items = node.members
        if any(self._dash(item) != column for item in items):
            raise UnsplicedError("an item that does not begin on the line of its dash")
        heads = [self._lead(item, column, None if not i else items[i - 1]) for i, item in enumerate(items)]
        heads.append(self._tail(items[-1], column))
        for kind, a, b, c, d in aligned(list(map(self._identity, (i.value for i in items))), value, self._identity):
            if kind in ("delete", "replace"):
                self.edits.append((heads[a], self._end_of(items[b - 1], column, heads[b]), ""))
            if kind in ("insert", "replace"):
                self._insert(heads[b], value[c:d], column, spaced=self._spaced(items, heads), last=b == len(items))
            for item, new in zip(items[a:b], value[c:d], strict=True) if kind == "equal" else ():
                if item.value is not new and not same_value(item.value, new) and not self._inside(item, new):
                    self._item(item, new, column)
        return True

    def _spaced(self, items: Sequence[YamlNode], heads: Sequence[int]) -> bool:
        """Tell whether blank lines stand between the items; the first of them will do to see it."""
        pairs = zip(items[:_LOOKED_AT], heads[1:-1], strict=False)
        gaps = (self.text[self._after_node(one) : head] for one, head in pairs)
        return any(not line.strip() for gap in gaps for line in gap.splitlines())

    def _item(self, item: YamlNode, new: Any, column: int) -> None:
        end = item.end
        while self.text[end - 1] in "\r\n":
            end -= 1
        self._refuse_comments(item)
        self.edits.append(
            (self._line_start(item.start), end, self.style.newline.join(item_lines(new, column, self.style)))
        )

    def _insert(self, start: int, items: Sequence[Any], column: int, *, spaced: bool, last: bool) -> None:
        lines: list[str] = []
        for item in items:
            lines += [""] if spaced and last else []
            lines += item_lines(item, column, self.style)
            lines += [""] if spaced and not last else []
        self.edits.append((start, start, self._glued(start, lines)))

    def _identity(self, value: Any) -> bytes:
        if isinstance(value, dict):
            name = next((name for name in self.key_fields if isinstance(value.get(name), str)), None)
            if name is not None:
                return json_line([value[name]])
        return json_line(value)

    def _column(self, key: YamlNode) -> int:
        """Return the column (from 0) of a mapping's keys, by its first key."""
        before = self.text[self._line_start(key.start) : key.start]
        if before.strip(" ") and not _DASHES.fullmatch(before):
            raise UnsplicedError("a mapping that does not begin on a line of its own")
        return key.column - 1

    def _dash(self, item: YamlNode) -> int:
        """Return the column (from 0) of an item's dash, -1 where it is not alone before it on the line."""
        prefix = self.text[self._line_start(item.start) : item.start]
        return prefix.index("-") if _DASHES.fullmatch(prefix) else -1

    def _lead(self, node: YamlNode, column: int, previous: YamlNode | None) -> int:
        """Return where a key or item begins with the comments directly above it."""
        line = self._line_start(node.start)
        if self.text[line : node.start].strip(" -"):
            raise UnsplicedError("a value that does not begin on a line of its own")
        floor = self._after_node(previous) if previous is not None else 0
        while line > floor:
            above = self._line_start(line - 1)
            words = self.text[above:line]
            indent = len(words) - len(words.lstrip(" "))
            if not words.startswith("#", indent) or indent > column or above < floor:
                break
            line = above
        return line

    def _tail(self, node: YamlNode, column: int) -> int:
        """Return where the last key or item ends, with the comments below that stand deeper than it."""
        end = self._after_node(node)
        while end < len(self.text):
            following = self._next_line(end)
            words = self.text[end:following]
            if not words.lstrip(" ").startswith("#") or len(words) - len(words.lstrip(" ")) <= column:
                break
            end = following
        return end

    def _end_of(self, node: YamlNode, column: int, following: int) -> int:
        """Return where a key or item that goes ends: before what follows, or before comments that are of neither."""
        tail = self._tail(node, column)
        return tail if "#" in self.text[tail:following] else following

    def _refuse_comments(self, node: YamlNode) -> None:
        if "#" in self.text[node.start : node.end]:
            raise UnsplicedError("a comment may stand in what changes")

    def _glued(self, start: int, lines: list[str]) -> str:
        return ("" if not start or self.text[start - 1] == "\n" else self.style.newline) + self._joined(lines)

    def _joined(self, lines: Sequence[str]) -> str:
        return "".join(f"{line}{self.style.newline}" for line in lines)

    def _after_node(self, node: YamlNode) -> int:
        """Return the start of the line behind a value; the blank lines below a literal block are no part of it."""
        while node.members:
            node = node.members[-1]
        at = self._after(node.end)
        if self.text[node.end - 1 : node.end] != "\n" or str(node.value).endswith("\n\n"):
            return at
        above = self._line_start(at - 1)
        while above > node.start and not self.text[above:at].strip():
            at, above = above, self._line_start(above - 1)
        return at

    def _line_start(self, at: int) -> int:
        return self.text.rfind("\n", 0, at) + 1

    def _after(self, at: int) -> int:
        """Return the start of the line behind the one that holds, or has just ended with, a value's last character."""
        return at if self.text[at - 1 : at] == "\n" else self._next_line(at)

    def _next_line(self, at: int) -> int:
        return self.text.find("\n", at) + 1 or len(self.text)
