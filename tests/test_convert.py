"""Formats: content decides, structure and pages come out, containers are taken apart under limits, failures are named."""

from __future__ import annotations

import io
import random
import re
import sys
from pathlib import Path

import documents as made
import pytest

from groundtune.ingest.containers import lowered
from groundtune.ingest.convert import convert
from groundtune.ingest.converted import Converted, Options, Refused, join_pages
from groundtune.ingest.detect import decode, detect
from groundtune.ingest.office import compound
from groundtune.ingest.salvage import salvage
from groundtune.installation import install_command

UNREAD = Options(languages=())
TABLE = [["Plan", "Price"], ["Basic", "10"], ["Team", "25"]]
AS_MARKDOWN = "| Plan | Price |\n| --- | --- |\n| Basic | 10 |\n| Team | 25 |"


def read(data: bytes, name: str = "a", options: Options = UNREAD) -> Converted:
    return convert(data, name=name, options=options)


def reason(data: bytes, name: str = "a", options: Options = UNREAD) -> str:
    with pytest.raises(Refused) as caught:
        read(data, name, options)
    return caught.value.reason


def test_office_books_and_rich_text() -> None:
    assert read(made.docx("Hello from Word")).text.strip() == "Hello from Word"
    assert read(made.odt("Head", "body text")).text.strip() == "# Head\n\nbody text"
    assert "Hello in rich text" in read(made.rtf("Hello in rich text")).text
    book = read(made.epub("The Book", {"One": "first", "Two": "second"}))
    assert (book.title, book.text.split()) == ("The Book", ["#", "One", "first", "#", "Two", "second"])


def test_character_references_are_kept() -> None:
    text = "Prices &amp; terms: it&#8217;s 5 &gt; 3 &#x41; &lt;b&gt; &quot;q&quot;"
    meant = 'Prices & terms: it’s 5 > 3 A <b> "q"'
    for data in (made.docx(text), made.odt(text, text), made.pptx([[text]]), made.xlsx({"s": [[text]]})):
        assert meant in read(data).text.replace("\\", "")
    assert meant in read(f'<?xml version="1.0"?><r><a>{text}</a></r>'.encode()).text
    assert read(made.docx("no reference")).text.strip() == "no reference"


def test_slides_are_pages() -> None:
    show = read(made.pptx([["Start", "hello"], ["End", "world", "and more"]]))
    first, second = show.pages
    assert show.text[first:second].split() == ["##", "Start", "hello"]
    assert show.text[second:].split("\n\n") == ["## End", "world", "and more"]
    assert (show.format, show.title) == ("pptx", "")


def test_sheets_are_tables_under_their_names() -> None:
    book = read(made.xlsx({"Prices": TABLE, "Other": [["a", "b"], ["1", "2"]]}))
    assert "## Prices" in book.text
    assert AS_MARKDOWN in book.text
    assert "## Other" in book.text


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_separated_values_are_a_table(mark: str) -> None:
    data = "\n".join(mark.join(row) for row in TABLE).encode()
    assert read(data, "prices.csv").text.strip() == AS_MARKDOWN


def test_text_is_salvaged_where_the_parser_refuses_the_layout() -> None:
    slides = salvage(made.pptx([["One", "kept"], ["Two", "too"]]), "pptx", why="no picture")
    assert (slides.text, slides.pages) == ("One\n\nkept\n\nTwo\n\ntoo", (0, 11))
    assert slides.skipped == (("layout", "damaged", "only its bare text was read: no picture"),)
    assert salvage(made.docx("from Word"), "docx", why="").text == "from Word"
    entities = '<!DOCTYPE d [<!ENTITY e "x">]><d><t>&e;</t></d>'
    for torn in (made.packed({"word/document.xml": entities}), made.packed({"word/document.xml": "<p><t>"}), b"PK"):
        with pytest.raises(Refused, match="salvaged"):
            salvage(torn, "docx", why="it is torn")


def test_a_message_with_its_attachments() -> None:
    mail = made.message("Trip", "We leave at nine.", {"plan.docx": made.docx("Day one"), "song.mp3": bytes(range(256)) * 9})
    found = read(mail.as_bytes())
    assert (found.format, found.title) == ("eml", "Trip")
    assert found.text.startswith("# Trip\n\nFrom: ann@example.com\nTo: ben@example.com\nDate: ")
    assert "We leave at nine." in found.text
    assert found.text.endswith("## plan.docx\n\nDay one")
    assert [(part, why) for part, why, _ in found.skipped] == [("song.mp3", "unsupported")]


def test_a_mailbox_is_a_section_a_message() -> None:
    box = made.mbox([made.message("First", "one"), made.message("Second", "two", {"b.md": b"# B\n\ninside"})])
    found = read(box, "old mail")
    assert found.format == "mbox"
    assert [line for line in found.text.splitlines() if line.startswith("#")] == ["# First", "# Second", "## b.md", "### B"]


def test_an_archive_is_a_section_a_file_and_nothing_is_written_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    monkeypatch.chdir(inside)
    found = read(
        made.packed(
            {
                "../../evil.txt": "escape",
                "docs/a.docx": made.docx("from Word"),
                "docs/b.md": "# B\n\ntext",
                "c.bin": bytes(range(256)) * 9,
                "__MACOSX/docs/._a.docx": b"litter",
            }
        )
    )
    assert found.text.split("\n\n") == [
        "# ../../evil.txt",
        "escape",
        "# docs/a.docx",
        "from Word",
        "# docs/b.md",
        "## B",
        "text",
    ]
    assert [(part, why) for part, why, _ in found.skipped] == [("c.bin", "unsupported")]
    assert list(tmp_path.rglob("*")) == [inside]


