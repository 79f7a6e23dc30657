"""Races the candidates on kb_gitlab_handbook. Knows the run's options and goals.

python -m benchmarks.handbook                      # the 100 single-text questions: the figures that are kept
python -m benchmarks.handbook --kinds negation temporal --name handbook_other
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import groundtune
from benchmarks.convert_handbook import KINDS, convert, documents_folder
from benchmarks.figures import STANDARD, announce, figures_of, race_goals
from benchmarks.harness import WORK, data_folder, save, write_rows, write_settings
from groundtune.cli import progress

SETTINGS = {
    "[chunking]": "tokens = 120",
    "[training]": "epochs = 1\nbatch_size = 4",
    "[decision]": "folds = 2\nmax_new_tokens = 20",
}
"""Small enough for two CPU cores: each tuned candidate is trained twice, one epoch on about fifty prompts of 450 tokens."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["single_text"], help="kinds of questions")
    parser.add_argument("--name", default="handbook", help="name of the results file")
    parser.add_argument("--model", default="embedded:smollm2", help="provider:name")
    parser.add_argument("--candidates", nargs="+", choices=STANDARD, default=list(STANDARD))
    parser.add_argument("--budget", help="such as 60m")
    options = parser.parse_args(arguments)

    data = data_folder("kb_gitlab_handbook")
    work = WORK / options.name
    questions = write_rows(work / "questions.jsonl", convert(data, kinds=tuple(options.kinds)))
    from_nothing = not (work / "race").exists()
    write_settings(work / "race", documents=documents_folder(data), questions=questions, settings=SETTINGS)
    started = time.monotonic()
    with progress.shown(as_json=False) as show:
        decision = groundtune.decide(
            documents=documents_folder(data),
            questions=questions,
            out=work / "race",
            model=options.model,
            candidates=tuple(options.candidates),
            budget=options.budget,
            announce=announce,
            progress=show,
        )
    report = decision.report
    assert report is not None  # only a plan has none
    minutes = (time.monotonic() - started) / 60
    figures = {**figures_of(report), "kinds": ", ".join(options.kinds), "minutes_total": minutes, "from_nothing": from_nothing}
    save(options.name, figures, race_goals(report, expected=options.candidates))


if __name__ == "__main__":
    main()
