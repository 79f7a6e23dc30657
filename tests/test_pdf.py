"""PDF by its layout: headings, lists, tables with and without lines, pages, scans; no word is lost."""

from __future__ import annotations

import io
import re
from collections import Counter

import documents as made
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundtune.ingest.convert import convert
from groundtune.ingest.converted import Converted, Options, Refused
from groundtune.ingest.geometry import HYPHENATED, Page, Rule, Word, segments
from groundtune.ingest.layout import markdown
from groundtune.ingest.ocr import data_folder, from_tsv
from groundtune.ingest.pdf import spelled
from groundtune.ingest.tables import Table, with_tables

TABLE = [["Plan", "Price", "Seats"], ["Basic", "10", "1"], ["Team", "25", "5"], ["Firm", "90", "no limit"]]
AS_MARKDOWN = "| Plan | Price | Seats |\n| --- | --- | --- |\n| Basic | 10 | 1 |\n| Team | 25 | 5 |\n| Firm | 90 | no limit |"
PROSE = "These prices hold from May on and are paid in advance. " * 6


def read(data: bytes, **options: object) -> Converted:
    return convert(data, name="a.pdf", options=Options(**{"languages": (), **options}))  # type: ignore[arg-type]


def words_of(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text))


def test_headings_lists_tables_and_pages() -> None:
    pages: list[made.Content] = [
        [("h1", "Price list"), ("text", PROSE), ("h2", "Plans"), ("table", TABLE)],
        [("h2", "Seats"), ("text", PROSE), ("columns", TABLE), ("list", ["first thing", "second thing"])],
    ]
    found = read(made.pdf(pages))
    assert found.text.split("\n\n") == [
        "# Price list",
        PROSE.strip(),
        "## Plans",
        AS_MARKDOWN,
        "## Seats",
        PROSE.strip(),
        AS_MARKDOWN,
        "- first thing\n- second thing",
    ]
    assert found.pages == (0, found.text.index("## Seats"))
    assert found.format == "pdf"


def test_running_feet_are_kept_once_and_page_numbers_not_at_all() -> None:
    pages: list[made.Content] = [[("text", f"Page of thing number {word}.")] for word in ("one", "two", "three", "four")]
    found = read(made.pdf(pages, footer="Acme handbook"))
    assert found.text.count("Acme handbook") == 1
    assert len(found.pages) == 4
    numbered = read(made.pdf(pages, footer="Page"))
    assert not re.search(r"Page \d", numbered.text)


def test_a_document_of_one_page_keeps_its_foot() -> None:
    assert "Acme 1" in read(made.pdf([[("text", "Only page.")]], footer="Acme")).text


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_turned_pages_read_alike(turn: int) -> None:
    import pypdfium2

    document = pypdfium2.PdfDocument(made.pdf([[("h1", "Price list"), ("text", PROSE), ("table", TABLE)]]))
    document[0].set_rotation(turn)
    saved = io.BytesIO()
    document.save(saved)
    document.close()
    assert AS_MARKDOWN in read(saved.getvalue()).text


def test_attached_files_follow() -> None:
    import pypdfium2

    document = pypdfium2.PdfDocument(made.pdf([[("text", "The page.")]]))
    document.new_attachment("notes.md").set_data(b"# Notes\n\ninside")
    document.new_attachment("x.bin").set_data(bytes(range(256)) * 9)
    saved = io.BytesIO()
    document.save(saved)
    document.close()
    found = read(saved.getvalue())
    assert found.text.split("\n\n") == ["The page.", "# notes.md", "## Notes", "inside"]
    assert [(part, why) for part, why, _ in found.skipped] == [("x.bin", "unsupported")]


def test_torn_files_are_named() -> None:
    whole = made.pdf([[("text", PROSE)]])
    for data, reason in ((whole[:300], "truncated"), (b"%PDF-1.4\nnothing\n%%EOF", "damaged")):
        with pytest.raises(Refused) as caught:
            read(data)
        assert caught.value.reason == reason


