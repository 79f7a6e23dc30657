"""docs/science.md names every test and interval that a report can show, and the figures in it are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from groundtune.dataset.split import SHARES
from groundtune.decision.task import SEALED_FROM
from groundtune.decision.verdict import decide_verdict
from groundtune.evaluation import baseline, bounded, standing, statistics
from groundtune.evaluation.statistics import contrast
from groundtune.types import Example, Score

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "science.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"`([^`]+)`", PAGE))

Array = NDArray[np.float64]


def races() -> dict[str, tuple[Array, Array, NDArray[np.int64]]]:
    """Two rows and groups for every way that a contrast can go."""
    rng = np.random.default_rng(0)
    binary, smooth = (rng.uniform(size=(2, 60)) < 0.6).astype(float), rng.uniform(size=(2, 60))
    large = rng.uniform(size=(2, 660))
    trained = np.clip(smooth[0] + 0.4 * np.array([[0.0], [0.5], [1.0]]), 0, 1)
    constant = np.repeat(smooth[1:], 3, axis=0)
    alone, threes = np.arange(60), np.arange(60) // 3
    return {
        "binary": (*binary, alone),
        "binary in groups": (*binary, threes),
        "smooth": (*smooth, alone),
        "few groups": (*smooth, np.arange(60) // 6),
        "many groups": (*large, np.arange(660) // 3),
        "many items": (*large, np.arange(660)),
        "seeds": (trained, constant, alone),
        "seeds in groups": (trained, constant, threes),
        "the same": (smooth[0], smooth[0], alone),
    }


@pytest.mark.parametrize("name", races())
def test_every_test_and_interval_of_a_report_is_named(name: str) -> None:
    first, second, groups = races()[name]
    found = contrast(first, second, groups, margin=0.05)
    test, _, other = found.test.partition("; not worse: ")
    parts = [
        re.sub(r" \((exact|20,000 draws|3 seeds x items)\)", "", part) for part in (*test.split(" or, if larger, "), other)
    ]
    for part in (*parts, found.interval.method):
        assert part in NAMED, part
    assert not name.startswith("many") or "BCa" in found.interval.method
    assert not name.startswith("seeds") or "seed-adjusted" in found.interval.method


def test_candidates_with_the_same_scores_are_named_as_in_the_report() -> None:
    scores = {
        name: [Score(name, f"q{n}", f"g{n}", "", 0, 0, "", {"f1": float(n % 2)}) for n in range(12)] for name in ("a", "b")
    }
    examples = [Example(f"q{n}", "?", ("a",)) for n in range(12)]
    found = decide_verdict(scores, metric="f1", examples=examples, costs={}, margin=0.05, floor=0.0)
    assert found.comparisons[0].test.split(";")[0] in NAMED


def test_the_figures_of_the_page_are_those_of_the_code() -> None:
    text = " ".join(PAGE.split())
    assert f"{statistics.FLIPS:,} sign patterns" in text and f"{statistics.RESAMPLES:,} resamples" in text
    assert f"fewer than {statistics.BOOTSTRAP_GROUPS} groups" in text and statistics.SPREAD == 0.45 and "deviation .45" in text
    assert f"From {SEALED_FROM} questions on" in text
    assert f"train / dev / test ({SHARES['train']:.0%}, {SHARES['dev']:.0%}, {SHARES['test']:.0%})".replace("%", " %") in text
    assert bounded.ENOUGH == 10 and "fewer than ten groups that differ" in text
    assert bounded.FEW == 6 and "fewer than six groups" in text and "(1 - g / 6)" in text
    assert baseline._CONSTANTS == 200 and "200 commonest references" in text
    assert standing.SET_SIZE == 0.05 and f"{standing.RESAMPLES:,} bootstrap resamples" in text


def test_every_source_is_cited_and_every_citation_has_its_source() -> None:
    body, _, sources = " ".join(PAGE.split()).partition("## Sources")
    listed = set(re.findall(r"(?:^|\. )([A-Z][A-Za-z]+)[^.\d]*?(?:et al\. )?(\d{4}),", f".{sources}"))
    others = r"(?: et al\.|(?:, [A-Z][a-z]+)* and (?:van )?[A-Z][A-Za-z]+)?"
    cited = set(re.findall(rf"([A-Z][A-Za-z]+)(?:'s)?{others} \(?(\d{{4}})", body))
    assert len(listed) >= 14
    assert listed == cited
