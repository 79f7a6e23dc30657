"""Does the product's evidence tell questions that its documents answer from those that they do not?

    python -m benchmarks.abstention            # needs qa_mtrag for its first part; minutes, most of them embedding

`qa_mtrag`: every context of its 507 turns is a document; unanswerable turns have none of their own, so each question is asked
of the whole pool, and the turns before it are the history. UNANSWERABLE against ANSWERABLE; of PARTIAL and UNDERSPECIFIED the
share that would be answered at the same threshold. The demo company: its own questions, each asked by its own principals.
Embedder and settings are the defaults; `evidence_of` is the number that `min_evidence` is compared with.

What is chosen on the items it is judged by looks better than it is. The product's sum was chosen on the answerable and
unanswerable questions of `qa_mtrag` (docs/experiments.md), so its figures there are marked as seen; the demo company had no
part in that choice. `held_out`: five folds of conversations, each with the formula (of `FORMULAS`) and the threshold that the
other four chose. That the formulas themselves were thought of with these data in sight no fold can undo.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from arch.bootstrap import IIDBootstrap

import groundtune
from benchmarks.harness import RESULTS, WORK, Figure, data_folder, save, write_rows, write_settings
from groundtune.answer.evidence import evidence_of
from groundtune.answer.follow_up import rewriting
from groundtune.dataset.read import read_questions
from groundtune.errors import NotFound
from groundtune.evaluation.threshold import FEWEST, PRECISION, auroc, coverage_at
from groundtune.store.workspace import Workspace
from groundtune.types import LOCAL, Caller, Example
from groundtune.verbs.knowledge import open_retriever

MTRAG = "mtragun-human/generation_tasks/reference.jsonl"
FOLDS = 5
RESAMPLES = 999


@dataclass(frozen=True, slots=True)
class Item:
    """A question with what speaks for an answer to it."""

    group: str
    """Items of one conversation stay together."""
    kind: str
    evidence: float
    """The product's sum."""
    cosine: float = 0.0
    """Of the best hit."""
    nearest: float = 0.0
    """The largest cosine of a hit."""
    lead: float = 0.0
    """Of the nearest hit over the mean of what was found."""


FORMULAS: dict[str, Callable[[Item], float]] = {
    "product": lambda one: one.evidence,
    "cosine": lambda one: one.cosine,
    "lead": lambda one: one.lead,
    "words": lambda one: one.evidence - one.cosine - one.lead,
    "nearest_and_lead": lambda one: one.nearest + one.lead,
    "nearest_and_words": lambda one: one.nearest + one.evidence - one.cosine - one.lead,
}
"""What could be compared with a threshold: the rows of the table in docs/experiments.md that need no fitted weights."""


def convert_mtrag(folder: Path) -> Path:
    """Make `folder` a workspace of the contexts and turns; returns it."""
    lines = (data_folder("qa_mtrag") / MTRAG).read_text(encoding="utf-8").splitlines()
    turns = [json.loads(line) for line in lines]
    texts = {one["document_id"]: one["text"] for turn in turns for one in turn["contexts"]}
    (folder / "documents").mkdir(parents=True, exist_ok=True)
    for number, text in enumerate(sorted(set(texts.values()))):
        (folder / "documents" / f"p{number:04}.md").write_text(text.strip() + "\n", encoding="utf-8")
    questions = write_rows(folder / "questions.jsonl", map(row_of, turns))
    write_settings(folder, documents=folder / "documents", questions=questions, settings={})
    return folder


def row_of(turn: Mapping[str, Any]) -> dict[str, Any]:
    """A turn as a question; its class is the kind, and only the answerable ones have answers."""
    kind = turn["answerability"][0].lower()
    roles = {"user": "user", "agent": "assistant"}
    return {
        "id": turn["task_id"],
        "question": turn["input"][-1]["text"],
        "answers": [] if kind == "unanswerable" else [turn["targets"][0]["text"]],
        "history": [{"role": roles[one["speaker"]], "content": one["text"]} for one in turn["input"][:-1]],
        "group": turn["conversation_id"],
        "kind": kind,
        "principals": [LOCAL],
    }


def measured(root: Path) -> list[Item]:
    """Every question of a workspace, searched as the assistant would."""
    groundtune.sync(root)
    with Workspace.open(root) as workspace:
        retriever = open_retriever(workspace)
        rewrite = rewriting("words")
        found = []
        for example in read_questions(workspace.questions).examples:
            query = rewrite(example)
            caller = Caller.of(*example.principals)
            hits = retriever.search(query, caller=caller, k=retriever.settings.k)
            cosines = [float(hit.metadata["cosine"]) for hit in hits if "cosine" in hit.metadata]
            leads = [float(hit.metadata["lead"]) for hit in hits if "lead" in hit.metadata]
            found.append(
                Item(
                    group=example.group or example.id,
                    kind=kind_of(example),
                    evidence=evidence_of(query, hits) or 0.0,
                    cosine=float(hits[0].metadata.get("cosine", min(cosines, default=0.0))) if hits else 0.0,
                    nearest=max(cosines, default=0.0),
                    lead=max(leads, default=0.0),
                )
            )
    return found


def kind_of(example: Example) -> str:
    """The four classes of the data set; elsewhere whether there is an answer."""
    if example.kind in ("partial", "underspecified"):
        return example.kind
    return "answerable" if example.answers else "unanswerable"


