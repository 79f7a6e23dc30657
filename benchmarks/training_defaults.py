"""Which training settings work best for SmolLM2 in a minute or two: one training and its held-out answers per call.

    python benchmarks/training_defaults.py raft --epochs 2 --learning-rate 1e-3 --batch-size 4

Tasks: `closed` (handbook questions without documents), `raft` (with three chunks of about 120 tokens, one of them gold) and
`intents` (27 labels). Data are read in place below $GROUNDTUNE_DATA (default ../shared/data). Each call appends one line to
--results; figures quoted in docs/experiments.md come from there. Answers are greedy, by transformers in float32.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import re
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from groundtune.answer.prompts import render_prompt
from groundtune.dataset.check import locate
from groundtune.dataset.split import assign_groups, folds
from groundtune.ingest.chunk import chunk
from groundtune.models.weights import torch_model
from groundtune.scoring.text import contains, exact_match, f1
from groundtune.training.data import TrainingPair, raft_pairs, sft_pairs
from groundtune.training.trainer import train
from groundtune.types import (
    Answer,
    Audience,
    Caller,
    Candidate,
    Chunk,
    Document,
    Evidence,
    Example,
    Hit,
    Message,
    RetrievedContext,
    Tuning,
)  # fmt: skip

DATA = Path(os.environ.get("GROUNDTUNE_DATA", "../shared/data"))
EVERYONE = Audience.of("everyone")
MODEL = "embedded:smollm2"


class WordOverlap:
    """A stand-in retriever: chunks by the summed inverse document frequency of the words that they share with the question."""

    fingerprint = "word-overlap"

    def __init__(self, documents: dict[str, Document], chunks: list[Chunk]) -> None:
        self._documents, self._chunks = documents, chunks
        self._words = [set(re.findall(r"\w+", one.text.lower())) for one in chunks]
        self._seen = Counter(word for words in self._words for word in words)

    def search(self, question: str, *, caller: Caller, k: int) -> list[Hit]:  # noqa: ARG002 - a seam's form
        wanted = set(re.findall(r"\w+", question.lower()))
        total = len(self._chunks)
        scores = [sum(math.log(total / self._seen[word]) for word in wanted & words) for words in self._words]
        best = sorted(range(total), key=lambda place: (-scores[place], place))[:k]
        return [Hit(self._chunks[place], self._documents[self._chunks[place].document].title, scores[place]) for place in best]

    def document(self, document: str, *, caller: Caller) -> Document:  # noqa: ARG002
        return self._documents[document]

    def audience(self, document: str) -> Audience:  # noqa: ARG002
        return EVERYONE


def handbook(count_tokens: Callable[[str], int]) -> tuple[list[Example], dict[str, list[tuple[str, int, int]]], WordOverlap]:
    """Single-text questions with located evidence, and the handbook in chunks of 120 model tokens."""
    root = DATA / "kb_gitlab_handbook"
    documents: dict[str, Document] = {}
    for path in sorted((root / "content" / "handbook").rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        title = re.search(r"^title:\s*[\"']?(.+?)[\"']?\s*$", text, re.MULTILINE)
        name = path.relative_to(root / "content" / "handbook").as_posix()
        documents[name] = Document(name, title.group(1) if title else path.stem, text, "")
    chunks = [part for document in documents.values() for part in chunk(document, tokens=120, count_tokens=count_tokens)]
    examples, spans = [], {}
    for number, line in enumerate((root / "datasets" / "single_text.jsonl").read_text(encoding="utf-8").splitlines()):
        row = json.loads(line)
        evidence = [Evidence(name, quote) for source in row["retrieval"] for name, quotes in source.items() for quote in quotes]
        found = [
            (item.document, *span)
            for item in evidence
            for span in (locate(item.quote, documents[item.document].text) or ())[:1]
        ]
        if found:
            example = Example(f"q{number}", row["question"], (row["answer"],), evidence=tuple(evidence))
            examples.append(example)
            spans[example.id] = found
    return list(assign_groups(examples)), spans, WordOverlap(documents, chunks)


def intents(train_items: int, test_items: int) -> tuple[list[Example], list[Example]]:
    """The first `train_items` training and `test_items` test rows of a fixed shuffle."""

    def rows(part: str, count: int) -> list[Example]:
        path = next((DATA / "cs_bitext_intents" / "data" / part).glob("*.csv"))
        with path.open(encoding="utf-8", newline="") as stream:
            table = list(csv.DictReader(stream))
        order = torch.randperm(len(table), generator=torch.Generator().manual_seed(7)).tolist()[:count]
        return [Example(f"{part}{place}", table[place]["utterance"], (table[place]["intent"],)) for place in order]

    return rows("train", train_items), rows("test", test_items)


def answer(prompts: list[TrainingPair], *, adapter: Path | None, max_new_tokens: int, batch_size: int = 8) -> list[str]:
    """Greedy answers of the reference engine, longest prompts first."""
    network, tokens = torch_model(MODEL, adapter=adapter)
    ids = [tokens.render_ids(pair.messages) for pair in prompts]
    order = sorted(range(len(ids)), key=lambda place: -len(ids[place]))
    texts = [""] * len(ids)
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        width = max(len(ids[place]) for place in batch)
        padded = torch.tensor([[tokens.pad_id] * (width - len(ids[place])) + ids[place] for place in batch])
        mask = torch.tensor([[0] * (width - len(ids[place])) + [1] * len(ids[place]) for place in batch])
        with torch.no_grad():
            out = network.generate(
                padded, attention_mask=mask, max_new_tokens=max_new_tokens, do_sample=False,
                eos_token_id=list(tokens.stop_ids), pad_token_id=tokens.pad_id,
            )  # fmt: skip
        for place, row in zip(batch, out[:, width:].tolist(), strict=True):
            texts[place] = tokens.decode(row)
    return texts


def main() -> None:
    defaults = Tuning()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["closed", "raft", "intents"])
    parser.add_argument("--epochs", type=int, default=defaults.epochs, help="0 answers with the untuned model")
    parser.add_argument("--learning-rate", type=float, default=defaults.learning_rate)
    parser.add_argument("--batch-size", type=int, default=defaults.batch_size)
    parser.add_argument("--rank", type=int, default=defaults.rank)
    parser.add_argument("--gold-share", type=float, default=defaults.gold_share)
    parser.add_argument("--unanswerable-share", type=float, default=defaults.unanswerable_share)
    parser.add_argument("--pairs", type=int, default=65, help="training pairs")
    parser.add_argument("--test", type=int, default=1000, help="held-out questions at most")
    parser.add_argument("--no-labels", action="store_true", help="intents: leave the list of labels out of the prompt")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--note", default="")
    parser.add_argument("--results", type=Path, default=Path("/tmp/training_defaults.jsonl"))
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    tuning = replace(
        defaults, epochs=max(asked.epochs, 1), learning_rate=asked.learning_rate, batch_size=asked.batch_size, rank=asked.rank,
        alpha=2 * asked.rank, gold_share=asked.gold_share, unanswerable_share=asked.unanswerable_share,
        objective="raft" if asked.task == "raft" else "sft",
    )  # fmt: skip
    pairs, test, prompts = material(asked, tuning)
    row: dict[str, object] = {"task": asked.task, "note": asked.note, "pairs": len(pairs), "items": len(test)}
    adapter = None
    with tempfile.TemporaryDirectory() as out:
        if asked.epochs:
            cpu = time.process_time()
            result = train(MODEL, pairs, tuning, out=Path(out), seed=asked.seed)
            cpu = time.process_time() - cpu
            adapter = Path(out)
            row |= {name: getattr(tuning, name) for name in ("epochs", "learning_rate", "batch_size", "rank", "gold_share")}
            row |= {
                "seed": asked.seed, "steps": result.steps, "tokens": result.tokens, "wall_s": round(result.seconds, 1),
                "cpu_s": round(cpu, 1), "tokens_per_cpu_s": round(result.tokens / cpu, 1),
                "loss_first": round(result.loss_first, 3), "loss_last": round(result.loss_last, 3),
                "peak_gb": round(result.peak_memory_bytes / 1e9, 2),
            }  # fmt: skip
        texts = answer(prompts, adapter=adapter, max_new_tokens=24)
    answers = [Answer(text, abstained=bool(re.search(r"\bnot in the documents?\b", text, re.IGNORECASE))) for text in texts]
    for name, metric in (("em", exact_match), ("f1", f1), ("contains", contains)):
        row[name] = round(sum(metric(*both) for both in zip(test, answers, strict=True)) / len(test), 3)
    row["abstained"] = sum(one.abstained for one in answers)
    print(json.dumps(row))
    for example, text in list(zip(test, texts, strict=True))[:6]:
        print(f"   {example.answers[0]!r:40} <- {text!r}")
    with asked.results.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(row) + "\n")


def material(asked: argparse.Namespace, tuning: Tuning) -> tuple[list[TrainingPair], list[Example], list[TrainingPair]]:
    """(training pairs, held-out examples, their prompts)."""
    users = [Caller()]
    if asked.task == "intents":
        train_examples, test = intents(asked.pairs, min(asked.test, 150))
        labels = sorted({example.answers[0] for example in train_examples + test})
        candidate = Candidate("tuned", MODEL, prompt="label_example" if asked.no_labels else "label", tuning=tuning)

        def render(example: Example, hits: Sequence[Hit]) -> tuple[Message, ...]:  # noqa: ARG001
            return render_prompt(candidate, example.question, labels=labels)

        made = [sft_pairs(part, users=users, audience_of=lambda _: EVERYONE, render=render) for part in (train_examples, test)]
        return list(made[0].pairs), test, list(made[1].pairs)
    _, tokens = torch_model(MODEL)
    examples, spans, retriever = handbook(tokens.count)
    held_out = set(folds(examples, 3, seed=0)[0])
    train_examples = [example for example in examples if example.id not in held_out][: asked.pairs]
    test = [example for example in examples if example.id in held_out][: asked.test]
    context = RetrievedContext() if asked.task == "raft" else None
    candidate = Candidate("tuned", MODEL, context=context, tuning=tuning)

    def show(example: Example, hits: Sequence[Hit]) -> tuple[Message, ...]:
        return render_prompt(candidate, example.question, hits=hits)

    if asked.task == "closed":
        made = [sft_pairs(part, users=users, audience_of=lambda _: EVERYONE, render=show) for part in (train_examples, test)]
        return list(made[0].pairs), test, list(made[1].pairs)

    def with_sources(part: list[Example], settings: Tuning) -> list[TrainingPair]:
        made = raft_pairs(
            part, retriever=retriever, users=users, audience_of=lambda _: EVERYONE, evidence=spans, render=show,
            tuning=settings, k=3, seed=asked.seed,
        )  # fmt: skip
        if made.without_gold:
            print("without gold:", made.without_gold)
        return list(made.pairs)

    always = replace(tuning, gold_share=1.0, unanswerable_share=0.0)
    prompts = with_sources(test, always)
    asked_of = {pair.id for pair in prompts}
    return with_sources(train_examples, tuning), [example for example in test if example.id in asked_of], prompts


if __name__ == "__main__":
    main()
