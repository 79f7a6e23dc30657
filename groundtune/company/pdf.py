"""Text blocks as a PDF file (ISO 32000-1) of A4 pages in Helvetica. Knows the format; imports no library for it.

Made for text extractors: the top margin is wide, because they take what stands near the upper edge for a running header, and
every sentence begins a line, because they take gaps that happen to stand below each other for the columns of a table.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from groundtune.company.blocks import Block

_WIDTH, _HEIGHT, _MARGIN, _TOP, _BOTTOM = 595, 842, 68, 84, 60
_SIZES = {"title": 18, "heading": 14}
_TEXT = 10
_WIDTHS = {"ijl.,:;'|!I ": 0.28, "ft()-r/": 0.33, "mwMW": 0.86, "ABCDEFGHKNOPQRSUVXYZ&": 0.72}
"""Width of letters as a share of the font's size, rounded up; others take `_WIDE`."""
_WIDE = 0.56
_SENTENCES = re.compile(r"(?<=[.!?]) ")


def pdf_bytes(blocks: Sequence[Block], *, title: str) -> bytes:
    """The blocks one below the other; the same blocks give the same bytes. Tables are for other formats."""
    pages: list[list[str]] = [[]]
    y = float(_HEIGHT - _TOP)
    for kind, value in blocks:
        size = _SIZES.get(kind, _TEXT)
        texts = [f"- {item}" for item in value] if kind == "items" else _SENTENCES.split(value)
        lines = [line for text in texts for line in _wrapped(text, size)]
        needed = len(lines) * size * 1.4 + (60 if kind in _SIZES else 0)
        if y - needed < _BOTTOM:
            pages.append([])
            y = _HEIGHT - _TOP
        for line in lines:
            pages[-1].append(f"BT /{'F2' if kind in _SIZES else 'F1'} {size} Tf {_MARGIN} {y:.1f} Td ({_escaped(line)}) Tj ET")
            y -= size * 1.4
        y -= 8
    return _file(["\n".join(page) for page in pages], title=title)


def _wrapped(text: str, size: int) -> list[str]:
    lines, line, used = [], "", 0.0
    for word in text.split():
        width = size * (_em(word) + 0.28)
        if line and used + width > _WIDTH - 2 * _MARGIN:
            lines.append(line)
            line, used = "", 0.0
        line = f"{line} {word}".strip()
        used += width
    return [*lines, line]


def _em(word: str) -> float:
    return sum(next((width for letters, width in _WIDTHS.items() if letter in letters), _WIDE) for letter in word)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")


def _file(contents: Sequence[str], *, title: str) -> bytes:
    count = len(contents)
    pages = [f"{5 + 2 * number} 0 R" for number in range(count)]
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Count {count} /Kids [{' '.join(pages)}] >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>",
    ]
    for number, content in enumerate(contents):
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {_WIDTH} {_HEIGHT}] /Contents {6 + 2 * number} 0 R "
            "/Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> >>",
            f"<< /Length {len(content.encode('cp1252'))} >>\nstream\n{content}\nendstream",
        ]
    objects.append(f"<< /Title ({_escaped(title)}) >>")
    result = bytearray(b"%PDF-1.4\n")
    places = []
    for number, content in enumerate(objects, start=1):
        places.append(len(result))
        result += f"{number} 0 obj\n{content}\nendobj\n".encode("cp1252")
    start = len(result)
    result += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    result += "".join(f"{place:010d} 00000 n \n" for place in places).encode()
    result += (
        f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R /Info {len(objects)} 0 R >>\nstartxref\n{start}\n%%EOF\n".encode()
    )
    return bytes(result)
