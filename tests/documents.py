"""Documents of many formats made on the spot, small and valid, so that tests need no files of anybody else's."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from itertools import pairwise

from fpdf import FPDF

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_KINDS = {
    "docx": ("word/document.xml", "wordprocessingml.document"),
    "pptx": ("ppt/presentation.xml", "presentationml.presentation"),
    "xlsx": ("xl/workbook.xml", "spreadsheetml.sheet"),
}


def packed(parts: Mapping[str, str | bytes], *, stored: Sequence[str] = ()) -> bytes:
    """A ZIP file."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content, compress_type=zipfile.ZIP_STORED if name in stored else None)
    return data.getvalue()


def _office(kind: str, parts: Mapping[str, str | bytes], *, types: Mapping[str, str]) -> bytes:
    main, name = _KINDS[kind]
    overrides = "".join(
        f'<Override PartName="/{part}" ContentType="application/vnd.openxmlformats-officedocument.{mime}+xml"/>'
        for part, mime in {main: f"{name}.main", **types}.items()
    )
    head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    return packed(
        {
            "[Content_Types].xml": f'{head}<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Default Extension="xml" ContentType="application/xml"/>{overrides}</Types>',
            "_rels/.rels": f'{head}<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r1" Target="{main}" '
            f'Type="{_RELATION}/officeDocument"/></Relationships>',
            **parts,
        }
    )


def docx(text: str, *, extra: Mapping[str, bytes] | None = None) -> bytes:
    body = f'<w:document xmlns:w="{WORD}"><w:body><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:body></w:document>'
    return _office("docx", {"word/document.xml": body, **(extra or {})}, types={})


def pptx(slides: Sequence[Sequence[str]]) -> bytes:
    """Each slide: a title and further lines."""
    a, p = "http://schemas.openxmlformats.org/drawingml/2006/main", "http://schemas.openxmlformats.org/presentationml/2006/main"
    parts: dict[str, str | bytes] = {}
    for number, (title, *lines) in enumerate(slides, start=1):
        shapes = "".join(
            f'<p:sp><p:nvSpPr><p:cNvPr id="{at + 2}" name="s{at}"/><p:cNvSpPr/><p:nvPr>'
            f"{'<p:ph type=' + chr(34) + 'title' + chr(34) + '/>' if not at else ''}</p:nvPr></p:nvSpPr><p:spPr/>"
            f"<p:txBody><a:bodyPr/><a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:txBody></p:sp>"
            for at, text in enumerate((title, *lines))
        )
        parts[f"ppt/slides/slide{number}.xml"] = (
            f'<p:sld xmlns:a="{a}" xmlns:p="{p}" xmlns:r="{_RELATION}"><p:cSld><p:spTree><p:nvGrpSpPr><p:cNvPr id="1" name=""/>'
            f"<p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr><p:grpSpPr/>{shapes}</p:spTree></p:cSld></p:sld>"
        )
    ids = "".join(f'<p:sldId id="{255 + n}" r:id="r{n}"/>' for n in range(1, len(slides) + 1))
    links = "".join(
        f'<Relationship Id="r{n}" Target="slides/slide{n}.xml" Type="{_RELATION}/slide"/>' for n in range(1, len(slides) + 1)
    )
    parts["ppt/presentation.xml"] = (
        f'<p:presentation xmlns:a="{a}" xmlns:p="{p}" xmlns:r="{_RELATION}"><p:sldIdLst>{ids}</p:sldIdLst></p:presentation>'
    )
    parts["ppt/_rels/presentation.xml.rels"] = f'<Relationships xmlns="{_PACKAGE}/relationships">{links}</Relationships>'
    types = {f"ppt/slides/slide{n}.xml": "presentationml.slide" for n in range(1, len(slides) + 1)}
    return _office("pptx", parts, types=types)


def xlsx(sheets: Mapping[str, Sequence[Sequence[str]]]) -> bytes:
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    parts: dict[str, str | bytes] = {}
    for number, rows in enumerate(sheets.values(), start=1):
        cells = "".join(
            f'<row r="{r}">'
            + "".join(
                f'<c r="{chr(64 + c)}{r}" t="inlineStr"><is><t>{value}</t></is></c>' for c, value in enumerate(row, start=1)
            )
            + "</row>"
            for r, row in enumerate(rows, start=1)
        )
        parts[f"xl/worksheets/sheet{number}.xml"] = f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>'
    names = "".join(f'<sheet name="{name}" sheetId="{n}" r:id="r{n}"/>' for n, name in enumerate(sheets, start=1))
    links = "".join(
        f'<Relationship Id="r{n}" Target="worksheets/sheet{n}.xml" Type="{_RELATION}/worksheet"/>'
        for n in range(1, len(sheets) + 1)
    )
    parts["xl/workbook.xml"] = f'<workbook xmlns="{main}" xmlns:r="{_RELATION}"><sheets>{names}</sheets></workbook>'
    parts["xl/_rels/workbook.xml.rels"] = f'<Relationships xmlns="{_PACKAGE}/relationships">{links}</Relationships>'
    types = {f"xl/worksheets/sheet{n}.xml": "spreadsheetml.worksheet" for n in range(1, len(sheets) + 1)}
    return _office("xlsx", parts, types=types)


