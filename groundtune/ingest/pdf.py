"""Pages of a PDF as words, rules and pictures, with pdfium. Knows the file format; knows nothing of paragraphs and tables."""

from __future__ import annotations

import ctypes
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Any

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from groundtune.ingest.containers import Budget, Inner, attempt, sections
from groundtune.ingest.converted import Converted, Options, Refused
from groundtune.ingest.geometry import HYPHENATED, Page, Rule, Word
from groundtune.ingest.layout import markdown
from groundtune.ingest.ocr import Reader

_RENDERED = 250 / 72  # pixels per point of a page that is read as a picture: below 250 dpi tesseract is less sure
_LARGEST = 5_000  # pixels of a picture's longer side
_OBJECTS = 20_000  # drawings beyond which a page is a map or a plot, whose lines are not looked at
_ASKED = 100  # letters of a page that are asked for their angle
_SEGMENTS = 200  # of one drawing
_EDGE = 0.1  # of the page's width, where turned words are a stamp
_THIN = 3.0  # points: a filled box no thicker than this is a line
_BROKEN = "\x02"  # what pdfium makes of a hyphen at the end of a line
_BOLD = re.compile(r"bold|black|heavy|semibold|-medi", re.I)
_TEX_FF = "\u21b5"
_TEX = (_TEX_FF, "\0")  # what pdfium makes of ff, and of ffi and ffl, in TeX's fonts that do not say what their signs mean
_JUNK_TITLE = re.compile(
    r"^microsoft \w+ - |\.(?:docx?|pptx?|xlsx?|pdf|indd|tex|dvi|rtf|odt)$|^untitled|^\(?anonymous\)?$", re.I
)
_LIGATURES = {"\ufb00": "ff", "\ufb01": "fi", "\ufb02": "fl", "\ufb03": "ffi", "\ufb04": "ffl", "\ufb05": "st", "\ufb06": "st"}


def read_pdf(data: bytes, *, options: Options, reader: Reader, budget: Budget, inner: Inner) -> Converted:
    """Text in reading order with headings, lists, tables and page starts; pages without text are read as pictures.

    Attached files follow the last page, a section each.

    Raises Refused: encrypted, truncated, damaged, empty, no OCR.
    """
    with closing(_opened(data, options.passwords)) as document:
        pages: list[Page] = []
        skipped: list[tuple[str, str, str]] = []
        for number in range(len(document)):
            try:
                pages.append(_page(document, number, reader))
            except Refused as refused:
                pages.append(Page(0, 0))
                skipped.append((f"page {number + 1}", refused.reason, refused.detail))
        text, starts = markdown(pages, outline=_outline(document))
        attached, more = sections([(name, attempt(unpack, name, inner)) for name, unpack in _attachments(document, budget)])
        skipped.extend(more)
        text = "\n\n".join(part for part in (text, attached) if part)
        if not text and skipped:
            raise Refused(*skipped[0][1:])
        title = " ".join(str(document.get_metadata_value("Title") or "").split())
        return Converted(text, "pdf", title="" if _JUNK_TITLE.search(title) else title, pages=starts, skipped=tuple(skipped))


def _opened(data: bytes, passwords: Sequence[str]) -> pdfium.PdfDocument:
    for password in (None, *passwords):
        try:
            return pdfium.PdfDocument(data, password=password)
        except pdfium.PdfiumError as error:
            if error.err_code != raw.FPDF_ERR_PASSWORD:
                reason = "damaged" if b"%%EOF" in data[-2048:] else "truncated"
                raise Refused(reason, f"pdfium cannot open it ({error})") from error
    raise Refused("encrypted", "it asks for a password" + (" and none of those given opens it" if passwords else ""))


def _page(document: pdfium.PdfDocument, number: int, reader: Reader) -> Page:
    try:
        page = document[number]
    except pdfium.PdfiumError as error:
        raise Refused("damaged", f"pdfium cannot open the page ({error})") from error
    with closing(page):
        with closing(page.get_textpage()) as text:
            place = _Placing(page, text)
            words = _stamps_last(list(_words(text, place)), *place.size)
        if words:
            return Page(*place.size, tuple(words), tuple(_rules(page, place)))
        if not any(True for _ in page.get_objects(max_depth=2)):
            return Page(*place.size)
        scale = min(_RENDERED, _LARGEST / max(*place.size, 1.0))
        bitmap = page.render(scale=scale, grayscale=True, may_draw_forms=False)
        with closing(bitmap):
            pixels = bytes(bitmap.buffer)
            picture = b"P5\n%d %d\n255\n" % (bitmap.width, bitmap.height) + b"".join(
                pixels[row * bitmap.stride : row * bitmap.stride + bitmap.width] for row in range(bitmap.height)
            )
        return reader.page(picture, "image/x-portable-graymap", sharp=True)


