"""Markdown text to blocks: headings, paragraphs, lists, code, tables. Knows where each stands; knows no sizes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))??(?:[ \t]+#+)?[ \t\r]*$")
_SETEXT = re.compile(r" {0,3}(=+|-{3,})[ \t\r]*$")


@dataclass(frozen=True, slots=True)
class Block:
    """A run of lines that belongs together. `level` is 1-6 for a heading, else 0; `path` are the headings that it is under."""

    start: int
    end: int
    level: int = 0
    path: tuple[str, ...] = ()
    whole: bool = False
    """A code fence or table: cut at line ends only where it must be."""
    tokens: int = 0


def blocks(text: str) -> Iterator[Block]:
    """The blocks of Markdown text in order; only blank lines lie between them."""
    path: list[tuple[int, str]] = []
    for start, end, kind, level in _runs(text):
        if level:
            title = text[start:end].split("\n")[0] if kind == "setext" else (_atx(text[start:end]) or (0, ""))[1]
            path = [*((depth, name) for depth, name in path if depth < level), (level, title.strip())]
        yield Block(start, end, level, tuple(name for _, name in path if name), kind == "whole")


def _runs(text: str) -> Iterator[tuple[int, int, str, int]]:
    """(start, end, kind, heading level) of runs of lines: "text", "whole" (fence, table, front matter), "atx", "setext"."""
    lines = lines_of(text)
    open_fences: set[str] = set()  # fences known to have no end further down
    at = 0
    while at < len(lines):
        start, end = lines[at]
        line = text[start:end]
        if not line.strip():
            at += 1
            continue
        stop, kind, level = at + 1, "text", 0
        if fence := _FENCE.match(line):
            stop, kind = _closing(text, lines, at, fence.group(1), open_fences), "whole"
        elif at == 0 and line.rstrip() == "---" and (close := _matter(text, lines)):
            stop, kind = close, "whole"
        elif heading := _atx(line):
            kind, level = "atx", heading[0]
        elif _is_setext(text, lines, at):
            stop, kind, level = at + 2, "setext", 1 if "=" in text[slice(*lines[at + 1])] else 2
        else:
            table = line.lstrip().startswith("|")
            while stop < len(lines) and _continues(text, lines, stop, table=table):
                stop += 1
            kind = "whole" if table else "text"
        end = lines[stop - 1][1]
        yield start, start + len(text[start:end].rstrip()), kind, level
        at = stop


def lines_of(text: str) -> list[tuple[int, int]]:
    """(start, end without the line break) of every line."""
    spans = []
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        spans.append((start, end))
        start = end + 1
    return spans


def _atx(line: str) -> tuple[int, str] | None:
    match = _ATX.match(line)
    return (len(match.group(1)), match.group(2) or "") if match else None


def _is_setext(text: str, lines: Sequence[tuple[int, int]], at: int) -> bool:
    below = at + 1 < len(lines) and _SETEXT.match(text[slice(*lines[at + 1])])
    return bool(below) and not text[slice(*lines[at])].lstrip().startswith(("|", "-", "*", "+", ">"))


def _closing(text: str, lines: Sequence[tuple[int, int]], at: int, fence: str, open_fences: set[str]) -> int:
    """The line after the fence's end; a fence that never closes is one line, so that the rest keeps its structure."""
    if any(fence.startswith(known) for known in open_fences):
        return at + 1
    for stop in range(at + 1, len(lines)):
        line = text[slice(*lines[stop])].strip()
        if line.startswith(fence) and not line.strip(fence[0]):
            return stop + 1
    open_fences.add(fence)
    return at + 1


def _matter(text: str, lines: Sequence[tuple[int, int]]) -> int:
    """The line after front matter, 0 where there is none."""
    for stop in range(1, len(lines)):
        if text[slice(*lines[stop])].rstrip() == "---":
            return stop + 1
    return 0


def _continues(text: str, lines: Sequence[tuple[int, int]], at: int, *, table: bool) -> bool:
    line = text[slice(*lines[at])]
    if not line.strip() or _FENCE.match(line) or _atx(line):
        return False
    return line.lstrip().startswith("|") == table and (table or not _is_setext(text, lines, at))
