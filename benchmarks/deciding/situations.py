"""What a team could say of each task before anything is measured: the questionnaire's answers. Needs no data set."""

from __future__ import annotations

from collections.abc import Mapping

from groundtune.decision.advise import Degree, Situation


def _texts(labelled: int, strictness: Degree) -> Situation:
    return Situation(documents=False, facts_change="never", labelled=labelled, strictness=strictness)


SITUATIONS: Mapping[str, Situation] = {
    "viggo": _texts(160, "strict"),
    "xquad": Situation(documents=True, facts_change="never", rare_facts=False, labelled=120, strictness="some"),
    "intents": _texts(160, "strict"),
    "handbook_qa": Situation(documents=True, facts_change="monthly", rare_facts=True, labelled=100, strictness="some"),
    "copy": _texts(160, "strict"),
    "firm_qa": Situation(documents=True, facts_change="monthly", rare_facts=True, labelled=100, strictness="some"),
    "e2e": _texts(160, "some"),
    "pubmedqa": Situation(documents=True, facts_change="never", labelled=100, strictness="strict", language="specialised"),
    "shuffled": _texts(160, "strict"),
    "firms": Situation(documents=True, facts_change="monthly", rare_facts=True, labelled=84, strictness="free"),
    "geo": _texts(160, "strict"),
    "covidqa": Situation(documents=True, facts_change="never", labelled=90, strictness="strict", language="specialised"),
    "defog": _texts(95, "strict"),
    "follow_ups": Situation(documents=True, facts_change="monthly", labelled=48, strictness="free"),
    "wikisplit": _texts(160, "some"),
    "unknowable": _texts(160, "strict"),
}
"""Task -> what is known of it; `documents` also says which candidates it has. In the order in which cells are run."""

CONTROLS = ("copy", "shuffled", "unknowable")
"""Trivial, without anything to learn, and too hard for everybody."""

FOLDS: Mapping[str, int] = {"handbook_qa": 2, "defog": 2}
"""Trainings of tasks that have too few questions for a sealed test; the others have one."""
