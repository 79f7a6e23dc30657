"""What the child makes of a document: Markdown with its pages, or a refusal by name. Knows no format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class Refused(Exception):
    """A named reason (a key of `groundtune.ingest.parse.REMEDIES`) and what was seen."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


class Exceeded(Refused):
    """A limit on all parts together, or a full disk: the whole document is refused, not one part."""


@dataclass(frozen=True, slots=True)
class Options:
    """What reading may take and use; the same for a document and for the parts inside it."""

    output: int = 20_000_000
    """Characters of Markdown."""
    unpacked: int = 256 << 20
    """Bytes that all parts of one document may take when unpacked."""
    nesting: int = 3
    """Containers within containers: 1 reads an archive's files, 2 those of an archive within it."""
    parts: int = 2_000
    """Files, messages and attachments in one document, at all depths together."""
    languages: tuple[str, ...] = ("eng",)
    """Tesseract's names of the languages in scans and pictures; none: they are not read."""
    passwords: tuple[str, ...] = ()
    """Tried in order on what is protected."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A document, or one part of it."""

    text: str
    """Markdown."""
    format: str
    title: str = ""
    """What the document calls itself; empty when it does not say."""
    encoding: str = ""
    """Of plain text."""
    pages: tuple[int, ...] = ()
    """Offset at which each page, slide or sheet begins, the first at 0; empty where the format has none."""
    skipped: tuple[tuple[str, str, str], ...] = ()
    """(part, reason, detail) of what could not be read inside it."""


def join_pages(texts: Sequence[str]) -> tuple[str, tuple[int, ...]]:
    """Pages as one text with a blank line between them, and where each begins; an empty one holds nothing."""
    joined = ""
    starts = []
    for text in (text.strip() for text in texts):
        if joined and text:
            joined += "\n\n"
        starts.append(len(joined))
        joined += text
    return joined, tuple(starts)
