"""A document's Markdown to chunks with exact offsets. Knows headings, fences and tables; is given what counts tokens."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from groundtune.types import Chunk, Document

CHUNK_VERSION: Final = 1
"""Raise it when the same document may give other chunks."""

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))??(?:[ \t]+#+)?[ \t\r]*$")
_SETEXT = re.compile(r" {0,3}(=+|-{3,})[ \t\r]*$")
_SENTENCE = re.compile(r"(?<=[.!?;])[ \t\r\n]+|(?<=[。！？；])")
_CHARACTERS_PER_TOKEN = 16
"""A tokenizer may read a huge word as one unknown token; a token never counts for more characters than this."""


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


def chunk(document: Document, *, tokens: int, overlap: int = 0, count_tokens: Callable[[str], int]) -> list[Chunk]:
    """Spans of `document`, in order, that together hold all of its text that is not blank.

    A section that fits into `tokens` is never divided; a larger one is divided at its highest headings, then between blocks
    (paragraphs, lists, tables, code), then lines, sentences and words; neighbouring small parts are joined again as long as
    they fit. A heading stays with what follows it, where both together take at most an eighth more. With `overlap`, a chunk
    also begins with up to that many tokens of the same section's text before it.
    """
    measure = _counter(count_tokens)
    sized = [
        part
        for block in blocks(document.text)
        for part in _cut(document.text, replace(block, tokens=measure(document.text[block.start : block.end])), tokens, measure)
    ]
    groups = _divide(sized, tokens)
    chunks = []
    first = 0
    for group in groups:
        begin = _reach_back(sized, first, overlap)
        members = sized[begin : first + len(group)]
        start, end = members[0].start, members[-1].end
        chunks.append(
            Chunk(
                id=f"{document.id}#{start}-{end}",
                document=document.id,
                text=document.text[start:end],
                start=start,
                end=end,
                headings=_common([block.path for block in group]),
                tokens=sum(block.tokens for block in members),
            )
        )
        first += len(group)
    return chunks


def embedded_text(title: str, chunk: Chunk) -> str:
    """What is embedded and searched in full text: title, heading path and the chunk; a name the chunk begins with only once."""
    names = list(dict.fromkeys(name for name in (title, *chunk.headings) if name))
    head = chunk.text[:200]
    return "\n".join([" > ".join(name for name in names if name not in head), chunk.text]).lstrip("\n")


# --- blocks -------------------------------------------------------------------------------------------------------------


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
    lines = _lines(text)
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


def _lines(text: str) -> list[tuple[int, int]]:
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


# --- sizes --------------------------------------------------------------------------------------------------------------


def _counter(count_tokens: Callable[[str], int]) -> Callable[[str], int]:
    """Tokens of a text without the special ones that the embedder puts around it, so that blocks add up."""
    special = count_tokens("")
    return lambda text: max(count_tokens(text) - special, len(text) // _CHARACTERS_PER_TOKEN)


def _cut(text: str, block: Block, tokens: int, measure: Callable[[str], int]) -> list[Block]:
    """The block itself where it fits, else its parts: at line ends, then sentences, then words, then anywhere."""
    if block.tokens <= tokens:
        return [block]
    parts = [(block.start, block.end)]
    for boundary in (_line_parts, _sentence_parts):
        parts = [
            small for part in parts for small in ([part] if measure(text[slice(*part)]) <= tokens else boundary(text, *part))
        ]
    parts = [small for part in parts for small in _halves(text, *part, tokens, measure)]
    return [replace(block, start=start, end=end, tokens=measure(text[start:end])) for start, end in parts]


def _line_parts(text: str, start: int, end: int) -> list[tuple[int, int]]:
    return _trimmed(text, [(start + first, start + last) for first, last in _lines(text[start:end])])


def _sentence_parts(text: str, start: int, end: int) -> list[tuple[int, int]]:
    cuts = [start, *(start + match.end() for match in _SENTENCE.finditer(text[start:end])), end]
    return _trimmed(text, list(pairwise(cuts)))


def _halves(text: str, start: int, end: int, tokens: int, measure: Callable[[str], int]) -> list[tuple[int, int]]:
    if measure(text[start:end]) <= tokens or end - start < 2:
        return [(start, end)]
    middle = (start + end) // 2
    around = (text.rfind(" ", start + 1, middle), text.rfind("\n", start + 1, middle), text.find(" ", middle, end - 1))
    near = [at for at in around if start < at < end - 1]
    cut = min(near, key=lambda at: abs(at - middle)) + 1 if near else middle
    return [part for half in _trimmed(text, [(start, cut), (cut, end)]) for part in _halves(text, *half, tokens, measure)]


def _trimmed(text: str, parts: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Parts without blanks at their ends; blank parts fall away."""
    kept = []
    for start, end in parts:
        part = text[start:end]
        if part.strip():
            kept.append((start + len(part) - len(part.lstrip()), end - len(part) + len(part.rstrip())))
    return kept


# --- groups -------------------------------------------------------------------------------------------------------------


def _divide(parts: Sequence[Block], tokens: int) -> list[list[Block]]:
    """Runs of blocks, each of at most `tokens`: by the highest headings first, small neighbours joined again."""
    if not parts:
        return []
    if sum(block.tokens for block in parts) <= tokens:
        return [list(parts)]
    levels = [block.level for block in parts[1:] if block.level]
    if not levels:
        return _pack(parts, tokens)
    top = min(levels)
    cuts = [0, *(at for at, block in enumerate(parts) if at and block.level == top), len(parts)]
    divided: list[list[Block]] = []
    for begin, end in pairwise(cuts):
        section = _divide(parts[begin:end], tokens)
        if divided and len(section) == 1 and _size(divided[-1]) + _size(section[0]) <= tokens:
            divided[-1].extend(section[0])
        elif divided and _leads(divided[-1], section[0], tokens):
            divided[-1].extend(section[0])
            divided.extend(section[1:])
        else:
            divided.extend(section)
    return divided


def _pack(parts: Sequence[Block], tokens: int) -> list[list[Block]]:
    """Greedily in order."""
    packed: list[list[Block]] = [[]]
    for block in parts:
        current = packed[-1]
        if current and _size(current) + block.tokens > tokens and not _leads(current, [block], tokens):
            packed.append([])
        packed[-1].append(block)
    return packed


def _leads(headings: Sequence[Block], rest: Sequence[Block], tokens: int) -> bool:
    """Whether the first run is headings alone that may go with what follows."""
    return all(block.level for block in headings) and _size(headings) + _size(rest) <= tokens + tokens // 8


def _size(group: Sequence[Block]) -> int:
    return sum(block.tokens for block in group)


def _reach_back(parts: Sequence[Block], first: int, overlap: int) -> int:
    """Index of the earliest block before `first`, in the same section, that `overlap` tokens still reach."""
    begin = first
    while begin and parts[begin - 1].path == parts[first].path and not parts[begin].level:
        overlap -= parts[begin - 1].tokens
        if overlap < 0:
            break
        begin -= 1
    return begin


def _common(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    shared = paths[0]
    for path in paths[1:]:
        length = next((at for at, (a, b) in enumerate(zip(shared, path, strict=False)) if a != b), min(len(shared), len(path)))
        shared = shared[:length]
    return shared