# --- layout by places ---------------------------------------------------------------------------------------------------


def line(text: str, *, x: float = 50, y: float = 50, size: float = 10, bold: bool = False, gap: float = 3) -> list[Word]:
    found = []
    for word in text.split():
        width = 5 * len(word)
        found.append(Word(word, x, y, x + width, y + size, size=size, bold=bold))
        x += width + gap
    return found


def laid(*lines: list[Word], outline: dict[str, int] | None = None) -> str:
    words = tuple(word for one in lines for word in one)
    return markdown([Page(600, 800, words)], outline=outline or {})[0]


PLACED = st.builds(
    Word,
    text=st.text(st.sampled_from("abcXY19.|-#•"), min_size=1, max_size=8),
    x0=st.integers(0, 500),
    y0=st.integers(0, 700),
    x1=st.integers(501, 600),
    y1=st.integers(701, 800),
    size=st.sampled_from([0.0, 8.0, 10.0, 14.0, 20.0]),
    bold=st.booleans(),
    block=st.integers(0, 2),
) | st.builds(
    lambda text, x, y, size: Word(text, 30.0 * x, 12.0 * y, 30.0 * x + 25, 12.0 * y + 10, size=size),
    text=st.text(st.sampled_from("abc19"), min_size=1, max_size=5),
    x=st.integers(0, 15),
    y=st.integers(0, 40),
    size=st.sampled_from([10.0, 14.0]),
)
RULES = st.builds(
    Rule,
    way=st.sampled_from(["across", "down"]),
    at=st.integers(0, 6).map(lambda n: 50.0 * n),
    start=st.just(0.0),
    end=st.just(400.0),
)


@settings(max_examples=200, deadline=None)
@given(pages=st.lists(st.tuples(st.lists(PLACED, max_size=25), st.lists(RULES, max_size=10)), min_size=1, max_size=3))
def test_no_word_is_lost_or_doubled(pages: list[tuple[list[Word], list[Rule]]]) -> None:
    made_of = [Page(600, 800, tuple(words), tuple(rules)) for words, rules in pages]
    for page in made_of:
        found = with_tables(page)
        cells = [cell for one in found if isinstance(one, Table) for row in one.rows for cell in row]
        texts = [one.text for one in found if not isinstance(one, Table)] + cells
        assert Counter(" ".join(texts).split()) == Counter(word.text for word in page.words)
    text, starts = markdown(made_of, outline={})
    assert len(starts) == len(pages)
    letters = Counter("".join(word.text for page in made_of for word in page.words if not re.search(r"\d", word.text)))
    kept = Counter(text)
    assert all(kept[letter] >= count for letter, count in letters.items() if letter.isalpha())


def test_sizes_make_levels_and_bold_alone_is_a_heading() -> None:
    text = laid(
        line("Big", y=10, size=20),
        line("Middle", y=50, size=14),
        line("running text " * 6, y=80),
        line("Bold alone", y=110, bold=True),
        line("more running text " * 4, y=125),
        line("bold inside. " * 3, y=160, bold=True),
        line("and on", y=172),
    )
    assert [block.split("\n")[0][:12] for block in text.split("\n\n")] == [
        "# Big",
        "## Middle",
        "running text",
        "### Bold alo",
        "more running",
        "bold inside.",
    ]


def test_bookmarks_beat_sizes() -> None:
    text = laid(line("Chapter one", y=10), line("plain text here", y=40), outline={"chapter one": 2})
    assert text == "## Chapter one\n\nplain text here"