def figures_of(name: str, items: Sequence[Item], *, seed: int = 0) -> dict[str, Figure]:
    sides = [one for one in items if one.kind in ("answerable", "unanswerable")]
    numbers, known = [one.evidence for one in sides], [one.kind == "answerable" for one in sides]
    low, high = interval(sides, seed=seed)
    covered, threshold = coverage_at(numbers, known)
    figures: dict[str, Figure] = {
        f"{name}_answerable": sum(known),
        f"{name}_unanswerable": len(known) - sum(known),
        f"{name}_share_answerable": float(np.mean(known)),
        f"{name}_auroc": auroc(numbers, known),
        f"{name}_auroc_low": low,
        f"{name}_auroc_high": high,
        f"{name}_coverage_at_90_precision": covered,
        f"{name}_abstained_of_unanswerable": float(
            np.mean([one.evidence < threshold for one in sides if one.kind == "unanswerable"])
        ),
    }
    if min(sum(known), len(known) - sum(known)) >= FEWEST:
        figures |= {f"{name}_held_out_{key}": value for key, value in held_out(sides, seed=seed).items()}
    for kind in ("partial", "underspecified"):
        others = [one.evidence for one in items if one.kind == kind]
        if others:
            figures[f"{name}_{kind}"] = len(others)
            figures[f"{name}_answered_of_{kind}"] = float(np.mean([number >= threshold for number in others]))
            figures[f"{name}_auroc_of_answerable_over_{kind}"] = auroc(
                [one.evidence for one in sides if one.kind == "answerable"] + others,
                [True] * sum(known) + [False] * len(others),
            )
    return figures


def interval(items: Sequence[Item], *, seed: int, strata: Sequence[int] = ()) -> tuple[float, float]:
    """95 % percentile bootstrap of the AUROC over conversations, within resamples that hold both kinds."""
    groups: dict[str, list[int]] = {}
    for place, one in enumerate(items):
        groups.setdefault(one.group, []).append(place)
    rows = [np.array(places) for places in groups.values()]
    numbers, known = np.array([one.evidence for one in items]), np.array([one.kind == "answerable" for one in items])
    parts = np.array(strata or [0] * len(items))

    def statistic(chosen: np.ndarray) -> float:
        places = np.concatenate([rows[int(one)] for one in chosen])
        return stratified_auroc(numbers[places], known[places], parts[places])

    drawn = IIDBootstrap(np.arange(len(rows)), seed=np.random.default_rng(seed)).apply(statistic, RESAMPLES)
    low, high = np.quantile(drawn[np.isfinite(drawn)], [0.025, 0.975])
    return float(low), float(high)


def stratified_auroc(numbers: np.ndarray, known: np.ndarray, strata: np.ndarray) -> float:
    """Share of the pairs within a stratum that stand in the right order; NaN where no stratum holds both kinds."""
    right = pairs = 0.0
    for one in np.unique(strata):
        inside = strata == one
        count = float(known[inside].sum() * (~known[inside]).sum())
        if count:
            right += count * auroc(numbers[inside], known[inside])
            pairs += count
    return right / pairs if pairs else float("nan")


def held_out(items: Sequence[Item], *, seed: int) -> dict[str, Figure]:
    """Each fold of conversations gets the formula with the largest AUROC on the others, and the threshold for it there.

    Numbers of different formulas cannot be compared: the AUROC counts pairs within a fold.
    """
    groups = sorted({one.group for one in items})
    order = np.random.default_rng(seed).permutation(len(groups))
    fold = {groups[int(place)]: number % FOLDS for number, place in enumerate(order)}
    judged: list[Item] = []
    strata: list[int] = []
    answered: list[bool] = []
    picked: Counter[str] = Counter()
    for number in range(FOLDS):
        others = [one for one in items if fold[one.group] != number]
        known = [one.kind == "answerable" for one in others]
        best = max(FORMULAS, key=lambda name: auroc([FORMULAS[name](one) for one in others], known))
        picked[best] += 1
        _, threshold = coverage_at([FORMULAS[best](one) for one in others], known, precision=PRECISION)
        mine = [Item(one.group, one.kind, FORMULAS[best](one)) for one in items if fold[one.group] == number]
        judged += mine
        strata += [number] * len(mine)
        answered += [one.kind == "answerable" for one in mine if one.evidence >= threshold]
    low, high = interval(judged, seed=seed, strata=strata)
    numbers, kinds = np.array([one.evidence for one in judged]), np.array([one.kind == "answerable" for one in judged])
    return {
        "auroc": stratified_auroc(numbers, kinds, np.array(strata)),
        "auroc_low": low,
        "auroc_high": high,
        "coverage": len(answered) / len(items),
        "precision": float(np.mean(answered)) if answered else None,
        "formulas_chosen": ", ".join(f"{name} {count}" for name, count in picked.most_common()),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="abstention", help="of the results")
    parser.add_argument("--work", type=Path, default=WORK / "abstention")
    parser.add_argument("--folder", type=Path, default=RESULTS)
    chosen = parser.parse_args(arguments)
    figures: dict[str, Figure] = {"product_formula_chosen_on": "answerable and unanswerable questions of qa_mtrag"}
    demo = chosen.work / "demo"
    if not demo.exists():
        groundtune.init(demo, demo=True)
    figures |= figures_of("demo", measured(demo))
    try:
        figures |= figures_of("mtrag", measured(convert_mtrag(chosen.work / "mtrag")))
    except NotFound as error:
        figures["mtrag_missing"] = str(error).splitlines()[0]
    save(chosen.name, figures, [], folder=chosen.folder)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
