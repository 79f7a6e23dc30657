"""Does the fast engine answer as the reference does, and how fast is it? Base and tuned weights, 40 prompts from XQuAD.

Run: python -m benchmarks.engines (about 10 minutes on 2 cores). Reads qa_xquad below $GROUNDTUNE_DATA.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from transformers import AutoTokenizer, BertModel

from benchmarks.harness import Figure, data_folder, goal, save
from groundtune.interfaces import LanguageModel
from groundtune.models import openvino, weights
from groundtune.models.hf import HfModel
from groundtune.models.minilm import WINDOW, MiniLM
from groundtune.prompting import templates
from groundtune.prompting.chat import ChatTokenizer
from groundtune.training.data import TrainingPair
from groundtune.training.trainer import train
from groundtune.types import NOT_IN_DOCUMENTS, Audience, Generation, Message, Tuning

PROMPTS = 40
TRAINING_PAIRS = 64
NEW_TOKENS = 24
FEW = 16
"""Prompts of the comparisons that need fewer."""
BATCH = 8
OWN_DEFAULTS: dict[str, Any] = {}
"""OpenVINO's own settings: f32 arithmetic where the processor has no bf16, but an 8-bit key-value cache."""


def paragraphs() -> list[tuple[str, str, str]]:
    """(paragraph, question, answer), the first question of each."""
    data = json.loads((data_folder("qa_xquad") / "xquad.en.json").read_text(encoding="utf-8"))["data"]
    found = [(one["context"], one["qas"][0]) for article in data for one in article["paragraphs"]]
    return [(text, asked["question"], asked["answers"][0]["text"]) for text, asked in found]


def conversation(question: str, sources: Sequence[str]) -> tuple[Message, ...]:
    shown = [{"heading": f"Paragraph {number}", "text": text} for number, text in enumerate(sources, 1)]
    return (
        Message("user", templates.render("answer", instruction="", question=question, sources=shown, unknown=NOT_IN_DOCUMENTS)),
    )


def prompts(rows: Sequence[tuple[str, str, str]]) -> list[tuple[Message, ...]]:
    """Every fifth row, with none, one, two or three paragraphs; the one that answers is among them."""
    chosen = rows[: PROMPTS * 5 : 5]
    texts = [text for text, _, _ in rows]
    return [
        conversation(question, [text, *texts[number + 7 :: 31]][: number % 4])
        for number, (text, question, _) in enumerate(chosen)
    ]


def adapter(rows: Sequence[tuple[str, str, str]], out: Path) -> Path:
    """A short training on questions that are not asked below."""
    pairs = [
        TrainingPair(f"q{number}", conversation(question, []), answer, Audience.of("everyone"))
        for number, (_, question, answer) in enumerate(rows)
        if number % 5
    ]
    tuning = Tuning(epochs=1, max_length=256)
    return train("embedded:smollm2", pairs[:TRAINING_PAIRS], tuning, out=out, seed=0).adapter


def say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def timed(model: LanguageModel, asked: Sequence[Sequence[Message]], *, batch: int) -> tuple[list[Generation], float]:
    """Answers and wall seconds, `batch` prompts a call."""
    model.generate(asked[:1], max_new_tokens=2)
    started, answers = time.perf_counter(), []
    for start in range(0, len(asked), batch):
        answers += model.generate(asked[start : start + batch], max_new_tokens=NEW_TOKENS)
    return answers, time.perf_counter() - started


def equal_share(found: Sequence[Generation], wanted: Sequence[Generation]) -> float:
    return sum(one.text == other.text for one, other in zip(found, wanted, strict=True)) / len(wanted)


def measure_models(asked: Sequence[Sequence[Message]], tuned: Path) -> dict[str, Figure]:
    figures: dict[str, Figure] = {"prompts": len(asked), "new_tokens_limit": NEW_TOKENS}
    say("reference, base")
    reference, figures["transformers_f32_batch_8_seconds"] = timed(HfModel("smollm2"), asked, batch=BATCH)
    figures["prompt_tokens_mean"] = sum(answer.usage.input_tokens for answer in reference) / len(asked)
    figures["answer_tokens_mean"] = sum(answer.usage.output_tokens for answer in reference) / len(asked)
    say("OpenVINO, base")
    base = openvino.OpenVinoModel("smollm2")
    answers, figures["openvino_batch_8_seconds"] = timed(base, asked, batch=BATCH)
    figures["openvino_base_equal_share"] = equal_share(answers, reference)
    alone, took = timed(base, asked[:FEW], batch=1)
    figures["openvino_batch_1_seconds_per_answer"] = took / FEW
    figures["openvino_batch_1_equals_batch_8_share"] = equal_share(alone, answers[:FEW])
    again, _ = timed(base, asked[:FEW], batch=BATCH)
    figures["openvino_repeat_equal_share"] = equal_share(again, answers[:FEW])
    say(f"{figures}")
    say("reference and OpenVINO, tuned")
    tuned_reference, _ = timed(HfModel("smollm2", adapter=tuned), asked, batch=BATCH)
    tuned_answers, _ = timed(openvino.OpenVinoModel("smollm2", adapter=tuned), asked, batch=BATCH)
    figures["openvino_tuned_equal_share"] = equal_share(tuned_answers, tuned_reference)
    figures["tuned_differs_from_base_share"] = 1 - equal_share(tuned_answers, answers)
    say(f"{figures}")
    say("OpenVINO's own defaults")
    chosen, openvino.PROPERTIES = openvino.PROPERTIES, OWN_DEFAULTS
    plain = openvino.OpenVinoModel("smollm2")
    openvino.PROPERTIES = chosen
    answers, figures["openvino_own_defaults_batch_8_seconds"] = timed(plain, asked, batch=BATCH)
    figures["openvino_own_defaults_equal_share"] = equal_share(answers, reference)
    say("rates")
    return figures | rates(base)


