"""The tests and intervals that a report names, in plain words with their sources; docs/science.md has them in full."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Method:
    name: str
    """As it stands in the report's tests and intervals."""
    words: str
    source: str


NAMED = (
    Method(
        "exact McNemar",
        "Looks only at the questions that one of two candidates has right and the other wrong, and asks how often a fair coin "
        "would fall so unevenly.",
        "McNemar 1947, exact form",
    ),
    Method(
        "sign-flip",
        "If two candidates were equal, each difference could as well have had the other sign. The signs of whole groups of "
        "questions are turned at random, all ways or 20,000 of them, and the share that lies at least as far from zero is p.",
        "Fisher 1935; Phipson and Smyth 2010",
    ),
    Method(
        "score test",
        "Asks whether a candidate is worse by the margin or more, with the spread that would be seen if it were: so that a few "
        "questions without a failure do not prove that failures are rare.",
        "Nam 1997; Tango 1998; Owen 1988",
    ),
    Method(
        "crossed score test",
        "Counts the scatter between training seeds as well as that between questions; the larger p of the two tests counts.",
        "Hillis 2007",
    ),
    Method("score interval", "Every value that the score test would not reject.", "Wilson 1927; Owen 1988"),
    Method(
        "cluster-adjusted",
        "Questions that belong together count for less than as many independent ones: the variance is enlarged by the design "
        "effect, and the t distribution for the number of groups is used.",
        "Rao and Scott 1992; Korn and Graubard 1998",
    ),
    Method("seed-adjusted", "The variance that training seeds add is added.", "Hillis 2007"),
    Method(
        "BCa bootstrap",
        "The groups are drawn again 9,999 times with replacement; the interval is corrected for bias and skewness.",
        "Efron 1987",
    ),
    Method(
        "alpha spending",
        "The scores were looked at more than once, and each look may use a part of the error rate only. "
        "Together they use no more than one look would.",
        "Lan and DeMets 1983; Kim and DeMets 1987",
    ),
    Method(
        "identical scores",
        "Two candidates with the same score on every question are one entry of the family; the cheaper stands for both.",
        "",
    ),
    Method(
        "Bonferroni",
        "Intervals of differences are so wide that all of them hold together with 95 %.",
        "Bonferroni's inequality",
    ),
)
"""Listed where a test or an interval of the report bears the name."""

ALWAYS = (
    Method("Holm", "p-values are adjusted over all pairs, so that many comparisons do not make a winner by luck.", "Holm 1979"),
    Method(
        "Non-inferiority",
        "“Not significantly worse” is not taken for “as good”: a test of its own must show that a candidate is not worse by "
        "the margin or more.",
        "Piaggio et al. 2012",
    ),
    Method(
        "Floor",
        "A winner must be shown to beat the best constant answer; by default the floor is that answer's score plus the margin.",
        "",
    ),
    Method(
        "Chance to be the best",
        "The share of resamples of the groups in which a candidate has the highest mean. It describes; no verdict rests on it.",
        "Efron 1987",
    ),
    Method(
        "Model confidence set",
        "The candidates that may still be the best, at 95 %. It describes; no verdict rests on it.",
        "Hansen, Lunde and Nason 2011",
    ),
)


def methods(report: Mapping[str, Any]) -> tuple[Method, ...]:
    """What this report used, in the order of the tables above."""
    said = [row["test"] for row in report["comparisons"]]
    said += [row["interval"]["method"] for row in report["comparisons"]]
    said += [interval["method"] for one in report["candidates"] for interval in one["intervals"].values()]
    used = "\n".join(dict.fromkeys(said))
    return tuple(method for method in NAMED if method.name in used) + ALWAYS
