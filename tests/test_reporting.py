"""groundtune.reporting: the pages of every shape of race, the geometry of their pictures, and texts that mean harm."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest

from groundtune.reporting import methods as methods_module
from groundtune.reporting.explained import losses as losses_chart
from groundtune.reporting.explained import position
from groundtune.reporting.kinds import MOST_KINDS, kinds
from groundtune.reporting.labels import Box, place
from groundtune.reporting.lost import AROUND, LONGEST, MOST_QUESTIONS, Lost, Passage, choose, losses, marked, questions
from groundtune.reporting.pages import Pages, pages
from groundtune.reporting.scale import linear, positive
from groundtune.reporting.scatter import scatter
from groundtune.reporting.view import SIZES
from tests.reports import STANDARD, VALIDATOR, absent, examples, report, scores

SECTIONS = [
    "candidates", "differences", "quality", "changes", "matrix", "losses", "kinds", "lost", "plan", "methods", "record",
]  # fmt: skip
HOSTILE = "<script>alert('x')</script> & \"quotes\" </details> | `code` ]]> {{ 7 * 7 }}"


def shown(made: dict[str, Any], rows: list[dict[str, Any]] | None = None) -> Pages:
    """The pages with the questions that were lost, as a reader who may see everything gets them."""
    rows = rows if rows is not None else scores()
    chosen = choose(made, rows, reference=None, allowed={one.id for one in examples()})
    found = questions(
        made,
        rows,
        examples=[one for item in chosen.items for one in examples() if one.id == item],
        passages={item: (Passage("guide.md", (("before ", False), ("the guide", True))),) for item in chosen.items},
    )
    return pages(made, scores=rows, lost=Lost(found, losses(chosen, found), chosen.nobody, ("staff",), 1))


def parsed(html: str) -> ElementTree.Element:
    """The page, which is well-formed to the last tag."""
    return ElementTree.fromstring(html)


def at(root: ElementTree.Element, path: str) -> ElementTree.Element:
    found = root.find(path)
    assert found is not None, path
    return found


def text_of(element: ElementTree.Element) -> str:
    return " ".join("".join(element.itertext()).split())


# --- every shape of race ------------------------------------------------------------------------------------------------


def labels() -> dict[str, Any]:
    """A task without documents: retrieval cannot race, nothing is decomposed, one axis is measured."""
    made = report(("prompt", "few_shot", "tuned"))
    made["candidates"] += [absent(name, "there are no documents to retrieve from") for name in ("rag", "rag_tuned")]
    made["task"] |= {"documents": 0, "chunks": 0, "labels": 6, "unanswerable": 0}
    made["probes"] |= {
        "decomposition": None,
        "not_applicable": "Not applicable: it needs documents.",
        "answer_in_context": None,
    }
    made["probes"]["matrix"] |= {"external_data": None}
    return made


def excluded() -> dict[str, Any]:
    made = report()
    made["candidates"][0]["excluded"] = "it cannot cite, and citations are required"
    made["comparisons"] = [row for row in made["comparisons"] if "prompt" not in (row["a"], row["b"])]
    del made["field"]["p_best"]["prompt"]
    return made


def unpriced() -> dict[str, Any]:
    made = report()
    for one in made["candidates"]:
        one["cost"] |= {"known": False, "per_1000_answers": 0.0, "basis": "no price for fake:echo in [prices.models]"}
    return made


def without_evidence() -> dict[str, Any]:
    made = report()
    made["probes"] |= {"decomposition": None, "not_applicable": "Not applicable: no question has evidence.", "relaxed": {}}
    made["probes"]["matrix"] |= {"external_data": None, "behaviour": None, "words": "not measured"}
    made["predictions"] = []
    return made


def several_models() -> dict[str, Any]:
    return report(("a", "b", "c"), models=("fake:echo", "openai:big"))


SHAPES: dict[str, Callable[[], dict[str, Any]]] = {
    "documents": report,
    "labels": labels,
    "inconclusive": lambda: report(verdict="inconclusive"),
    "none good enough": lambda: report(verdict="none good enough"),
    "cheapest non-inferior": lambda: report(verdict="cheapest non-inferior"),
    "excluded": excluded,
    "single": lambda: report(("rag",)),
    "unknown cost": unpriced,
    "no evidence": without_evidence,
    "several models": several_models,
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_every_shape_of_race_has_all_sections(shape: Callable[[], dict[str, Any]]) -> None:
    made = shape()
    VALIDATOR.validate(made)
    names = [one["name"] for one in made["candidates"] if not one["not_applicable"]]
    page = shown(made, scores(names))
    root = parsed(page.html)
    assert [section.get("id") for section in root.iter("section")] == SECTIONS
    assert [link.get("href", "") for link in at(root, ".//nav").iter("a")] == [f"#{name}" for name in SECTIONS]
    for section in root.iter("section"):
        assert len(text_of(section)) > len(text_of(section[0])) + 20, f"{section.get('id')} says nothing"
    headings = [line for line in page.markdown.splitlines() if line.startswith("#")]
    assert (
        headings[0] == f"# {made['decision']['headline']}" and len([line for line in headings if line.startswith("## ")]) >= 10
    )
    for one in made["candidates"]:
        assert one["name"] in page.markdown and one["not_applicable"] in page.html and one["excluded"] in page.html


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_a_page_is_whole_in_itself_and_can_be_read_by_a_machine(shape: Callable[[], dict[str, Any]]) -> None:
    made = shape()
    root = parsed(shown(made, scores([one["name"] for one in made["candidates"] if not one["not_applicable"]])).html)
    tags = {element.tag for element in root.iter()}
    assert not tags & {"script", "link", "iframe", "img", "object", "embed", "form"}
    style = "".join(at(root, ".//style").itertext())
    assert "url(" not in style and "@import" not in style and "@font-face" not in style
    for element in root.iter():
        assert not any(name.startswith("on") or name in ("src", "action") for name in element.attrib)
        assert element.get("href", "#").startswith("#")
    identities = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(set(identities)) == len(identities)
    assert {(element.get("href") or "")[1:] for element in root.iter("a")} <= set(identities)
    levels = [int(element.tag[1]) for element in root.iter() if re.fullmatch(r"h[1-6]", str(element.tag))]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
    for table in root.iter("table"):
        assert all(header.get("scope") for header in table.iter("th"))
    for picture in root.iter("svg"):
        assert picture.get("aria-hidden") == "true" or text_of(at(picture, "title")), "a picture without words"


def test_the_first_screen_says_the_verdict_its_doubt_and_whom_it_is_about() -> None:
    said = text_of(at(parsed(shown(report(verdict="inconclusive")).html), ".//header"))
    for words in ("About rag_tuned", "inconclusive", "provisional choice: rag_tuned", "About 900 further questions", "20 %"):
        assert words in said, words
    assert "this is look number 2" in said and "With a margin below 3 points" in said and "do not transfer" in said


# --- texts that mean harm, and very much of everything ------------------------------------------------------------------


def test_hostile_texts_stay_texts() -> None:
    made = report(("prompt", "rag"))
    made["candidates"][0]["excluded"] = made["decision"]["headline"] = made["decision"]["reason"] = HOSTILE
    made["candidates"][1]["name"] = made["decision"]["winner"] = f"rag{HOSTILE}"
    made["comparisons"], made["predictions"] = [], []
    made["notes"] = made["task"]["problems"] = made["sensitivity"]["tried"] = [HOSTILE]
    rows = scores(("prompt", f"rag{HOSTILE}"), kinds=(HOSTILE, "fact"))
    for row in rows:
        row["answer"] = HOSTILE
    chosen = choose(made, rows, reference=None, allowed={one.id for one in examples()})
    found = questions(made, rows, examples=examples()[:3], passages={"item-000": (Passage(HOSTILE, ((HOSTILE, True),)),)})
    page = pages(made, scores=rows, lost=Lost(found, losses(chosen, found), 0, (HOSTILE,), 0))
    root = parsed(page.html)
    assert "script" not in {element.tag for element in root.iter()}
    assert "<script" not in page.html and "{{ 7 * 7 }}" in page.html
    assert text_of(at(root, ".//h1")) == " ".join(HOSTILE.split())
    part = page.markdown.split("\n### 1. ")[1].split("## Plan and reality")[0]
    part = part.replace(f"rag{HOSTILE}", "rag")  # names are the configuration's, which takes no such ones
    assert "alert" in part and not re.search(r"(?<!\\)[<`]", part)
    rows_of_answers = [line for line in part.splitlines() if line.startswith("| prompt")]
    assert len(rows_of_answers) == 3 and all(len(re.findall(r"(?<!\\)\|", line)) == 5 for line in rows_of_answers)


def test_long_names_and_forty_candidates_change_no_geometry() -> None:
    names = [f"candidate_with_a_very_long_name_{number:02}_" + "x" * 60 for number in range(40)]
    rows = scores(names, kinds=[f"kind {number}" for number in range(30)], items=30)
    made = report(names, rows=rows)
    page = shown(made, rows)
    root = parsed(page.html)
    assert len(list(root.iter("section"))) == len(SECTIONS)
    assert len(page.html) < 2_000_000
    table = kinds(made, rows)
    assert table is not None and len(table.rows) == MOST_KINDS + 1 and len(table.candidates) == 40
    assert sum(row.items for row in table.rows[:-1]) == table.rows[-1].items == 30
    assert f"{40 * 39 // 2 - 100} further pairs" in page.html
    for width, height in SIZES.values():
        plot = scatter(made, "cost", width=width, height=height, chosen=names[-1])
        assert plot is not None
        boxes = [point.label.box for point in plot.points if point.label]
        assert not any(one.meets(other) for one, other in combinations(boxes, 2))
        assert all(box.within(plot.plot) for box in boxes)
        assert plot.key == tuple(point.name for point in plot.points), "no room for names, so there is a key"


# --- scales and labels --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([0.0, 1.0], (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        ([0.03, 0.31], (0.0, 0.1, 0.2, 0.3, 0.4)),
        ([-13.0, 29.0], (-20.0, -10.0, 0.0, 10.0, 20.0, 30.0)),
        ([7.0, 7.0], None),
        ([], None),
        ([1e-7, 3e-7], None),
        ([-1e9, 1e9], None),
    ],
)
def test_ticks_are_round_and_hold_the_values(values: list[float], ticks: tuple[float, ...] | None) -> None:
    scale = linear(values)
    assert ticks is None or scale.ticks == pytest.approx(ticks)
    assert len(scale.ticks) in range(2, 9)
    for value in values:
        assert scale.low <= value <= scale.high
        assert scale.at(value) == pytest.approx((value - scale.low) / (scale.high - scale.low))


def test_amounts_over_a_factor_of_ten_are_laid_out_by_their_logarithm() -> None:
    scale = positive([0.02, 0.3, 4.0])
    assert scale.logarithmic and scale.low <= 0.02 and scale.high >= 4.0
    assert scale.at(math.sqrt(scale.low * scale.high)) == pytest.approx(0.5)
    assert all(scale.at(one) < scale.at(other) for one, other in pairwise(scale.ticks))
    assert not positive([0.02, 0.1]).logarithmic and positive([0.02, 0.1]).low == 0
    assert not positive([0.0, 0.02, 4.0]).logarithmic and not positive([]).logarithmic
    wide = positive([1e-6, 1e6])
    assert len(wide.ticks) <= 8 and wide.low <= 1e-6 and wide.high >= 1e6


def test_labels_meet_neither_labels_nor_points() -> None:
    spots = [(50.0 + 9 * number % 40, 60.0 + 7 * number % 50) for number in range(12)]
    within = Box(0, 0, 300, 200)
    placed = place(spots, [f"name {number}" for number in range(12)], within=within)
    boxes = [label.box for label in placed if label]
    assert len(boxes) >= 8 and all(box.within(within) for box in boxes)
    assert not any(one.meets(other) for one, other in combinations(boxes, 2))
    assert not any(box.left < x < box.right and box.top < y < box.bottom for box in boxes for x, y in spots)
    assert place([(5.0, 5.0)], ["far too long to fit"], within=Box(0, 0, 30, 30)) == [None]


def test_a_label_goes_where_nothing_is_crossed_if_it_can() -> None:
    whisker = Box(50, 49, 200, 51)
    (label,) = place([(50.0, 50.0)], ["name"], within=Box(0, 0, 300, 100), avoid=[whisker])
    assert label is not None and not label.box.meets(whisker)
    everywhere = Box(0, 0, 300, 100)
    assert place([(50.0, 50.0)], ["name"], within=everywhere, avoid=[everywhere]) != [None]


# --- what is shown ------------------------------------------------------------------------------------------------------


def test_losses_stack_up_to_a_hundred_points_and_a_negative_one_is_said_so() -> None:
    made = report()
    chart = losses_chart(made)
    assert chart is not None and len(chart.tracks) == 5
    spans = [track.spans[0] for track in chart.tracks[1:]]
    assert [spans[0].start, spans[-1].end] == pytest.approx([0.0, 1.0])
    assert all(one.end == pytest.approx(other.start) for one, other in pairwise(spans))
    assert chart.tracks[0].spans == tuple(spans)
    made["probes"]["decomposition"]["retrieval_loss"] |= {"value": -0.1}
    made["probes"]["decomposition"]["reading_loss"] |= {"value": 0.8}
    chart = losses_chart(made)
    assert chart is not None and len(chart.tracks) == 4, "nothing to stack"
    assert "negative" in chart.tracks[1].words


def test_names_of_quadrants_keep_clear_of_what_was_measured() -> None:
    made = report()
    for value in (0.02, 0.1, 0.45, 0.5, 0.55, 0.9, 0.98):
        low, high = max(0.0, value - 0.05), min(1.0, value + 0.05)
        made["probes"]["matrix"]["behaviour"] = {"value": value, "interval": {"low": low, "high": high}}
        for height in position(made).names:
            assert max(low - height, height - high) > 0.02


def test_means_by_kind_are_those_of_the_scores() -> None:
    rows = scores()
    table = kinds(report(), rows)
    assert table is not None and table.candidates == STANDARD
    for row in table.rows[:-1]:
        for name, mean in zip(table.candidates, row.means, strict=True):
            mine = [score["metrics"]["f1"] for score in rows if score["candidate"] == name and score["kind"] == row.kind]
            assert mean == pytest.approx(sum(mine) / len(mine)) and row.items == len(mine)
    assert kinds(report(), scores(kinds=())) is None


def test_the_questions_shown_are_those_on_which_each_candidate_fell_behind() -> None:
    names = ("a", "b")
    rows = [
        {
            "candidate": name,
            "item": item,
            "metrics": {"f1": value},
            "kind": "",
            "answer": name,
            "abstained": False,
            "context": [],
        }
        for name, values in {"a": (1.0, 0.2, 0.0, 0.5), "b": (0.0, 0.9, 0.0, 0.4)}.items()
        for item, value in zip(("q1", "q2", "q3", "q4"), values, strict=True)
    ]
    made = report(names)
    chosen = choose(made, rows, reference="b", allowed={"q1", "q2", "q3", "q4"})
    assert chosen.items == ("q1", "q2", "q4")
    assert dict(chosen.losses) == {"b": (2, 4), "a": (1, 4)} and chosen.nobody == 1
    assert choose(made, rows, reference="b", allowed={"q2"}).items == ("q2",)
    assert choose(made, rows, reference="b", allowed={"q1", "q2", "q4"}, most=1).items == ("q1",)
    many = choose(report(), scores(items=60), reference=None, allowed={f"item-{number:03}" for number in range(60)})
    assert len(many.items) == len(set(many.items)) == MOST_QUESTIONS


def test_an_answer_stands_beside_its_score_and_what_was_retrieved() -> None:
    rows = scores()
    (asked,) = (one for one in examples() if one.id == "item-000")
    rows[0]["answer"] = "long " * 1000
    (found,) = questions(report(), rows, examples=[asked], passages={}, hidden=[("tuned", "item-000"), ("rag", "item-001")])
    by_name = {row.candidate: row for row in found.rows}
    assert by_name["rag"].evidence_shown is True and by_name["prompt"].evidence_shown is None
    assert by_name["tuned"].answer is None and by_name["few_shot"].answer == "few_shot says 0"
    assert len(by_name["prompt"].answer or "") <= LONGEST + 2
    (other,) = questions(report(), rows, examples=[one for one in examples() if one.id == "item-001"], passages={})
    assert {row.candidate: row.evidence_shown for row in other.rows}["rag"] is False


@pytest.mark.parametrize("spans", [[(0, 5)], [(500, 520)], [(995, 1000)], [(10, 20), (15, 30)], [(100, 110), (800, 810)]])
def test_evidence_is_marked_where_it_stands(spans: list[tuple[int, int]]) -> None:
    text = ("word " * 200)[:1000]
    parts = marked(text, spans)
    bare = "".join(part for part, _ in parts)
    assert "".join(part for part, evidence in parts if evidence) == "".join(
        text[start:end] for start, end in ([(10, 30)] if spans[0] == (10, 20) else spans)
    )
    assert len(bare) <= sum(end - start for start, end in spans) + len(spans) * (2 * AROUND + 10)
    assert bare.startswith("… ") == (spans[0][0] > AROUND) and bare.endswith(" …") == (spans[-1][1] + AROUND < len(text))


def test_every_test_that_docs_name_is_explained() -> None:
    page = (Path(__file__).parent.parent / "docs" / "science.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    names = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    assert len(names) >= 12
    known = [method.name for method in methods_module.NAMED]
    assert not [name for name in names if not any(one in name for one in known)]
    used = {method.name for method in methods_module.methods(report())}
    assert {"sign-flip", "score test", "cluster-adjusted", "Bonferroni", "Holm"} <= used and "exact McNemar" not in used


# --- colours ------------------------------------------------------------------------------------------------------------


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb` (WCAG 2.2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_text_stands_out_in_both_themes() -> None:
    """Contrast of at least 4.5 to 1 (WCAG 2.2, 1.4.3, level AA) on every ground that text stands on."""
    style = shown(report()).html.split("<style>")[1].split("</style>")[0]
    pairs = dict(re.findall(r"--(\w+): light-dark\((#\w{6}, #\w{6})\)", style))
    plain = dict(re.findall(r"--(\w+): (#\w{6})", style))
    assert len(pairs) == 12
    for theme in (0, 1):
        colour = {name: both.split(", ")[theme] for name, both in pairs.items()}
        if theme == 0:
            assert colour == plain, "browsers that know no light-dark() get the light theme"
        for ground in ("page", "card", "fill"):
            for ink in ("text", "soft", "choice", "good", "warn", "bad"):
                bright, dark = sorted((luminance(colour[ground]), luminance(colour[ink])), reverse=True)
                assert (bright + 0.05) / (dark + 0.05) >= 4.5, (theme, ground, ink)
        bright, dark = sorted((luminance(colour["mark"]), luminance(colour["text"])), reverse=True)
        assert (bright + 0.05) / (dark + 0.05) >= 4.5
