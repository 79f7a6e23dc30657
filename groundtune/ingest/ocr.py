"""Pictures of text to words with tesseract, which comes inside kreuzberg; its language data does not. Knows no layout."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from groundtune.ingest.converted import Refused
from groundtune.ingest.geometry import HYPHENATED, Page, Segment, Word, level, segments

_FOLDERS = (
    "/usr/share/tesseract-ocr/5/tessdata",
    "/usr/share/tesseract-ocr/4.00/tessdata",
    "/usr/share/tessdata",
    "/usr/local/share/tessdata",
    "/opt/homebrew/share/tessdata",
    "C:/Program Files/Tesseract-OCR/tessdata",
)
_AS_IT_IS, _ENLARGED = 72, 150  # dots per inch; kreuzberg takes every picture for one of 72
_SURE = 30.0  # percent: words that tesseract is less sure of are specks
_COLUMN = 3  # lines that a column of a table has at least
_PARTED = re.compile(r"[^\W\d_]{2}-$")


def data_folder(languages: Sequence[str]) -> Path | None:
    """The folder that holds tesseract's data for all of `languages`; TESSDATA_PREFIX is looked at first."""
    folders = [os.environ["TESSDATA_PREFIX"]] if os.environ.get("TESSDATA_PREFIX") else []
    for folder in map(Path, (*folders, *_FOLDERS)):
        if languages and all((folder / f"{language}.traineddata").is_file() for language in languages):
            return folder
    return None


class Reader:
    """Reads pictures in the given languages."""

    def __init__(self, languages: Sequence[str]) -> None:
        self.languages = tuple(languages)

    def page(self, picture: bytes, mime: str, *, sharp: bool = False) -> Page:
        """Words in tesseract's reading order, one pixel a point. Raises Refused: no OCR, damaged.

        A picture that is not known to be `sharp` enough is enlarged first, which costs twice the time.
        """
        import kreuzberg

        if not self.languages:
            raise Refused("no OCR", "it is a picture of text, and reading pictures is switched off (ingest.languages)")
        folder = data_folder(self.languages)
        if folder is None:
            wanted = "+".join(self.languages)
            raise Refused("no OCR", f"it is a picture of text, and tesseract's data for {wanted} is not installed")
        os.environ["TESSDATA_PREFIX"] = str(folder)
        scaling = kreuzberg.ImagePreprocessingConfig(
            target_dpi=_AS_IT_IS if sharp else _ENLARGED, auto_rotate=False, deskew=False
        )
        tesseract = kreuzberg.TesseractConfig(
            output_format="tsv", psm=3, enable_table_detection=False, use_cache=False, preprocessing=scaling
        )
        config = kreuzberg.ExtractionConfig(
            output_format="plain",
            use_cache=False,
            enable_quality_processing=False,
            concurrency=kreuzberg.ConcurrencyConfig(max_threads=1),
            ocr=kreuzberg.OcrConfig(backend="tesseract", language="+".join(self.languages), tesseract_config=tesseract),
        )
        try:
            result = kreuzberg.extract_bytes_sync(picture, mime, config=config)
        except (kreuzberg.KreuzbergError, ValueError, RuntimeError, OSError) as error:
            raise Refused("damaged", f"the picture cannot be read ({str(error)[:200]})") from error
        return from_tsv(result.content)


def from_tsv(table: str) -> Page:
    """Tesseract's TSV: level, page, block, paragraph, line, word, left, top, width, height, confidence, text."""
    words: list[Word] = []
    width = height = 0.0
    line = ""
    for row in table.splitlines():
        cells = row.split("\t")
        if len(cells) < 11 or not cells[0].isdigit():
            continue
        x, y, w, h = (float(cell) for cell in cells[6:10])
        if cells[0] == "1":
            width, height = w, h
        elif cells[0] == "5" and len(cells) > 11 and cells[11].strip() and float(cells[10]) >= _SURE:
            block = 1_000 * int(cells[2]) + int(cells[3])
            if words and words[-1].block == block and line != cells[4] and _PARTED.search(words[-1].text):
                words[-1] = replace(words[-1], text=words[-1].text[:-1] + HYPHENATED)
            words.append(Word(cells[11].strip(), x, y, x + w, y + h, block=block))
            line = cells[4]
    return Page(width, height, tuple(_rows(words)))


def _rows(words: Sequence[Word]) -> list[Word]:
    """The words with columns of a table behind the rows that they belong to: tesseract takes them for blocks of their own."""
    rows: list[list[Segment]] = []
    for column in _stacked(segments(words)):
        beside = [
            next((row for row in reversed(rows) if len(row) > 1 and row[-1].x1 < one.x0 and level(row[-1], one)), None)
            for one in column
        ]
        if len(column) >= _COLUMN and None not in beside:
            for one, row in zip(column, beside, strict=True):
                assert row is not None
                block = row[0].words[0].block
                row.append(Segment(tuple(replace(word, block=block) for word in one.words)))
        else:
            for one in column:
                if rows and rows[-1][-1].x1 < one.x0 and level(rows[-1][-1], one):
                    rows[-1].append(one)
                else:
                    rows.append([one])
    return [word for row in rows for one in row for word in one.words]


def _stacked(found: Sequence[Segment]) -> list[list[Segment]]:
    """Runs of segments of which each lies below the one before it."""
    runs: list[list[Segment]] = []
    for one in found:
        above = runs[-1][-1] if runs else None
        if above and one.y0 > (above.y0 + above.y1) / 2 and one.x0 < above.x1 and one.x1 > above.x0:
            runs[-1].append(one)
        else:
            runs.append([one])
    return runs