def test_paragraphs_lists_and_lines_broken_on_purpose() -> None:
    text = laid(
        line("a full line of words that goes on", y=10),
        line("to the next line which is as long", y=22),
        line("Street 1", y=60),
        line("12345 Town with a rather long name", y=72),
        line("• first point", y=110, x=60),
        line("• second point that", y=122, x=60),
        line("goes on", y=134, x=75),
        line("◦ below it", y=146, x=90),
        line("1. one", y=190),
        line("2. two", y=202),
    )
    assert text.split("\n\n") == [
        "a full line of words that goes on to the next line which is as long",
        "Street 1\n12345 Town with a rather long name",
        "- first point\n- second point that goes on\n  - below it",
        "1. one\n2. two",
    ]


def test_words_parted_at_a_line_end_are_joined_as_the_document_writes_them() -> None:
    parted = [line(f"the effi{HYPHENATED}", y=10), line("cient well-known way", y=22)]
    assert laid(*parted) == "the efficient well-known way"
    assert laid(line(f"a well{HYPHENATED}", y=10), line("known and well-known way", y=22)).startswith("a well-known and")
    assert laid(line(f"the Meyer{HYPHENATED}", y=10), line("Schulz report", y=22)) == "the Meyer-Schulz report"


def test_columns_of_prose_are_no_table() -> None:
    left = [line("left column text goes here and on", x=50, y=10 + 12 * n) for n in range(5)]
    right = [line("right column text goes here as well", x=350, y=10 + 12 * n) for n in range(5)]
    text = laid(*left, *right)
    assert "|" not in text
    assert text.index("right") > text.rindex("left")


def test_joined_cells_and_frames() -> None:
    words = [
        *line("Head", x=60, y=15),
        *line("a", x=60, y=65),
        *line("b", x=160, y=65),
        *line("c", x=60, y=115),
        *line("d", x=160, y=115),
    ]
    across = [Rule("across", at, 50, 250) for at in (0.0, 50.0, 100.0, 150.0)]
    down = [Rule("down", 50, 0, 150), Rule("down", 150, 50, 150), Rule("down", 250, 0, 150)]
    (table,) = with_tables(Page(600, 800, tuple(words), (*across, *down)))
    assert isinstance(table, Table)
    assert table.rows == (("Head", ""), ("a", "b"), ("c", "d"))
    (alone,) = with_tables(Page(600, 800, tuple(line("just a box", x=60, y=15)), (*across[:2], *down[:1], down[2])))
    assert not isinstance(alone, Table)


def test_right_to_left_words_stay_together() -> None:
    words = [Word("ثالث", 50, 0, 70, 10), Word("ثان", 25, 0, 46, 10), Word("اول", 0, 0, 21, 10)]
    assert [one.text for one in segments(words)] == ["ثالث ثان اول"]


def test_heads_that_were_drawn_last_come_first() -> None:
    body = [line("These prices hold from May on.", y=100), line("They are paid in advance.", y=112)]
    head = line("Price list", y=60, size=20)
    assert laid(*body, head) == laid(head, *body)
    left, right = line("one two", y=60), line("three four", x=300, y=60)
    below = [line("five six", y=72), line("seven eight", x=300, y=72)]
    assert laid(left, below[0], right, below[1]).split() == ["one", "two", "five", "six", "three", "four", "seven", "eight"]


def test_a_row_of_stacked_numbers_is_many_rows() -> None:
    cells = {80: ["Hours", "2", "1.5", "-"], 180: ["Cost", "300", "225", "10 %"]}
    words = [word for n, text in enumerate(["Body", "Paint", "Other"]) for word in line(text, x=10, y=22 + 12 * n)]
    words += [word for x, column in cells.items() for n, text in enumerate(column) for word in line(text, x=x, y=10 + 12 * n)]
    total = [*line("Total", x=10, y=70), *line("525", x=180, y=70)]
    rules = tuple(Rule("across", at, 5, 250) for at in (8.0, 66.0, 84.0))
    found = with_tables(Page(600, 800, (*words, *total), rules))
    assert [one.rows for one in found if isinstance(one, Table)] == [
        (("", "Hours", "Cost"), ("Body", "2", "300"), ("Paint", "1.5", "225"), ("Other", "-", "10 %"), ("Total", "", "525"))
    ]


