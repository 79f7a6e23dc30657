"""Text blocks as DOCX and XLSX files: plain Office Open XML (ECMA-376). Knows the formats; imports no library for them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from groundtune.company.blocks import Block

_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006"
_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_WRITTEN = (2026, 4, 1, 8, 0, 0)
"""The date inside every archive, so that the same text gives the same bytes."""


def docx_bytes(blocks: Sequence[Block], *, title: str) -> bytes:
    """A Word file with built-in heading and list styles."""
    body = "".join(_paragraphs(block) for block in blocks)
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="{id}"><w:name w:val="{name}"/><w:pPr><w:outlineLvl w:val="{level}"/></w:pPr>'
        f'<w:rPr><w:b/><w:sz w:val="{size}"/></w:rPr></w:style>'
        for id, name, level, size in (("Heading1", "heading 1", 0, 36), ("Heading2", "heading 2", 1, 28))
    )
    main = "application/vnd.openxmlformats-officedocument.wordprocessingml"
    return _archive(
        {"word/document.xml": f"{main}.document.main+xml", "word/styles.xml": f"{main}.styles+xml"},
        {
            "word/document.xml": f'<w:document xmlns:w="{_WORD}"><w:body>{body}</w:body></w:document>',
            "word/styles.xml": f'<w:styles xmlns:w="{_WORD}">{styles}</w:styles>',
            "word/_rels/document.xml.rels": _relations({"rId1": ("styles", "styles.xml")}),
        },
        title=title,
    )


def xlsx_bytes(blocks: Sequence[Block], *, title: str) -> bytes:
    """A workbook with a sheet for each table, named by the heading above it; other text is left out."""
    sheets: list[tuple[str, list[list[str]]]] = []
    heading = title
    for kind, value in blocks:
        if kind == "heading":
            heading = value
        elif kind == "table":
            sheets.append((heading[:31], value))
    main = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    types = {"xl/workbook.xml": f"{main}.sheet.main+xml"}
    relations = {f"rId{number}": ("worksheet", f"worksheets/sheet{number}.xml") for number in range(1, len(sheets) + 1)}
    named = "".join(
        f'<sheet name="{escape(name)}" sheetId="{number}" r:id="rId{number}"/>' for number, (name, _) in enumerate(sheets, 1)
    )
    parts = {
        "xl/workbook.xml": f'<workbook xmlns="{_SHEET}" xmlns:r="{_OFFICE}/relationships"><sheets>{named}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": _relations(relations),
    }
    for number, (_, rows) in enumerate(sheets, 1):
        types[f"xl/worksheets/sheet{number}.xml"] = f"{main}.worksheet+xml"
        written = "".join(_row(row, place) for place, row in enumerate(rows, 1))
        parts[f"xl/worksheets/sheet{number}.xml"] = f'<worksheet xmlns="{_SHEET}"><sheetData>{written}</sheetData></worksheet>'
    return _archive(types, parts, title=title)


def _paragraphs(block: Block) -> str:
    kind, value = block
    if kind in ("title", "heading"):
        style = "Heading1" if kind == "title" else "Heading2"
        return f'<w:p><w:pPr><w:pStyle w:val="{style}"/></w:pPr>{_run(value)}</w:p>'
    if kind == "table":
        rows = "".join(f"<w:tr>{''.join(f'<w:tc><w:p>{_run(cell)}</w:p></w:tc>' for cell in row)}</w:tr>" for row in value)
        return f'<w:tbl><w:tblPr><w:tblW w:w="0" w:type="auto"/></w:tblPr>{rows}</w:tbl><w:p/>'
    texts = value if kind == "items" else [value]
    return "".join(f"<w:p>{_run(text)}</w:p>" for text in texts)


def _run(text: str) -> str:
    return f'<w:r><w:t xml:space="preserve">{escape(text)}</w:t></w:r>'


def _row(cells: Sequence[str], number: int) -> str:
    written = "".join(
        f'<c r="{chr(65 + column)}{number}" t="inlineStr"><is><t>{escape(cell)}</t></is></c>'
        for column, cell in enumerate(cells)
    )
    return f'<row r="{number}">{written}</row>'


def _relations(targets: Mapping[str, tuple[str, str]]) -> str:
    lines = "".join(
        f'<Relationship Id="{id}" Type="{_OFFICE}/relationships/{kind}" Target="{target}"/>'
        for id, (kind, target) in targets.items()
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{lines}</Relationships>'


def _archive(types: Mapping[str, str], parts: Mapping[str, str], *, title: str) -> bytes:
    overrides = "".join(f'<Override PartName="/{name}" ContentType="{kind}"/>' for name, kind in types.items())
    main = next(iter(types))
    core = (
        f'<cp:coreProperties xmlns:cp="{_PACKAGE}/metadata/core-properties" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<dc:title>{escape(title)}</dc:title></cp:coreProperties>"
    )
    root = (
        f'<Relationship Id="rId1" Type="{_OFFICE}/relationships/officeDocument" Target="{main}"/>'
        f'<Relationship Id="rId2" Type="{_PACKAGE}/relationships/metadata/core-properties" Target="docProps/core.xml"/>'
    )
    files = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" ContentType='
        '"application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/docProps/core.xml" ContentType="application/vnd.openxmlformats-package.core-properties+xml"/>'
        f"{overrides}</Types>",
        "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">{root}</Relationships>',
        "docProps/core.xml": core,
        **parts,
    }
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, _WRITTEN), _HEAD + content)
    return result.getvalue()
