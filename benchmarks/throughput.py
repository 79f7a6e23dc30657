"""Training speed against TRL's SFTTrainer at its best settings: the same ids, model, precision and machine, in turns.

    python -m benchmarks.throughput              # three pairs of each kind of prompt, about a quarter of an hour on two cores
    python -m benchmarks.throughput --pairs 1 --kinds chats --name throughput_reduced

Kinds: `raft` (questions with three paragraphs of XQuAD), `chats` (short, of the kto demo set) and `shared` (GeoQuery, whose
prompts all begin with the schema). Every training is a process of its own; each pair is kept as soon as it is done. A ratio is
taken within a pair, so that a busy machine slows both alike.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import RESULTS, ROOT, WORK, Figure, Goal, data_folder, goal, save
from benchmarks.learning_tasks import all_thumbs, geo, geo_schema, shuffled, xquad_paragraphs
from groundtune.answer.prompts import render_prompt
from groundtune.models.weights import torch_model
from groundtune.training.data import TrainingPair
from groundtune.training.encode import EncodedPair, encode_pair
from groundtune.types import Audience, Candidate, Chunk, Hit, Message

MODEL = "embedded:smollm2"
TRAINERS = ("groundtune", "trl")
GOALS = {"raft": 1.7, "chats": 1.9, "shared": 2.5}
"""Kind -> times as many tokens a second as TRL."""
SIZES = {"raft": (16, 4), "chats": (48, 8), "shared": (40, 8)}
"""Kind -> rows, and rows in a batch."""
HELD_OUT = 8
LOSS = 0.1
"""Largest difference of the two losses on held-out rows, as a share of the smaller one, at which they count as equal."""
SHORT = 256
"""Tokens of a short chat, at most."""


def raft() -> list[TrainingPair]:
    """A question with its paragraph and two others of the same article."""
    candidate, pairs = Candidate("rag_tuned", MODEL), []
    for article in xquad_paragraphs(data_folder("qa_xquad")):
        for place, (rows, _, _) in enumerate(article[:-2]):
            around = [article[(place + step) % len(article)] for step in (1, 0, 2)]
            hits = [Hit(Chunk(name, name, text, 0, len(text), (), 0), name, 0.0) for _, name, text in around]
            row = rows[0]
            pairs.append(_pair(row["id"], render_prompt(candidate, row["question"], hits=hits), row["answers"][0]))
    return pairs


def chats() -> list[TrainingPair]:
    rows = all_thumbs(data_folder("pref_dpo_kto_demo"))
    return [_pair(row["id"], [Message(**turn) for turn in row["prompt"]], row["completion"]) for row in rows]


def shared() -> list[TrainingPair]:
    data = data_folder("sql_text2sql_geo_rest")
    instruction = f"Write the SQLite query that answers the question. Tables: {geo_schema(data)}."
    candidate = Candidate("tuned", MODEL, instruction=instruction)
    return [_pair(row["id"], render_prompt(candidate, row["question"]), row["answers"][0]) for row in geo(data)]


KINDS: dict[str, Callable[[], list[TrainingPair]]] = {"raft": raft, "chats": chats, "shared": shared}


def _pair(id: str, messages: Sequence[Message], answer: str) -> TrainingPair:
    return TrainingPair(id, tuple(messages), answer, Audience.of("everyone"))


def written(kind: str, folder: Path) -> Path:
    """The rows of a kind as ids in a file, the same on every machine."""
    _, tokens = torch_model(MODEL)
    encoded = [encode_pair(pair, tokens) for pair in shuffled(KINDS[kind]()) if pair.answer.strip()]
    limit = SHORT if kind == "chats" else 1024
    encoded = [pair for pair in encoded if len(pair.ids) <= limit]
    count, batch = SIZES[kind]
    rows, held = encoded[:count], encoded[count : count + HELD_OUT]
    path = folder / f"{kind}.json"
    path.write_text(json.dumps({"rows": _plain(rows), "held_out": _plain(held), "batch_size": batch}), encoding="utf-8")
    return path


def _plain(pairs: Sequence[EncodedPair]) -> list[list[Any]]:
    return [[pair.id, pair.ids, pair.labels] for pair in pairs]


def trained(trainer: str, rows: Path) -> dict[str, Any]:
    """Figures of one training. Raises CalledProcessError with its errors on the screen."""
    command = [sys.executable, "-m", "benchmarks.throughput_child", trainer, str(rows)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def summary(kept: Sequence[dict[str, Any]], *, pairs: int) -> tuple[dict[str, Figure], list[Goal]]:
    """Medians over the pairs of each kind, their ratios, and the goals."""
    figures: dict[str, Figure] = {}
    goals = []
    for kind, wanted in GOALS.items():
        mine = [one for one in kept if one["kind"] == kind]
        figures[f"{kind}_pairs"] = len(mine)
        if mine:
            ratios = [one["groundtune"]["tokens_per_s"] / one["trl"]["tokens_per_s"] for one in mine]
            figures |= {f"{kind}_ratio": statistics.median(ratios), f"{kind}_ratio_least": min(ratios)}
            figures[f"{kind}_tokens"] = mine[0]["trl"]["tokens"]
            for trainer in TRAINERS:
                for name in ("tokens_per_s", "peak_mb", "held_out_loss"):
                    figures[f"{kind}_{trainer}_{name}"] = statistics.median(one[trainer][name] for one in mine)
            losses = [float(figures[f"{kind}_{trainer}_held_out_loss"] or 0.0) for trainer in TRAINERS]
            figures[f"{kind}_loss_apart"] = abs(losses[0] - losses[1]) / min(losses)
            figures[f"{kind}_peak_in_times_of_trl"] = statistics.median(
                one["groundtune"]["peak_mb"] / one["trl"]["peak_mb"] for one in mine
            )
        goals += [
            goal(f"{kind}_pairs", figures[f"{kind}_pairs"], ">=", pairs),
            goal(f"{kind}_ratio", figures.get(f"{kind}_ratio"), ">=", wanted),
            goal(f"{kind}_loss_apart", figures.get(f"{kind}_loss_apart"), "<=", LOSS),
            goal(f"{kind}_peak_in_times_of_trl", figures.get(f"{kind}_peak_in_times_of_trl"), "<=", 1.0),
        ]
    return figures, goals


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3, help="trainings of each kind by each trainer")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--name", default="throughput", help="of the results")
    parser.add_argument("--folder", type=Path, default=RESULTS)
    chosen = parser.parse_args(arguments)
    folder = WORK / chosen.name
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "pairs.jsonl"
    kept = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    rows = {kind: written(kind, folder) for kind in chosen.kinds}
    for number in range(chosen.pairs):
        for kind, path in rows.items():
            if any(one["kind"] == kind and one["number"] == number for one in kept):
                continue
            order = TRAINERS if number % 2 == 0 else TRAINERS[::-1]
            kept.append({"kind": kind, "number": number, **{trainer: trained(trainer, path) for trainer in order}})
            with file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(kept[-1]) + "\n")
            print(kind, number, json.dumps(kept[-1]), flush=True)
            save(chosen.name, *summary(kept, pairs=chosen.pairs), folder=chosen.folder)
    save(chosen.name, *summary(kept, pairs=chosen.pairs), folder=chosen.folder)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
