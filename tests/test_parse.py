"""Parsing: exact plain text, content over name, named reasons, and a child process that is limited and replaced."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundtune.errors import BadDocument, DataError, WorkspaceError
from groundtune.ingest import worker
from groundtune.ingest.converted import Options
from groundtune.ingest.detect import decode, detect
from groundtune.ingest.parse import LASTING, REMEDIES, Limits, Parser, parse

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/word/document.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
RELATIONS = (
    '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r1" Target="word/document.xml" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"/></Relationships>'
)


def docx(text: str, *, extra: dict[str, bytes] | None = None) -> bytes:
    body = f'<w:document xmlns:w="{WORD}"><w:body><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:body></w:document>'
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", TYPES)
        archive.writestr("_rels/.rels", RELATIONS)
        archive.writestr("word/document.xml", body)
        for name, data in (extra or {}).items():
            archive.writestr(name, data)
    return packed.getvalue()


def pdf(text: str, *, trailer: bytes = b"") -> bytes:
    stream = f"BT /F1 24 Tf 72 700 Td ({text}) Tj ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    data, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"xref\n0 6\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % place for place in places)
    return data + table + b"trailer\n<< /Size 6 /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n" % (trailer, len(data))


@pytest.fixture(scope="module")
def parser() -> Iterator[Parser]:
    with Parser() as shared:
        yield shared


def reason(parser: Parser, data: bytes, name: str) -> str:
    with pytest.raises(BadDocument) as caught:
        parser.parse_bytes(data, id=name)
    assert caught.value.subject == name
    assert caught.value.remedy == REMEDIES[caught.value.reason]
    assert isinstance(caught.value, DataError)
    return caught.value.reason


@given(text=st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1).filter(str.strip))
def test_plain_text_comes_out_character_for_character(text: str) -> None:
    with Parser() as fresh:
        assert fresh.parse_bytes(text.encode(), id="a.md").text == text.removeprefix("\ufeff")


def test_line_ends_and_blanks_stay_and_the_mark_goes(parser: Parser) -> None:
    text = "# Title\r\n\r\n  indented\t\r\nend  \n\n"
    found = parser.parse_bytes(b"\xef\xbb\xbf" + text.encode(), id="a.txt")
    assert (found.text, found.title, found.format) == (text, "Title", "text")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Ärger über Öl, naïve café – “quoted”", "cp1252"),
        ("Straße nach Köln\nund zurück", "utf-16"),
        ("Привет, как дела? Это документ о работе отдела.", "cp1251"),
        ("名前,年齢,住所\n佐藤太郎,30,東京都\n三木,20,大阪市\n", "cp932"),
    ],
)
def test_other_encodings_are_detected(text: str, encoding: str) -> None:
    found = decode(text.encode(encoding))
    assert found is not None
    assert found[0] == text


@pytest.mark.parametrize("size", [100, 5000])
def test_binary_data_is_no_text(size: int) -> None:
    assert decode(bytes(range(256)) * (size // 100)) is None
    assert decode(b"\x00\x01abc\x02def") is None


def test_content_decides_and_not_the_name(parser: Parser) -> None:
    page = "<!doctype html><html><head><title>The &amp; page</title></head><body><h1>Big</h1><p>Some text.</p></body></html>"
    found = parser.parse_bytes(page.encode(), id="page.pdf")
    assert (found.format, found.title) == ("html", "The & page")
    assert "# Big" in found.text
    assert found.text.count("The") == 0
    assert parser.parse_bytes(docx("Hello from Word"), id="letter.pdf").text.strip() == "Hello from Word"
    assert parser.parse_bytes(pdf("Hello from PDF"), id="letter.docx").text.strip() == "Hello from PDF"
    assert detect(b"# a <b>\n", name="a.md").format == "md"
    assert detect(b"a,b\n1,2\n", name="a.csv").format == "csv"
    assert parser.parse_bytes(b"a,b\n1,2\n", id="a.csv").text.startswith("| a | b |")


def test_pages_keep_their_encoding(parser: Parser) -> None:
    page = "<html><head><meta charset='utf-16'></head><body><p>Grüße aus Köln</p></body></html>"
    assert "Grüße aus Köln" in parser.parse_bytes(page.encode("utf-16"), id="a.html").text


def test_titles(parser: Parser) -> None:
    front = '---\ntitle: "From the front"\n---\n\n# Heading\n'
    assert parser.parse_bytes(front.encode(), id="a.md").title == "From the front"
    assert parser.parse_bytes(b"text\n\n## Heading ##\n", id="a.md").title == "Heading"
    assert parser.parse_bytes(b"only text", id="sub/the name.md").title == "the name"


def test_every_failure_has_a_named_reason(parser: Parser) -> None:
    torn = pdf("Hello")[:300]
    whole = docx("Hello")
    locked = bytearray(whole)
    for signature in (b"PK\x03\x04", b"PK\x01\x02"):  # set the encryption bit of the first part
        locked[locked.find(signature) + (6 if signature == b"PK\x03\x04" else 8)] |= 1
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("../../evil.txt", "escape")
    office = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512) + "EncryptedPackage".encode("utf-16-le")
    assert reason(parser, b"", "a.docx") == "empty"
    assert reason(parser, b" \n\t ", "a.md") == "empty"
    assert reason(parser, torn, "a.pdf") == "truncated"
    assert reason(parser, whole[: len(whole) // 2], "a.docx") == "truncated"
    assert reason(parser, bytes(locked), "a.docx") == "encrypted"
    assert reason(parser, office, "a.docx") == "encrypted"
    assert reason(parser, archive.getvalue()[:-30], "a.zip") == "truncated"
    assert reason(parser, bytes(range(256)) * 9, "a.bin") == "unsupported"
    assert (
        reason(parser, b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "a.pdf") == "placeholder"
    )
    assert reason(parser, docx("x", extra={"word/media/a": bytes(50 << 20)}), "a.docx") == "too large"


def test_limits_are_kept(tmp_path: Path) -> None:
    with Parser(Limits(input=10, options=Options(output=5))) as small:
        assert reason(small, b"x" * 11, "a.md") == "too large"
        assert reason(small, b"x" * 6, "a.md") == "too large"
        big = tmp_path / "big.md"
        big.write_bytes(b"x" * 11)
        with pytest.raises(BadDocument, match="too large"):
            small.parse(big, id="big.md")
    with Parser(Limits(options=Options(output=10))) as short:
        assert reason(short, docx("x" * 11), "a.docx") == "too large"
    with Parser(Limits(memory=200 << 20)) as poor:  # the libraries alone take most of it
        assert reason(poor, docx("x" * (9 << 20)), "a.docx") == "out of memory"


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadDocument, match="unreadable"):
        parse(tmp_path / "absent.md", id="absent.md")


def test_the_child_is_reused_and_replaced_when_it_died() -> None:
    with Parser() as parser:
        parser.parse_bytes(docx("one"), id="a.docx")
        child = parser._child
        assert child is not None
        assert parser.parse_bytes(docx("two"), id="b.docx").text.strip() == "two"
        assert parser._child is child
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        assert parser.parse_bytes(docx("three"), id="c.docx").text.strip() == "three"
    assert parser._child is None


def test_a_parent_that_holds_much_does_not_wear_out_the_child() -> None:
    held = b"x" * (400 << 20)
    with Parser() as parser:
        parser.parse_bytes(docx("one"), id="a.docx")
        assert parser._child is not None
    assert len(held) == 400 << 20


def test_a_child_that_hangs_is_ended(parser: Parser) -> None:
    with Parser(Limits(seconds=1)) as hurried:
        hurried.parse_bytes(docx("warm"), id="a.docx")
        child = hurried._child
        assert child is not None
        os.kill(child.pid, signal.SIGSTOP)
        assert reason(hurried, docx("never"), "b.docx") == "timed out"
        assert child.returncode == -signal.SIGKILL
        assert hurried.parse_bytes(docx("again"), id="c.docx").text.strip() == "again"


def ends_by(monkeypatch: pytest.MonkeyPatch, number: signal.Signals, *, times: int) -> None:
    """So many children get a signal from outside before they answer."""
    start, left = Parser._start, [times]

    def started(self: Parser) -> subprocess.Popen[bytes]:
        child = start(self)
        left[0] -= 1
        if left[0] >= 0:
            os.kill(child.pid, number)
            child.wait()
        return child

    monkeypatch.setattr(Parser, "_start", started)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_child_that_is_ended_from_outside_does_not_damn_its_document(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    ends_by(monkeypatch, number, times=1)
    with Parser() as parser:
        assert parser.parse_bytes(docx("again"), id="a.docx").text.strip() == "again"
    ends_by(monkeypatch, number, times=9)
    with Parser() as parser:
        assert reason(parser, docx("never"), "a.docx") == "stopped"
    assert "stopped" not in LASTING


def test_a_full_disk_of_temporary_files_is_no_fault_of_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    full = {"reason": "no space", "detail": "No space left on device (os error 28)"}
    monkeypatch.setattr(Parser, "_ask", lambda self, data, name, options: full)
    with Parser() as parser, pytest.raises(WorkspaceError, match="the disk is full"):
        parser.parse_bytes(docx("one"), id="a.docx")


def test_the_child_ends_when_its_parent_does_whatever_it_is_doing() -> None:
    code = f"import sys, threading, time; sys.path.insert(0, {str(Path(worker.__file__).parent)!r}); import worker; "
    code += "threading.Thread(target=worker.end_with_parent, daemon=True).start(); print(flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None and child.stdout is not None
        child.stdin.write(b"a request that is not read")
        child.stdin.flush()
        assert child.stdout.readline() == b"\n"
        assert child.poll() is None
        child.stdin.close()  # as the system does for a parent that is gone
        assert child.wait(60) == 1


def test_one_document_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.docx"
    path.write_bytes(docx("alone"))
    found = parse(path, id="x/a.docx")
    assert (found.id, found.format, found.modified) == ("x/a.docx", "docx", path.stat().st_mtime)