def test_what_runs_up_the_edge_is_one_line_at_the_end() -> None:
    from fpdf import FPDF

    made_of = FPDF(format="A4")
    made_of.add_page()
    made_of.set_font("helvetica", size=20)
    with made_of.rotation(90, 8, 200):
        made_of.text(8, 200, "Version 3 of May 2021")
    made_of.set_font("helvetica", size=11)
    made_of.set_xy(30, 30)
    made_of.multi_cell(150, 6, PROSE)
    assert read(bytes(made_of.output())).text == f"{PROSE.strip()}\n\nVersion 3 of May 2021"


def test_ligatures_are_spelled_out() -> None:
    assert "".join(spelled("e\u21b5ort di\0cult ba\0e a\0 B", box=lambda at: at)) == "effort difficult baffle a\0 B"
    lam_alef = [10, 20, 30, 30]  # places: the last two letters are one sign
    assert "".join(spelled("كاال", box=lam_alef.__getitem__)) == "كالا"
    assert "".join(spelled("fi", box=lambda at: 0)) == "fi"


# --- pictures -----------------------------------------------------------------------------------------------------------

TSV = (
    "1\t1\t0\t0\t0\t0\t0\t0\t600\t800\t-1\t\n"
    "5\t1\t1\t1\t1\t1\t10\t10\t40\t12\t96.1\tcompeti-\n"
    "5\t1\t1\t1\t2\t1\t10\t24\t30\t12\t95\ttive\n"
    "5\t1\t1\t1\t2\t2\t45\t24\t30\t12\t12\t~|\n"
    "5\t1\t2\t1\t1\t1\t10\t80\t30\t12\t91\tnext\n"
)


def test_words_of_a_picture() -> None:
    page = from_tsv(TSV)
    assert (page.width, page.height, len(page.words)) == (600, 800, 3)
    assert markdown([page], outline={})[0] == "competitive\n\nnext"


def test_columns_that_tesseract_parts_from_their_table_go_back_into_its_rows() -> None:
    def row(block: int, number: int, x: int, y: int, text: str) -> str:
        return f"5\t1\t{block}\t1\t{number}\t1\t{x}\t{y}\t60\t12\t95\t{text}\n"

    table = [("Test", "Result", "Range"), ("HDL", "48", "40-60"), ("TSH", "2.4", "0.4-4"), ("WBC", "7.2", "4-11")]
    tsv = "1\t1\t0\t0\t0\t0\t0\t0\t600\t800\t-1\t\n"
    for n, (test, result, _) in enumerate(table):
        tsv += row(1, n, 10, 10 + 30 * n, test) + row(1, n, 200, 10 + 30 * n, result)
    tsv += row(2, 9, 10, 200, "Afterwards")
    tsv += "".join(row(3, n, 400, 11 + 30 * n, one[2]) for n, one in enumerate(table))
    text = "\n".join(["| " + " | ".join(one) + " |" for one in table]).replace("|\n", "|\n| --- | --- | --- |\n", 1)
    assert markdown([from_tsv(tsv)], outline={})[0] == f"{text}\n\nAfterwards"


@pytest.mark.skipif(data_folder(["eng"]) is None, reason="tesseract's data for eng is not installed")
def test_a_scan_is_read() -> None:
    import pypdfium2

    document = pypdfium2.PdfDocument(made.pdf([[("text", "The warranty lasts two years.")]]))
    bitmap = document[0].render(scale=3, grayscale=True)
    pixels = bytes(bitmap.buffer)
    rows = b"".join(pixels[row * bitmap.stride : row * bitmap.stride + bitmap.width] for row in range(bitmap.height))
    picture = made.png(bitmap.width, bitmap.height, rows)
    document.close()
    found = convert(picture, name="scan.png", options=Options())
    assert "The warranty lasts two years." in found.text
    assert found.pages == (0,)