def nested(depth: int, inner: bytes = b"# Core\n\ndeep") -> bytes:
    data = made.packed({"core.md": inner})
    for level in range(1, depth):
        data = made.packed({f"level{level}.zip": data})
    return data


def test_nesting_has_an_end() -> None:
    assert "deep" in read(nested(3)).text
    assert reason(nested(4)) == "too deep"
    assert reason(made.message("Deep", "x", {"a.zip": nested(3)}).as_bytes(), options=Options(nesting=0)) == "too deep"
    partly = read(made.packed({"a.md": "seen", "b.zip": nested(3)}))
    assert partly.text.endswith("seen")
    assert [why for _, why, _ in partly.skipped] == ["too deep"]


def test_parts_have_one_limit_together() -> None:
    many = made.packed({f"{number}.txt": "x" * 100 for number in range(20)})
    assert read(many).text.count("# ") == 20
    assert reason(many, options=Options(parts=10)) == "too large"
    assert reason(many, options=Options(unpacked=1_500)) == "too large"
    inside = made.packed({f"{number}.zip": many for number in range(3)})
    assert reason(inside, options=Options(parts=50)) == "too large"
    bomb = made.packed({"zeros": bytes(50 << 20)})
    assert reason(bomb) == "too large"
    assert reason(made.packed({"a.zip": bomb, "b.zip": bomb})) == "too large"


def test_a_part_that_holds_more_than_it_says_is_cut_off() -> None:
    data = bytearray(made.packed({"a.txt": "x" * 5_000}))
    for at in (data.find(b"PK\x03\x04") + 22, data.find(b"PK\x01\x02") + 24):
        data[at : at + 4] = (10).to_bytes(4, "little")
    assert reason(bytes(data)) == "damaged"


def test_passwords() -> None:
    locked = made.pdf([[("text", "secret plan")]], password="sesame")
    assert reason(locked) == "encrypted"
    assert reason(locked, options=Options(passwords=("wrong",))) == "encrypted"
    assert "secret plan" in read(locked, options=Options(passwords=("wrong", "sesame"))).text
    box = read(made.packed({"a.pdf": locked, "b.md": "open"}))
    assert [(part, why) for part, why, _ in box.skipped] == [("a.pdf", "encrypted")]
    with pytest.raises(Refused, match="password") as caught:
        read(locked, options=Options(passwords=("wrong",)))
    assert "wrong" not in str(caught.value)


def test_passwords_of_office_files() -> None:
    msoffcrypto = pytest.importorskip("msoffcrypto", reason="the extra `passwords` is not installed")
    locked = io.BytesIO()
    noise = random.Random(0).randbytes(9_000)  # msoffcrypto writes small files so that nobody can open them
    msoffcrypto.OfficeFile(io.BytesIO(made.docx("secret letter", extra={"noise.bin": noise}))).encrypt("sesame", locked)
    data = locked.getvalue()
    assert reason(data) == "encrypted"
    assert reason(data, options=Options(passwords=("wrong",))) == "encrypted"
    found = read(data, options=Options(passwords=("wrong", "sesame")))
    assert (found.format, found.text.strip()) == ("docx", "secret letter")


def test_passwords_without_the_package_that_opens_office_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msoffcrypto", None)
    data = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512) + "EncryptedPackage".encode("utf-16-le")
    with pytest.raises(Refused, match=re.escape(install_command("passwords"))):
        read(data, options=Options(passwords=("sesame",)))


def test_a_full_disk_is_no_fault_of_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device (os error 28)")

    monkeypatch.setattr("kreuzberg.extract_bytes_sync", full)
    assert reason(made.packed({"a.docx": made.docx("one"), "b.txt": b"two"})) == "no space"


def test_what_asks_for_a_picture_reader_says_so() -> None:
    picture = made.png(8, 8, bytes(64))
    assert reason(picture, "text.txt") == "no OCR"
    assert reason(picture, options=Options(languages=("xxx",))) == "no OCR"


def test_content_is_told_by_content() -> None:
    assert read(b"This is plain text.", "letter.pdf").text == "This is plain text."
    assert read("Straße nach Köln".encode("utf-16-le"), "a.txt").text == "Straße nach Köln"
    assert reason(b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n", "a.pdf") == "placeholder"
    assert detect(b"How to write %PDF-1.7 by hand", name="a.md").format == "md"
    assert detect(b"junk\r\n%PDF-1.4\n", name="a").format == "pdf"
    assert detect(b"RIFF\x00\x00\x00\x00WEBPVP8 ", name="a").mime == "image/webp"
    assert detect(made.mbox([made.message("a", "b")]), name="x").format == "mbox"
    assert detect(made.message("a", "b").as_bytes(), name="x").format == "eml"
    assert decode(b"4,\xff\xfe\x00bad") == ("4,ÿþ\x1abad", "cp1252")


def test_compound_files_are_told_by_their_streams() -> None:
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512)
    for stream, format in (("WordDocument", "doc"), ("Workbook", "xls"), ("EncryptedPackage", "protected")):
        assert compound(head + stream.encode("utf-16-le")) == format
    assert reason(head) == "unsupported"
    assert reason(head + "EncryptedPackage".encode("utf-16-le")) == "encrypted"


def test_headings_go_one_level_down_and_code_stays() -> None:
    text = "# A\n\n```\n# code\n```\n\n###### F\n\n## B"
    assert lowered(text) == "## A\n\n```\n# code\n```\n\n###### F\n\n### B"


def test_pages_join_at_blank_lines() -> None:
    text, starts = join_pages(["one", "", "three "])
    assert (text, starts) == ("one\n\nthree", (0, 3, 5))
    assert join_pages(["", "two"]) == ("two", (0, 0))
