"""Change the values of a YAML text by the smallest edits; all other lines keep their bytes.

A comment directly above an entry, or indented below it, belongs to that entry.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any, Final

from registry_pipeline.canonical import json_line
from registry_pipeline.yaml.compose import YamlNode, is_same_value
from registry_pipeline.yaml.values import (
    Style,
    format_block_lines,
    format_flow,
    format_inline_lines,
    format_item_lines,
    format_member_lines,
    format_scalar,
    is_block,
    measure_style,
)

# The keys that identify an entry of a list, by preference; an entry without any is compared as a whole.
KEY_FIELDS: Final = ("module_id", "ability_id", "operation_key", "id", "when_to_use")
_ODD_LINE_ENDS: Final = re.compile(r"\r(?!\n)|[\x85\u2028\u2029]")
_MARK: Final = re.compile(r"^---(?=[ \t\r\n]|$)", re.MULTILINE)
_COMMENT: Final = re.compile(r"[ \t]+#[^\r\n]*")
_DASHES: Final = re.compile(r" *- +")
# Blank lines between items are looked for between the first items only.
_SPACING_SAMPLE: Final = 50


class EditError(ValueError):
    """The layout of the text cannot be edited in place."""


def edit_text(text: str, before: Sequence[YamlNode], after: Sequence[Any]) -> str:
    """Return the text, whose documents are `before`, edited to contain the documents `after`.

    Raises:
        EditError: the layout cannot be edited, or a document is added before the end or removed from more than two.
    """
    # libyaml ends lines at these characters too, so its lines would not be the lines of this module.
    if _ODD_LINE_ENDS.search(text):
        raise EditError("line ends other than LF or CRLF")
    editor = _TextEditor(text, measure_style(before, "\r\n" if "\r\n" in text else "\n"))
    if not before and len(after) == 1:
        return text + editor.make_insertion(len(text), editor.format_root_lines(after[0]))
    if len(before) != len(after):
        return editor.edit_document_count(before, after)
    for node, value in zip(before, after, strict=True):
        editor.edit_document(node, value)
    return editor.apply_edits()


class _TextEditor:
    """Collects the edits of one text: (start, end, new text), counted in code points."""

    def __init__(self, text: str, style: Style) -> None:
        self.text = text
        self.style = style
        self.edits: list[tuple[int, int, str]] = []

    def edit_document_count(self, before: Sequence[YamlNode], after: Sequence[Any]) -> str:
        """Return the text with one more document at its end, or with one of its two documents; else raise EditError."""
        if len(after) == len(before) + 1 and all(map(is_same_value, (node.value for node in before), after)):
            return self.text + self.make_insertion(len(self.text), ["---", *self.format_root_lines(after[-1])])
        if len(before) == 2 and len(after) == 1:
            first, second = before
            marks = [m.start() for m in _MARK.finditer(self.text) if first.end <= m.start() < second.start]
            # The text is cut at the mark between the two documents.
            if len(marks) == 1:
                return self.text[: marks[0]] if is_same_value(first.value, after[0]) else self.text[marks[0] :]
        raise EditError("documents are added or removed")

    def edit_document(self, node: YamlNode, value: Any) -> None:
        """Add the edits that give one document a new value."""
        if is_same_value(node.value, value):
            return
        if node.start == node.end:  # only comments, or an empty document between marks
            start = self._find_next_start(node.end) if node.start > self._find_line_start(node.start) else node.start
            self.edits.append((start, start, self._join_lines(self.format_root_lines(value))))
        elif node.flow and not node.members:  # `[]` or `{}` becomes a block
            self.edits.append((node.start, node.end, self.style.newline.join(self.format_root_lines(value))))
        elif not self._edit_collection(node, value):
            raise EditError("the document becomes another kind of value")

    def apply_edits(self) -> str:
        """Return the text with all edits; raise EditError if two of them overlap."""
        pieces, position = [], 0
        for start, end, text in sorted(self.edits, key=lambda edit: edit[:2]):
            if start < position:
                raise EditError("two edits overlap")
            pieces += [self.text[position:start], text]
            position = end
        return "".join([*pieces, self.text[position:]])

    def format_root_lines(self, value: Any) -> list[str]:
        return format_block_lines(value, 0, self.style) if is_block(value) else format_inline_lines(value, 0)

    def make_insertion(self, start: int, lines: list[str]) -> str:
        """Return lines as text to insert at `start`, which may be the end of a text without a final newline."""
        return ("" if not start or self.text[start - 1] == "\n" else self.style.newline) + self._join_lines(lines)

    def _insert(self, start: int, lines: list[str]) -> None:
        self.edits.append((start, start, self.make_insertion(start, lines)))

    def _edit_collection(self, node: YamlNode, value: Any) -> bool:
        """Add edits of a block collection member by member; return False, without edits, if it must be replaced."""
        if node.flow or not is_block(value) or not node.members:
            return False
        if node.kind == "mapping" and isinstance(value, dict):
            return self._edit_mapping(node, value)
        return node.kind == "sequence" and isinstance(value, list) and self._edit_sequence(node, value)

    def _edit_mapping(self, node: YamlNode, value: dict[str, Any]) -> bool:
        pairs = node.pairs()
        removed = [key for key, _ in pairs if not key.is_merge_key and key.value not in value]
        # The first key shares its line with the dash of a list item, so the mapping is replaced as a whole.
        if pairs[0][0] in removed:
            return False
        column = self._find_key_column(pairs[0][0])
        heads = [self._find_head(key, column, pairs[i - 1][1] if i else None) for i, (key, _) in enumerate(pairs)]
        heads.append(self._find_tail(pairs[-1][1], column))
        for i, (key, member) in enumerate(pairs):
            if key in removed:
                self.edits.append((heads[i], self._find_removal_end(member, column, heads[i + 1]), ""))
            elif key.value in value and not key.is_merge_key and not is_same_value(member.value, value[key.value]):
                self._edit_member(key, member, value[key.value], column)
        # New keys follow the key that they follow in the new value. A value that a merge key brings is not written.
        own = {key.value: member for key, member in pairs if not key.is_merge_key}
        previous = node.members[1]
        for name, member in value.items():
            if name in own:
                previous = own[name]
            elif name not in node.value or not is_same_value(node.value[name], member):
                self._insert(self._find_line_after(previous), format_member_lines(name, member, column, self.style))
        return True

    def _edit_member(self, key: YamlNode, member: YamlNode, value: Any, column: int) -> None:
        if self._edit_collection(member, value):
            return
        is_empty = member.start == member.end
        is_one_line = "\n" not in self.text[member.start : member.end]
        if member.flow and member.members and isinstance(value, dict | list):
            edit = _make_flow_insertion(self.text, member, value, self.style.newline)
            if edit is None:
                self._refuse_comments(member)
            self.edits.append(edit or (member.start, member.end, format_flow(value)))
        elif is_one_line and not is_empty and not is_block(value) and (member.flow or not member.members):
            text = self.style.newline.join(format_inline_lines(value, column + self.style.mapping))
            self.edits.append((member.start, member.end, text))
        else:
            self._replace_member(key, member, value, column)

    def _replace_member(self, key: YamlNode, member: YamlNode, value: Any, column: int) -> None:
        lines = format_member_lines(key.value, value, column, self.style)
        colon = self.text.index(":", key.end)
        if member.start == member.end and is_block(value):  # below the key's line, which may end with a comment
            self._insert(self._find_next_start(colon), lines[1:])
            return
        end = self._find_end_before_newlines(max(member.end, colon + 1))
        is_one_line = "\n" not in self.text[member.start : member.end]
        match = _COMMENT.match(self.text, end) if is_block(value) and is_one_line else None
        comment = match[0] if match else ""  # it stays on the key's line
        head = len(f"{' ' * column}{format_scalar(key.value)}:")
        text = self.style.newline.join([lines[0][head:] + comment, *lines[1:]])
        self.edits.append((colon + 1, end + len(comment), text))

    def _edit_sequence(self, node: YamlNode, value: list[Any]) -> bool:
        column = node.column
        items = node.members
        if any(self._find_dash_column(item) != column for item in items):
            raise EditError("an item does not begin on the line of its dash")
        heads = [self._find_head(item, column, items[i - 1] if i else None) for i, item in enumerate(items)]
        heads.append(self._find_tail(items[-1], column))
        # An insertion goes before the comments of the item that follows it.
        for kind, a, b, c, d in _align_items([item.value for item in items], value):
            if kind in ("delete", "replace"):
                self.edits.append((heads[a], self._find_removal_end(items[b - 1], column, heads[b]), ""))
            if kind in ("insert", "replace"):
                is_spaced, is_last = self._is_spaced(items, heads), b == len(items)
                lines: list[str] = []
                for new in value[c:d]:
                    lines += [""] if is_spaced and is_last else []
                    lines += format_item_lines(new, column, self.style)
                    lines += [""] if is_spaced and not is_last else []
                self._insert(heads[b], lines)
            for item, new in zip(items[a:b], value[c:d], strict=True) if kind == "equal" else ():
                if (
                    item.value is not new
                    and not is_same_value(item.value, new)
                    and not self._edit_collection(item, new)
                ):
                    self._refuse_comments(item)
                    text = self.style.newline.join(format_item_lines(new, column, self.style))
                    self.edits.append(
                        (self._find_line_start(item.start), self._find_end_before_newlines(item.end), text)
                    )
        return True

    def _is_spaced(self, items: Sequence[YamlNode], heads: Sequence[int]) -> bool:
        pairs = zip(items[:_SPACING_SAMPLE], heads[1:-1], strict=False)
        gaps = (self.text[self._find_line_after(item) : head] for item, head in pairs)
        return any(not line.strip() for gap in gaps for line in gap.splitlines())

    def _find_key_column(self, key: YamlNode) -> int:
        before = self.text[self._find_line_start(key.start) : key.start]
        if before.strip(" ") and not _DASHES.fullmatch(before):
            raise EditError("a mapping does not begin on a line of its own")
        return key.column

    def _find_dash_column(self, item: YamlNode) -> int:
        """Return the column (from 0) of an item's dash, or -1 if something else precedes the item on its line."""
        prefix = self.text[self._find_line_start(item.start) : item.start]
        return prefix.index("-") if _DASHES.fullmatch(prefix) else -1

    def _find_head(self, node: YamlNode, column: int, previous: YamlNode | None) -> int:
        """Return the start of the first line of a key or item, including the comments directly above it."""
        start = self._find_line_start(node.start)
        if self.text[start : node.start].strip(" -"):
            raise EditError("a value does not begin on a line of its own")
        floor = 0 if previous is None else self._find_line_after(previous)
        # A comment that is indented deeper belongs to the value above it.
        while start > floor:
            above = self._find_line_start(start - 1)
            line = self.text[above:start]
            indent = len(line) - len(line.lstrip(" "))
            if not line.startswith("#", indent) or indent > column or above < floor:
                break
            start = above
        return start

    def _find_tail(self, node: YamlNode, column: int) -> int:
        """Return the start of the line after a key or item and the deeper indented comments below it."""
        end = self._find_line_after(node)
        while end < len(self.text):
            following = self._find_next_line(end)
            line = self.text[end:following]
            comment = line.lstrip(" ")
            if not comment.startswith("#") or len(line) - len(comment) <= column:
                break
            end = following
        return end

    def _find_removal_end(self, node: YamlNode, column: int, following: int) -> int:
        """Return where the removal of a key or item ends: at the next one, or before a comment of neither."""
        tail = self._find_tail(node, column)
        return tail if "#" in self.text[tail:following] else following

    def _refuse_comments(self, node: YamlNode) -> None:
        # The sign may be part of a text; then the round trip of `document` is tried instead.
        if "#" in self.text[node.start : node.end]:
            raise EditError("the replaced value may contain a comment")

    def _join_lines(self, lines: Sequence[str]) -> str:
        return "".join(f"{line}{self.style.newline}" for line in lines)

    def _find_line_after(self, node: YamlNode) -> int:
        """Return the start of the line after a value; blank lines below a literal block are not part of it."""
        while node.members:
            node = node.members[-1]
        end = self._find_next_start(node.end)
        # libyaml ends a literal block after its trailing blank lines, unless `|+` makes them part of the text.
        if self.text[node.end - 1 : node.end] != "\n" or str(node.value).endswith("\n\n"):
            return end
        above = self._find_line_start(end - 1)
        while above > node.start and not self.text[above:end].strip():
            end, above = above, self._find_line_start(above - 1)
        return end

    def _find_end_before_newlines(self, end: int) -> int:
        while self.text[end - 1] in "\r\n":
            end -= 1
        return end

    def _find_line_start(self, position: int) -> int:
        return self.text.rfind("\n", 0, position) + 1

    def _find_next_start(self, position: int) -> int:
        """Return `position` if it starts a line, else the start of the next line."""
        return position if self.text[position - 1 : position] == "\n" else self._find_next_line(position)

    def _find_next_line(self, position: int) -> int:
        return self.text.find("\n", position) + 1 or len(self.text)