class _Placing:
    """From a page's own coordinates (points, upwards) to those of a reader of its text (points, downwards).

    What counts is the way most letters run, not the rotation that the page is shown with: scans often get that wrong.
    """

    def __init__(self, page: pdfium.PdfPage, text: pdfium.PdfTextPage) -> None:
        count = text.count_chars()
        step = max(1, count // _ASKED)
        angles = Counter(_quarter(text, at) for at in range(0, count, step))
        self.turned = 90 * angles.most_common(1)[0][0] if angles else 0
        self.left, self.bottom, self.right, self.top = page.get_cropbox()

    @property
    def size(self) -> tuple[float, float]:
        """Width and height as read."""
        width, height = self.right - self.left, self.top - self.bottom
        return (height, width) if self.turned in (90, 270) else (width, height)

    def point(self, x: float, y: float) -> tuple[float, float]:
        if self.turned == 90:
            return y - self.bottom, x - self.left
        if self.turned == 180:
            return self.right - x, y - self.bottom
        if self.turned == 270:
            return self.top - y, self.right - x
        return x - self.left, self.top - y

    def box(self, left: float, bottom: float, right: float, top: float) -> tuple[float, float, float, float]:
        """Left, top, right, bottom as seen."""
        (x0, y0), (x1, y1) = self.point(left, bottom), self.point(right, top)
        return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def _words(text: pdfium.PdfTextPage, place: _Placing) -> Iterator[Word]:
    """Words in the order of the content."""
    first, letters = 0, ""
    content = _letters(text)
    for at, letter in enumerate((*content, " ")):
        if letter.isprintable() and not letter.isspace():
            first = first if letters else at
            letters += letter
        elif letters:
            broken = letter in (_BROKEN, HYPHENATED)
            yield _word(text, place, letters + HYPHENATED * broken, first, at - 1)
            letters = ""


def _stamps_last(words: Sequence[Word], width: float, height: float) -> list[Word]:
    """The words with those that run up or down the page's edge as one line below all others."""
    edge = [word for word in words if word.turned and not _EDGE * width < (word.x0 + word.x1) / 2 < (1 - _EDGE) * width]
    if not edge or len(edge) > len(words) // 2:
        return list(words)
    line = " ".join(word.text for word in edge)
    size = min(word.x1 - word.x0 for word in edge)
    stamp = Word(line, 0.0, height, len(line) * size / 2, height + size)
    return [*(word for word in words if word not in edge), stamp]


def _letters(text: pdfium.PdfTextPage) -> list[str]:
    return spelled([chr(raw.FPDFText_GetUnicode(text, at)) for at in range(text.count_chars())], box=partial(_box, text))


def spelled(letters: Sequence[str], *, box: Callable[[int], object]) -> list[str]:
    """What each of pdfium's letters says; of ligatures all letters. `box`: where a letter stands, the same within one sign."""
    found = list(letters)
    at = 0
    while at < len(found):
        end = at + 1
        if _from_right(found[at]):  # pdfium turns round what a line says, and with it the letters of one sign
            while end < len(found) and _from_right(found[end]) and box(end) == box(at):
                end += 1
            found[at:end] = found[at:end][::-1]
        elif 0 < at < len(found) - 1 and found[at] in _TEX and _lower(found[at - 1]) and _lower(found[at + 1]):
            found[at] = "ff" if found[at] == _TEX_FF else "ffl" if found[at + 1] in "eiou" else "ffi"
        at = end
    return [_LIGATURES.get(letter, letter) for letter in found]


def _from_right(letter: str) -> bool:
    return unicodedata.bidirectional(letter) in ("R", "AL", "NSM")


def _lower(letter: str) -> bool:
    return letter.isascii() and letter.islower()


def _word(text: pdfium.PdfTextPage, place: _Placing, letters: str, first: int, last: int) -> Word:
    start, end = place.box(*_box(text, first)), place.box(*_box(text, last))
    matrix = raw.FS_MATRIX()
    raw.FPDFText_GetMatrix(text, first, ctypes.byref(matrix))
    name = ctypes.create_string_buffer(96)
    raw.FPDFText_GetFontInfo(text, first, name, 96, ctypes.byref(ctypes.c_int()))
    return Word(
        letters,
        min(start[0], end[0]),
        min(start[1], end[1]),
        max(start[2], end[2]),
        max(start[3], end[3]),
        size=raw.FPDFText_GetFontSize(text, first) * math.hypot(matrix.c, matrix.d),
        turned=90 * _quarter(text, first) != place.turned,
        bold=bool(_BOLD.search(name.value.decode("utf-8", "replace"))) or raw.FPDFText_GetFontWeight(text, first) >= 600,
    )


def _quarter(text: pdfium.PdfTextPage, at: int) -> int:
    """Quarter turns of a letter, 0-3."""
    return round(float(raw.FPDFText_GetCharAngle(text, at)) / (math.pi / 2)) % 4


def _box(text: pdfium.PdfTextPage, at: int) -> tuple[float, float, float, float]:
    found = raw.FS_RECTF()
    raw.FPDFText_GetLooseCharBox(text, at, ctypes.byref(found))
    return found.left, found.bottom, found.right, found.top


def _rules(page: pdfium.PdfPage, place: _Placing) -> Iterator[Rule]:
    """Horizontal and vertical lines, also those drawn as thin boxes or as the sides of boxes."""
    if raw.FPDFPage_CountObjects(page) > _OBJECTS:
        return
    for drawing in page.get_objects(filter=[raw.FPDF_PAGEOBJ_PATH], max_depth=1):
        left, bottom, right, top = drawing.get_bounds()
        if min(right - left, top - bottom) <= _THIN:
            yield from _rule(place.box(left, bottom, right, top))
            continue
        matrix = drawing.get_matrix()
        before = begun = (0.0, 0.0)
        for number in range(min(raw.FPDFPath_CountSegments(drawing), _SEGMENTS)):
            segment = raw.FPDFPath_GetPathSegment(drawing, number)
            x, y = ctypes.c_float(), ctypes.c_float()
            raw.FPDFPathSegment_GetPoint(segment, ctypes.byref(x), ctypes.byref(y))
            here: tuple[float, float] = matrix.on_point(x.value, y.value)
            kind = raw.FPDFPathSegment_GetType(segment)
            if kind == raw.FPDF_SEGMENT_BEZIERTO:
                break
            if kind == raw.FPDF_SEGMENT_MOVETO:
                begun = here
            elif kind == raw.FPDF_SEGMENT_LINETO:
                yield from _rule(place.box(*before, *here))
            if raw.FPDFPathSegment_GetClose(segment):
                yield from _rule(place.box(*here, *begun))
            before = here


def _rule(box: tuple[float, float, float, float]) -> Iterator[Rule]:
    x0, y0, x1, y1 = box
    if y1 - y0 <= _THIN < x1 - x0:
        yield Rule("across", (y0 + y1) / 2, x0, x1)
    elif x1 - x0 <= _THIN < y1 - y0:
        yield Rule("down", (x0 + x1) / 2, y0, y1)


def _attachments(document: pdfium.PdfDocument, budget: Budget) -> Iterator[tuple[str, Callable[[], bytes]]]:
    for number in range(document.count_attachments()):
        attachment = document.get_attachment(number)

        def unpack(attachment: pdfium.PdfAttachment = attachment) -> bytes:
            try:
                found = bytes(attachment.get_data())
            except pdfium.PdfiumError as error:
                raise Refused("damaged", f"pdfium cannot unpack it ({error})") from error
            budget.spend(len(found))
            return found

        yield str(attachment.get_name()) or f"attachment {number + 1}", unpack


def _outline(document: pdfium.PdfDocument) -> dict[str, int]:
    """Bookmark -> its depth, from 1."""
    found: dict[str, int] = {}
    try:
        for entry in document.get_toc(max_depth=6):
            title: Any = entry.get_title()
            found.setdefault(" ".join(str(title).split()).casefold(), entry.level + 1)
    except pdfium.PdfiumError:
        return {}
    return found