def odt(heading: str, text: str) -> bytes:
    office, words = "urn:oasis:names:tc:opendocument:xmlns:office:1.0", "urn:oasis:names:tc:opendocument:xmlns:text:1.0"
    mime = "application/vnd.oasis.opendocument.text"
    body = f'<text:h text:outline-level="1">{heading}</text:h><text:p>{text}</text:p>'
    return packed(
        {
            "mimetype": mime,
            "content.xml": f'<office:document-content xmlns:office="{office}" xmlns:text="{words}"><office:body><office:text>'
            f"{body}</office:text></office:body></office:document-content>",
            "META-INF/manifest.xml": '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
            f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{mime}"/></manifest:manifest>',
        },
        stored=["mimetype"],
    )


def epub(title: str, chapters: Mapping[str, str]) -> bytes:
    files = {f"c{n}.xhtml": item for n, item in enumerate(chapters.items(), start=1)}
    manifest = "".join(f'<item id="{name[:-6]}" href="{name}" media-type="application/xhtml+xml"/>' for name in files)
    spine = "".join(f'<itemref idref="{name[:-6]}"/>' for name in files)
    return packed(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
            '<rootfiles><rootfile full-path="book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>',
            "book.opf": '<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id">'
            f'<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title></metadata>'
            f"<manifest>{manifest}</manifest><spine>{spine}</spine></package>",
            **{
                name: f'<html xmlns="http://www.w3.org/1999/xhtml"><head><title>x</title></head><body><h1>{heading}</h1>'
                f"<p>{text}</p></body></html>"
                for name, (heading, text) in files.items()
            },
        },
        stored=["mimetype"],
    )


def rtf(text: str) -> bytes:
    return f"{{\\rtf1\\ansi\\deff0 {{\\fonttbl {{\\f0 Arial;}}}} \\f0\\fs24 {text}\\par}}".encode()


def message(subject: str, text: str, attachments: Mapping[str, bytes] | None = None) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "ann@example.com", "ben@example.com", subject
    mail["Date"] = "Mon, 02 Jun 2025 10:00:00 +0000"
    mail.set_content(text)
    for name, data in (attachments or {}).items():
        mail.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    return mail


def mbox(messages: Sequence[EmailMessage]) -> bytes:
    return b"\n".join(b"From ann@example.com Mon Jun  2 10:00:00 2025\n" + one.as_bytes() for one in messages)


def png(width: int, height: int, pixels: bytes) -> bytes:
    """An 8-bit grey picture."""

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + pixels[start:end] for start, end in pairwise(range(0, len(pixels) + 1, width)))
    head = part(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")


# --- PDF ----------------------------------------------------------------------------------------------------------------

Content = Sequence[tuple[str, object]]
"""What stands on a page: ("h1" or "h2", text), ("text", text), ("list", items), ("table", rows), ("columns", rows)."""


def pdf(pages: Sequence[Content], *, password: str = "", footer: str = "") -> bytes:
    """`table` is drawn with lines, `columns` without. `footer` stands on every page with its number."""
    made = FPDF(format="A4")
    made.set_margin(20)
    made.set_auto_page_break(False)
    if password:
        made.set_encryption(owner_password=password + "!", user_password=password)
    for number, page in enumerate(pages, start=1):
        made.add_page()
        for kind, content in page:
            _put(made, kind, content)
        if footer:
            made.set_y(-15)
            made.set_font("helvetica", size=8)
            made.cell(text=f"{footer} {number}")
    return bytes(made.output())


def _put(made: FPDF, kind: str, content: object) -> None:
    if kind in ("h1", "h2"):
        made.set_font("helvetica", style="B", size=20 if kind == "h1" else 14)
        made.multi_cell(0, 12, str(content), new_x="LMARGIN", new_y="NEXT")
        return
    made.set_font("helvetica", size=11)
    if kind == "text":
        made.multi_cell(0, 6, str(content), new_x="LMARGIN", new_y="NEXT")
    elif kind == "list":
        for item in content if isinstance(content, list) else []:
            made.multi_cell(0, 6, f"- {item}", new_x="LMARGIN", new_y="NEXT")
    elif kind == "table" and isinstance(content, list):
        with made.table(content):
            pass
    elif isinstance(content, list):
        for row in content:
            for cell in row:
                made.cell(45, 7, str(cell))
            made.ln()
    made.ln(4)