def _make_identity(value: Any) -> bytes:
    """Return what two versions of a list item have in common: the key of the entry, else the whole value."""
    # With an identity, a changed entry is edited in place instead of removed and inserted.
    if isinstance(value, dict):
        name = next((name for name in KEY_FIELDS if isinstance(value.get(name), str)), None)
        if name is not None:
            return json_line([value[name]])
    return json_line(value)


def _align_items(before: list[Any], after: list[Any]) -> list[tuple[str, int, int, int, int]]:
    """Return the steps from the old items to the new ones, as `SequenceMatcher.get_opcodes`."""
    old, new = list(map(_make_identity, before)), list(map(_make_identity, after))
    # `SequenceMatcher` takes quadratic time, so it only gets what is between the common head and tail.
    shorter = min(len(old), len(new))
    head = next((i for i in range(shorter) if old[i] != new[i]), shorter)
    tail = next((i for i in range(shorter - head) if old[-1 - i] != new[-1 - i]), shorter - head)
    old_end, new_end = len(old) - tail, len(new) - tail
    middle = SequenceMatcher(None, old[head:old_end], new[head:new_end], autojunk=False).get_opcodes()
    steps = [("equal", 0, head, 0, head)]
    steps += [(kind, a + head, b + head, c + head, d + head) for kind, a, b, c, d in middle]
    return [*steps, ("equal", old_end, len(old), new_end, len(new))]


def _make_flow_insertion(text: str, node: YamlNode, value: Any, newline: str) -> tuple[int, int, str] | None:
    """Return the edit that adds one item to a `[...]` list with one item a line, or None if another edit is needed."""
    items = node.members
    if node.kind != "sequence" or not isinstance(value, list) or len(value) != len(items) + 1:
        return None
    at = next((i for i, item in enumerate(items) if not is_same_value(item.value, value[i])), len(items))
    if not is_same_value([item.value for item in items[at:]], value[at + 1 :]):
        return None
    # The text between the line's start and the item, which is blank if the item begins the line.
    margins = [text[text.rfind("\n", 0, item.start) + 1 : item.start] for item in items]
    # A comment beside the new item would be read as the comment of that item.
    gap_start, gap_end = items[at - 1].end if at else node.start, items[at].start if at < len(items) else node.end
    if "#" in text[gap_start:gap_end] or any(not margin or margin.strip(" \t") for margin in margins):
        return None
    if at == len(items):  # a comma after the last item then follows the new one
        return (items[-1].end, items[-1].end, f",{newline}{margins[0]}{format_flow(value[at])}")
    return (items[at].start, items[at].start, f"{format_flow(value[at])},{newline}{margins[0]}")
