"""The bare text of Word and PowerPoint files whose structure the parser refuses. Knows their XML; keeps no tables."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from xml.etree import ElementTree

from groundtune.ingest.converted import Converted, Refused, join_pages

_PARTS = {"docx": re.compile(r"word/document\.xml"), "pptx": re.compile(r"ppt/slides/slide(\d+)\.xml")}
SALVAGED = tuple(_PARTS)
_BREAKS = {"br": "\n", "tab": " ", "cr": "\n"}


def salvage(data: bytes, format: str, *, why: str) -> Converted:
    """Paragraphs in the order of the file, slides as pages; `why` the parser refused stands in `skipped`. Raises Refused."""
    texts = []
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            found = {name: match for name in archive.namelist() if (match := _PARTS[format].fullmatch(name))}
            for name in sorted(found, key=lambda name: int(found[name][1]) if found[name].groups() else 0):
                texts.append("\n\n".join(_paragraphs(archive.read(name))))
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, ValueError, ElementTree.ParseError) as error:
        raise Refused("damaged", f"{why}; its text cannot be salvaged either ({error})") from error
    text, pages = join_pages(texts)
    if not text:
        raise Refused("damaged", why)
    skipped = (("layout", "damaged", f"only its bare text was read: {why}"),)
    return Converted(text, format, pages=pages if format == "pptx" else (), skipped=skipped)


def _paragraphs(part: bytes) -> Iterator[str]:
    if b"<!DOCTYPE" in part or b"<!ENTITY" in part:  # no Office program writes one; entities may grow without end
        raise ValueError("a document type declaration stands in it")
    words: list[str] = []
    for _, element in ElementTree.iterparse(io.BytesIO(part)):  # noqa: S314 - without declarations nothing expands
        name = element.tag.rpartition("}")[2]
        if name == "t":
            words.append(element.text or "")
        elif name in _BREAKS:
            words.append(_BREAKS[name])
        elif name == "p":
            text = "".join(words).strip()
            words = []
            if text:
                yield text
        element.clear()
