"""A document's Markdown to chunks with exact offsets, in several ways. Knows blocks and pages; is given what counts tokens."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, pairwise
from typing import Final, Literal

from groundtune.ingest.blocks import Block, blocks, lines_of
from groundtune.types import Chunk, Document

CHUNK_VERSION: Final = 2
"""Raise it when the same document may give other chunks, or the same chunk another text to embed."""

Method = Literal["recursive", "fixed", "sentence", "page", "table", "parent"]

_SENTENCE = re.compile(r"(?<=[.!?;])[ \t\r\n]+|(?<=[。！？；])")
_WORD = re.compile(r"\S+")
_CHARACTERS_PER_TOKEN = 16
"""A tokenizer may read a huge word as one unknown token; a token never counts for more characters than this."""


def chunk(
    document: Document,
    *,
    tokens: int,
    count_tokens: Callable[[str], int],
    overlap: int = 0,
    method: Method = "recursive",
    parent_tokens: int = 0,
) -> list[Chunk]:
    """Spans of `document`, in order, that together hold all of its text that is not blank.

    `recursive`: a section that fits into `tokens` is never divided; a larger one is divided at its highest headings, then
    between blocks (paragraphs, lists, tables, code), then lines, sentences and words; neighbouring small parts are joined again
    as long as they fit. A heading stays with what follows it, where both together take at most an eighth more. `table`: so too,
    but a table never shares a chunk with anything but the heading above it. `page`: so too, but no chunk holds text of two
    pages. `parent`: parts of at most `parent_tokens` are divided so, and no chunk reaches across two of them. `sentence`: whole
    sentences until `tokens` are reached. `fixed`: words until they are reached, whatever they are.

    With `overlap`, a chunk also begins with up to that many tokens of the text before it, of the same section but for `fixed`.
    """
    measure = _counter(count_tokens)
    text = document.text
    found = list(blocks(text))
    units: Iterable[Block]
    if method == "fixed":
        units = _words(text, found)
    elif method == "sentence":
        units = _sentences(text, found)
    else:
        units = _within(text, found, document.pages if method == "page" else ())
    sized = [part for unit in units for part in _cut(text, _measured(text, unit, measure), tokens, measure)]
    groups = _grouped(sized, document, tokens=tokens, method=method, parent_tokens=parent_tokens)
    chunks = []
    first = 0
    for group in groups:
        begin = _reach_back(sized, first, overlap, anywhere=method == "fixed")
        chunks.append(_chunk(document, sized[begin : first + len(group)], paths=[block.path for block in group]))
        first += len(group)
    return chunks


def parents(document: Document, *, tokens: int, parent_tokens: int, count_tokens: Callable[[str], int]) -> list[Chunk]:
    """The parts that the chunks of `parent` are divided from, in order: what is given where one of its chunks was found."""
    measure = _counter(count_tokens)
    sized = [
        part
        for block in blocks(document.text)
        for part in _cut(document.text, _measured(document.text, block, measure), tokens, measure)
    ]
    return [_chunk(document, group, paths=[block.path for block in group]) for group in _divide(sized, parent_tokens)]


def embedded_text(title: str, chunk: Chunk, *, context: str = "") -> str:
    """What is embedded and searched in full text: title, heading path, context, chunk; a name that it begins with only once."""
    names = list(dict.fromkeys(name for name in (title, *chunk.headings) if name))
    head = chunk.text[:200]
    lines = [" > ".join(name for name in names if name not in head), context, chunk.text]
    return "\n".join(line for line in lines if line)


def table_heads(document: Document, chunks: Sequence[Chunk]) -> dict[str, str]:
    """Chunk id -> the head of the table that the chunk begins within, which stands in an earlier chunk."""
    tables = [block for block in blocks(document.text) if block.whole and document.text.startswith("|", block.start)]
    starts = [table.start for table in tables]
    heads = {}
    for one in chunks:
        at = bisect_right(starts, one.start) - 1
        if at >= 0 and tables[at].start < one.start < tables[at].end:
            heads[one.id] = document.text[tables[at].start : tables[at].end].split("\n", 1)[0]
    return heads


def _chunk(document: Document, members: Sequence[Block], *, paths: Sequence[tuple[str, ...]]) -> Chunk:
    start, end = members[0].start, members[-1].end
    return Chunk(
        id=f"{document.id}#{start}-{end}",
        document=document.id,
        text=document.text[start:end],
        start=start,
        end=end,
        headings=_common(paths),
        tokens=_size(members),
    )


# --- units --------------------------------------------------------------------------------------------------------------


def _words(text: str, found: Sequence[Block]) -> Iterator[Block]:
    for block in found:
        for word in _WORD.finditer(text, block.start, block.end):
            yield replace(block, start=word.start(), end=word.end(), level=0)


def _sentences(text: str, found: Sequence[Block]) -> Iterator[Block]:
    for block in found:
        for start, end in _sentence_parts(text, block.start, block.end):
            yield replace(block, start=start, end=end)


def _within(text: str, found: Sequence[Block], pages: Sequence[int]) -> Iterator[Block]:
    """Blocks, parted where a page begins within one."""
    for block in found:
        cuts = [block.start, *(at for at in pages if block.start < at < block.end), block.end]
        for start, end in _trimmed(text, list(pairwise(cuts))):
            yield replace(block, start=start, end=end)


def _grouped(
    sized: Sequence[Block], document: Document, *, tokens: int, method: Method, parent_tokens: int
) -> list[list[Block]]:
    """Runs of parts that become one chunk each."""
    if method in ("fixed", "sentence"):
        return [group for group in _pack(sized, tokens) if group]
    if method == "parent":
        return [group for parent in _divide(sized, max(parent_tokens, tokens)) for group in _divide(parent, tokens)]
    if method == "page":
        by_page = groupby(sized, key=lambda block: bisect_right(document.pages, block.start))
        return [group for _, page in by_page for group in _divide(list(page), tokens)]
    if method == "table":
        return _tables_apart(sized, document.text, tokens)
    return _divide(sized, tokens)


def _tables_apart(sized: Sequence[Block], text: str, tokens: int) -> list[list[Block]]:
    """Tables by themselves, each under the headings right above it."""
    divided: list[list[Block]] = []
    above: list[Block] = []
    for is_table, run in groupby(sized, key=lambda block: block.whole and text.startswith("|", block.start)):
        parts = list(run)
        if is_table:
            groups = _pack([*above, *parts], tokens)
            above = []
        else:
            last = next((at for at in range(len(parts), 0, -1) if not parts[at - 1].level), 0)
            groups, above = _divide(parts[:last], tokens), parts[last:]
        divided.extend(groups)
    return [*divided, *_divide(above, tokens)]


# --- sizes --------------------------------------------------------------------------------------------------------------


def _counter(count_tokens: Callable[[str], int]) -> Callable[[str], int]:
    """Tokens of a text without the special ones that the embedder puts around it, so that blocks add up."""
    special = count_tokens("")
    return lambda text: max(count_tokens(text) - special, len(text) // _CHARACTERS_PER_TOKEN)


def _measured(text: str, block: Block, measure: Callable[[str], int]) -> Block:
    return replace(block, tokens=measure(text[block.start : block.end]))


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
    return _trimmed(text, [(start + first, start + last) for first, last in lines_of(text[start:end])])


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
    size = 0
    for block in parts:
        current = packed[-1]
        if current and size + block.tokens > tokens and not _leads(current, [block], tokens):
            packed.append([])
            size = 0
        packed[-1].append(block)
        size += block.tokens
    return packed


def _leads(headings: Sequence[Block], rest: Sequence[Block], tokens: int) -> bool:
    """Whether the first run is headings alone that may go with what follows."""
    return all(block.level for block in headings) and _size(headings) + _size(rest) <= tokens + tokens // 8


def _size(group: Sequence[Block]) -> int:
    return sum(block.tokens for block in group)


def _reach_back(parts: Sequence[Block], first: int, overlap: int, *, anywhere: bool = False) -> int:
    """Index of the earliest block before `first`, in the same section or `anywhere`, that `overlap` tokens still reach."""
    begin = first
    while begin and (anywhere or (parts[begin - 1].path == parts[first].path and not parts[begin].level)):
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
