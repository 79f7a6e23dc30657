"""Races the candidates on cs_bitext_intents: 27 labels, no documents. Knows the run's options and goals.

python -m benchmarks.intents                # 450 utterances: the product keeps half for training and 180 for the test
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import groundtune
from benchmarks.convert_intents import convert
from benchmarks.figures import STANDARD, announce, figures_of, not_applicable, race_goals
from benchmarks.harness import WORK, data_folder, goal, save, write_rows, write_settings
from groundtune.cli import progress

RETRIEVING = ("rag", "rag_tuned")
"""Candidates that have nothing to retrieve from here."""


SETTINGS = {"[training]": "epochs = 2", "[decision]": "max_new_tokens = 16"}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=450, help="utterances; from 300 on a part is kept as a sealed test")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--name", default="intents", help="name of the results file")
    parser.add_argument("--model", default="embedded:smollm2", help="provider:name")
    parser.add_argument("--budget", help="such as 60m")
    options = parser.parse_args(arguments)

    work = WORK / options.name
    rows = convert(data_folder("cs_bitext_intents"), size=options.size, seed=options.seed)
    questions = write_rows(work / "questions.jsonl", rows)
    from_nothing = not (work / "race").exists()
    write_settings(work / "race", documents=None, questions=questions, settings=SETTINGS)
    started = time.monotonic()
    with progress.shown(as_json=False) as show:
        decision = groundtune.decide(
            questions=questions,
            out=work / "race",
            model=options.model,
            metric="label_accuracy",
            budget=options.budget,
            announce=announce,
            progress=show,
        )
    report = decision.report
    assert report is not None  # only a plan has none
    minutes = (time.monotonic() - started) / 60
    labels = {row["answers"][0] for row in rows}
    figures = {**figures_of(report), "labels_count": len(labels), "minutes_total": minutes, "from_nothing": from_nothing}
    goals = [
        *race_goals(report, expected=[name for name in STANDARD if name not in RETRIEVING]),
        *(goal(f"not_applicable_{name}", name in not_applicable(report), "==", True) for name in RETRIEVING),
    ]
    save(options.name, figures, goals)


if __name__ == "__main__":
    main()
