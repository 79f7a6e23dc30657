"""Early stop on the task's metric, a sweep of learning rates within a budget, and what ends a training by name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny

torch = pytest.importorskip("torch", reason="training needs the extra `train`")
pytest.importorskip("peft", reason="training needs the extra `train`")

from test_lora import CPU, PAIRS, TUNING, Interrupted, encoded  # noqa: E402
from test_lora import tiny as letters_model  # noqa: E402

from groundtune.errors import ModelFailure  # noqa: E402
from groundtune.models import weights  # noqa: E402
from groundtune.models.hf import HfModel  # noqa: E402
from groundtune.scoring import chrf  # noqa: E402
from groundtune.training import loop, sweep  # noqa: E402
from groundtune.training.data import TrainingPair  # noqa: E402
from groundtune.training.drawn import Judge  # noqa: E402
from groundtune.training.rewards import reward_of  # noqa: E402
from groundtune.training.rows import hold_out  # noqa: E402
from groundtune.training.trainer import train  # noqa: E402
from groundtune.types import Answer, Audience, Example, Message, Tuning  # noqa: E402

REWARD = reward_of((("chrf", 1.0),))
EARLY = Tuning(
    epochs=4, batch_size=6, rank=4, alpha=8, learning_rate=1e-2, max_length=160, early_stop=True, patience=1, answer_tokens=6
)


def asked(number: int, *, group: str = "") -> TrainingPair:
    example = Example(f"p{number}", f"What is {number}?", (f"it is {number}",), group=group)
    return TrainingPair(
        example.id, (Message("user", example.question),), example.answers[0], Audience.of("everyone"), example=example
    )


ASKED = [asked(number) for number in range(24)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.folder(tmp_path_factory.mktemp("model") / "tiny")


# --- early stop ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "patience", "epochs", "kept"),
    [([0.1, 0.5, 0.4, 0.5, 0.9], 2, 4, 2), ([0.1, 0.2, 0.3, 0.4, 0.5], 1, 5, 5), ([0.3, 0.1, 0.4, 0.1, 0.1], 1, 2, 1)],
)
def test_the_best_epoch_is_kept_and_the_training_ends_without_a_better_one(
    tmp_path: Path, scores: list[float], patience: int, epochs: int, kept: int
) -> None:
    network, seen = letters_model(), []

    def score() -> float:
        assert not network.training
        seen.append({name: values.detach().clone() for name, values in network.named_parameters() if values.requires_grad})
        return scores[len(seen) - 1]

    tuning = replace(TUNING, method="full", epochs=5, patience=patience)
    trained = loop.fit(network, encoded(*PAIRS), tuning, seed=0, folder=tmp_path, identity="i", score=score)
    assert trained.scores == tuple(scores[:epochs])
    assert (len(trained.losses), trained.tokens) == (epochs * 4, epochs * sum(len(one.ids) for one in encoded(*PAIRS)))
    for name, values in trained.weights.items():
        assert torch.equal(values, seen[kept - 1][name])


def test_an_epochs_score_is_the_metric_of_greedy_answers_as_served(home: Path) -> None:
    network, tokens = weights.torch_model(str(home))
    pairs = [asked(5), asked(1234567), asked(66)]
    judge = Judge(network, tokens, pairs, REWARD, max_new_tokens=6)
    answers = HfModel(str(home)).generate([pair.messages for pair in pairs], max_new_tokens=6)
    wanted = [chrf(pair.example, Answer(answer.text)) for pair, answer in zip(pairs, answers, strict=True) if pair.example]
    assert judge() == pytest.approx(sum(wanted) / 3)
    assert judge.details((0.1, 0.3, 0.2)) == {
        "held_out": 3.0,
        "best_epoch": 2.0,
        "score_epoch_1": 0.1,
        "score_epoch_2": 0.3,
        "score_epoch_3": 0.2,
    }


def test_an_early_stop_is_deterministic_and_can_be_continued(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(f"hf:{home}", ASKED, EARLY, out=tmp_path / "whole", seed=0, reward=REWARD)
    assert whole.pairs == 20  # four of 24 are held out
    assert whole.details["held_out"] == 4.0
    assert whole.details["best_epoch"] >= 1
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)

    def stop(stage: str, done: int, total: int) -> None:
        if done == 5:  # in the second of at least two epochs of four steps
            raise Interrupted

    with pytest.raises(Interrupted):
        train(f"hf:{home}", ASKED, EARLY, out=tmp_path / "cut", seed=0, reward=REWARD, progress=stop)
    continued = train(f"hf:{home}", ASKED, EARLY, out=tmp_path / "cut", seed=0, reward=REWARD)
    assert (continued.resumed_at, continued.digest, continued.details) == (5, whole.digest, whole.details)


def test_held_out_pairs_are_drawn_by_group() -> None:
    pairs = [asked(number, group=f"g{number // 4}") for number in range(40)]
    kept, held = hold_out(pairs, seed=0)
    assert (len(kept), len(held)) == (34, 6)
    assert hold_out(pairs[::-1], seed=0)[1] == held[::-1]
    split = {pair.example.group for pair in kept if pair.example} & {pair.example.group for pair in held if pair.example}
    assert len(split) <= 1
    assert hold_out(pairs[:19], seed=0) == (pairs[:19], [])


# --- learning rates -----------------------------------------------------------------------------------------------------


def test_a_sweep_takes_the_rate_that_scores_best_and_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = {1e-3: 0.2, 3e-4: 0.6, 1e-4: 0.5}
    tried: list[tuple[float, int, int]] = []

    def scored(model: str, pairs: Any, tuning: Tuning, **_: Any) -> Any:
        tried.append((tuning.learning_rate or 0.0, len(pairs), tuning.epochs))
        if len(tried) == 2 and not (tmp_path / "again").exists():
            (tmp_path / "again").touch()
            raise Interrupted
        return SimpleNamespace(details={"score_epoch_1": scores[tuning.learning_rate or 0.0]})

    monkeypatch.setattr(sweep, "train", scored)
    monkeypatch.setattr(sweep, "measure_throughput", lambda *_, **__: 3.0)  # tokens a second
    tuning = Tuning(sweep_minutes=5.0)
    pairs = [asked(number) for number in range(100)]
    with pytest.raises(Interrupted):
        sweep.sweep_rates("embedded:tiny", pairs, tuning, out=tmp_path, seed=0, reward=REWARD)
    monkeypatch.setattr(sweep, "measure_throughput", lambda *_, **__: 1e9)  # another pace changes no choice
    rate, record = sweep.sweep_rates("embedded:tiny", pairs, tuning, out=tmp_path, seed=0, reward=REWARD)
    letters = sum(len(pair.answer) + len(pair.messages[0].content) for pair in pairs) / 100
    afforded = int(5 * 60 / 2 * 3.0 / (letters / 4) / 3)  # half of five minutes, three rates, four letters a token
    assert record == {"rate": 3e-4, "scores": {"0.001": 0.2, "0.0003": 0.6, "0.0001": 0.5}, "pairs": afforded}
    assert (rate, {count for _, count, _ in tried}, {epochs for *_, epochs in tried}) == (3e-4, {afforded}, {1})
    done = len(tried)
    assert sweep.sweep_rates("embedded:tiny", pairs, tuning, out=tmp_path, seed=0, reward=REWARD) == (rate, record)
    assert len(tried) == done
    few = sweep.sweep_rates("embedded:tiny", pairs[:19], tuning, out=tmp_path / "few", seed=0)
    assert few == (1e-3, {"rate": 1e-3, "why": "19 pairs are too few to compare rates on"})


def test_a_real_sweep_leaves_its_record_and_no_trials(home: Path, tmp_path: Path) -> None:
    tuning = replace(EARLY, early_stop=False, learning_rate=None, sweep_minutes=1e-6, epochs=1)
    given: dict[str, Any] = {"seed": 0, "reward": REWARD}
    rate, record = sweep.sweep_rates(f"hf:{home}", ASKED, tuning, out=tmp_path / "rates", **given)
    assert rate in (1e-3, 3e-4, 1e-4)
    assert record["pairs"] == 20
    assert [path.name for path in (tmp_path / "rates").iterdir()] == ["sweep.json"]
    plain = replace(tuning, learning_rate=rate, sweep_minutes=0.0)
    made = train(f"hf:{home}", ASKED, plain, out=tmp_path / "out", sweep=record, **given)
    about = json.loads((made.adapter / "training.json").read_text())
    assert about["sweep"] == record
    assert about["tuning"]["learning_rate"] == rate


# --- what ends a training by name, or does not --------------------------------------------------------------------------


def test_an_accelerator_that_is_too_small_gets_smaller_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, whole, halves = encoded(*PAIRS), letters_model(), letters_model()
    (loss, _), real = loop._step(whole, batch, CPU), loop.batch_loss
    tried: list[int] = []

    def small(network: Any, part: Any, device: Any) -> Any:
        tried.append(len(part))
        if len(part) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(network, part, CPU)

    monkeypatch.setattr(loop, "batch_loss", small)
    monkeypatch.setattr(loop, "native_bfloat16", lambda device: False)
    monkeypatch.setitem(loop.AT_ONCE, "cuda", 1024)
    got, tokens = loop._step(halves, batch, SimpleNamespace(type="cuda"))  # type: ignore[arg-type]
    assert got == pytest.approx(loss, rel=1e-5)
    assert all(len(part) <= 2 for part in loop.parts(batch, tokens=tokens))  # and so the next step begins
    assert tried[0] == len(batch) and max(tried[-4:]) <= 2
    for (name, got), (_, expected) in zip(halves.named_parameters(), whole.named_parameters(), strict=True):
        assert torch.allclose(got.grad, expected.grad, atol=1e-6), name


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"),
        torch.OutOfMemoryError("CUDA out of memory"),
    ],
)
def test_memory_that_runs_out_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(loop, "batch_loss", fail)
    with pytest.raises(ModelFailure, match=r"memory ran out.*Lower training\.batch_size or training\.max_length"):
        loop.fit(letters_model(), encoded(*PAIRS), TUNING, seed=0, folder=tmp_path, identity="i")
    monkeypatch.setattr(loop, "batch_loss", lambda *_: (_ for _ in ()).throw(RuntimeError("a defect")))
    with pytest.raises(RuntimeError, match="a defect"):
        loop.fit(letters_model(), encoded(*PAIRS), TUNING, seed=0, folder=tmp_path, identity="i")


def test_a_tokenizer_without_a_template_is_named(tmp_path: Path) -> None:
    home = tiny.folder(tmp_path / "tiny")
    (home / "chat_template.jinja").unlink()
    with pytest.raises(ModelFailure, match=r"the model has no chat template.*add chat_template\.jinja"):
        train(f"hf:{home}", ASKED, EARLY, out=tmp_path / "out", seed=0)
