"""The little Markdown in which documents are written, as blocks. Knows lines; knows no file format."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

Block = tuple[Literal["title", "heading", "text", "items", "table"], Any]


def read_blocks(text: str) -> Iterator[Block]:
    """Blocks of a text made of `#`, `##`, one-line paragraphs, `- ` items and tables, parted by blank lines.

    The value is a string for title, heading and text, a list of strings for items, and a list of rows for a table.
    """
    for part in re.split(r"\n\s*\n", text.strip()):
        lines = part.strip().splitlines()
        if part.startswith("# "):
            yield "title", part[2:].strip()
        elif part.startswith("## "):
            yield "heading", part[3:].strip()
        elif part.startswith("- "):
            yield "items", [line.removeprefix("- ").strip() for line in lines]
        elif part.startswith("|"):
            rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
            yield "table", [row for row in rows if not all(set(cell) <= {"-"} for cell in row)]
        else:
            yield "text", " ".join(line.strip() for line in lines)