def rates(model: LanguageModel) -> dict[str, Figure]:
    """Tokens a second: reading a long prompt, and writing at batch 1 and 8 (time to first token taken off)."""
    long = (Message("user", "List the words. " + "the quick brown fox jumps over it " * 80),)
    story = (Message("user", "Write a long story about a ship."),)

    def seconds(batch: int, prompt: Sequence[Message], limit: int) -> tuple[float, list[Generation]]:
        started = time.perf_counter()
        answers = model.generate([prompt] * batch, max_new_tokens=limit)
        return time.perf_counter() - started, answers

    figures: dict[str, Figure] = {}
    took, answers = min((seconds(1, long, 1) for _ in range(3)), key=lambda pair: pair[0])
    figures["openvino_prefill_tokens_per_second"] = answers[0].usage.input_tokens / took
    for batch in (1, BATCH):
        first, _ = min((seconds(batch, story, 1) for _ in range(2)), key=lambda pair: pair[0])
        took, answers = min((seconds(batch, story, 64) for _ in range(2)), key=lambda pair: pair[0])
        written = sum(answer.usage.output_tokens - 1 for answer in answers)
        figures[f"openvino_decode_batch_{batch}_tokens_per_second"] = written / (took - first)
    return figures


def measure_fresh_process() -> dict[str, Figure]:
    """Wall seconds of a new process that loads both models, embeds a question and answers it."""
    code = (
        "from groundtune.models import load_embedder, load_model; from groundtune.types import Message;"
        "load_embedder('embedded:minilm').embed(['How long is notice?']);"
        "load_model('embedded:smollm2').generate([[Message('user', 'How long is notice?')]], max_new_tokens=8)"
    )
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        seconds.append(time.perf_counter() - started)
    return {"fresh_process_load_and_answer_seconds": min(seconds)}


def measure_tokens(texts: Sequence[str]) -> dict[str, Figure]:
    """Against transformers' own conversion of the file, which forgets that digits stand alone (`weights.tokenizer_json`)."""
    file = weights.installed("smollm2")
    if file is None:
        return {"tokenizer_equal_share": None}
    theirs = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    mine = ChatTokenizer.from_folder(weights.folder("smollm2"))
    same = [mine.encode(text) == theirs.encode(text, add_special_tokens=False) for text in texts]
    return {"tokenizer_texts": len(texts), "tokenizer_equal_share": sum(same) / len(same)}


def measure_embedder(texts: Sequence[str]) -> dict[str, Figure]:
    import torch

    embedder = MiniLM()
    embedder.embed(texts[:4])
    started = time.perf_counter()
    rows = embedder.embed(texts)
    took = time.perf_counter() - started
    queries = []
    for text in texts[:50]:
        started = time.perf_counter()
        embedder.embed([text[:60]])
        queries.append(time.perf_counter() - started)
    home = weights.folder("minilm")
    bert, tokenizer = BertModel.from_pretrained(home, add_pooling_layer=False), AutoTokenizer.from_pretrained(home)
    bert.train(False)
    wanted = []
    with torch.no_grad():
        for text in texts[:50]:
            states = bert(**tokenizer(text, truncation=True, max_length=WINDOW, return_tensors="pt")).last_hidden_state
            wanted.append(torch.nn.functional.normalize(states.mean(dim=1), dim=1)[0].numpy())
    tokens = [min(embedder.count_tokens(text), embedder.max_tokens) for text in texts]
    return {
        "minilm_texts": len(texts),
        "minilm_tokens_mean": float(np.mean(tokens)),
        "minilm_texts_per_second": len(texts) / took,
        "minilm_query_median_ms": float(np.median(queries)) * 1000,
        "minilm_cosine_to_bert_min": float((rows[:50] * np.array(wanted)).sum(axis=1).min()),
        "minilm_alone_equals_batch": bool(
            np.array_equal(rows[:20], np.stack([embedder.embed([text])[0] for text in texts[:20]]))
        ),
    }


def main() -> None:
    rows = paragraphs()
    say("training")
    texts = [text for text, _, _ in rows]
    with tempfile.TemporaryDirectory() as folder:
        figures = measure_models(prompts(rows), adapter(rows, Path(folder) / "adapter"))
    say("loading, tokenizer, embedder")
    figures |= measure_fresh_process() | measure_tokens(texts) | measure_embedder(texts)
    goals = [
        goal("openvino_base_equal_share", figures["openvino_base_equal_share"], ">=", 0.9),
        goal("openvino_tuned_equal_share", figures["openvino_tuned_equal_share"], ">=", 0.9),
        goal("tuned_differs_from_base_share", figures["tuned_differs_from_base_share"], ">=", 0.5),
        goal("openvino_repeat_equal_share", figures["openvino_repeat_equal_share"], "==", 1.0),
        goal("fresh_process_load_and_answer_seconds", figures["fresh_process_load_and_answer_seconds"], "<=", 15),
        goal("minilm_cosine_to_bert_min", figures["minilm_cosine_to_bert_min"], ">=", 0.999),
        goal("minilm_alone_equals_batch", figures["minilm_alone_equals_batch"], "==", True),
    ]
    save("engines", figures, goals)


if __name__ == "__main__":
    main()
