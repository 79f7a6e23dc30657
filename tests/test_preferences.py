"""dpo, kto and grpo on a tiny random Llama: what TRL is fed token by token, what it leaves, and what is refused."""

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

torch = pytest.importorskip("torch", reason="training needs the extra `train`")
pytest.importorskip("peft", reason="training needs the extra `train`")
pytest.importorskip("trl", reason="preferences need the extra `preferences`")

from safetensors.numpy import load_file  # noqa: E402

from groundtune.errors import DataError, ModelFailure, UsageError  # noqa: E402
from groundtune.models import adapter as adapters  # noqa: E402
from groundtune.models import weights  # noqa: E402
from groundtune.prompting.chat import ChatTokenizer  # noqa: E402
from groundtune.scoring import chrf, contains, label_accuracy  # noqa: E402
from groundtune.training import checkpoints, loop, trl_trainer  # noqa: E402
from groundtune.training.data import TrainingPair  # noqa: E402
from groundtune.training.rewards import reward_of  # noqa: E402
from groundtune.training.rows import encode_rows, reward_accuracy, split_rows  # noqa: E402
from groundtune.training.trainer import train  # noqa: E402
from groundtune.types import Answer, Audience, Example, Message, Tuning  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")

EVERYONE = Audience.of("everyone")
DPO = Tuning(objective="dpo", epochs=2, batch_size=4, rank=4, alpha=8, learning_rate=1e-2, max_length=160)
KTO = replace(DPO, objective="kto", batch_size=2)
GRPO = replace(DPO, objective="grpo", batch_size=4, generations=2, answer_tokens=6, rewards=(("chrf", 1.0),))


def pair(number: int, **more: Any) -> TrainingPair:
    messages = (Message("system", "Be brief"), Message("user", f"What is {number} and {number}?"))
    return TrainingPair(f"p{number}", messages, f"it is {2 * number}", EVERYONE, **more)


PAIRS = [pair(number, rejected="who knows, perhaps nobody at all") for number in range(6)]
THUMBS = [pair(number, liked=number % 2 == 0) for number in range(6)]


def example_of(number: int) -> Example:
    return Example(f"p{number}", "?", (f"it is {2 * number}",))


ASKED = [pair(number, example=example_of(number)) for number in range(6)]
OF = {"dpo": (DPO, PAIRS), "kto": (KTO, THUMBS), "grpo": (GRPO, ASKED)}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.folder(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def tokens(home: Path) -> ChatTokenizer:
    return ChatTokenizer.from_folder(home)


def run(home: Path, out: Path, objective: str, *, tuning: Tuning | None = None, **more: Any) -> Any:
    settings, pairs = OF[objective]
    settings = tuning or settings
    reward = reward_of(settings.rewards) if settings.rewards else None
    return train(f"hf:{home}", pairs, settings, out=out, **{"seed": 0, "reward": reward, **more})


# --- what TRL is fed ----------------------------------------------------------------------------------------------------


def made(home: Path, tokens: ChatTokenizer, objective: str, folder: Path) -> Any:
    """TRL's trainer before its first step, on a fresh network."""
    tuning, pairs = OF[objective]
    network, _ = weights.torch_model(str(home))
    rows = encode_rows(pairs, tokens, tuning)[0]
    reward = reward_of(tuning.rewards) if tuning.rewards else None
    settled = replace(tuning, beta=0.0 if objective == "grpo" else 0.1)
    trainer = trl_trainer.trainer_of(
        network, rows, pairs, settled, seed=0, model=f"hf:{home}", scratch=str(folder), tokens=tokens, reward=reward
    )
    trainer.prepare(folder=folder, identity="i", lora=True, progress=None)
    return trainer


def test_dpo_token_by_token(home: Path, tokens: ChatTokenizer, tmp_path: Path) -> None:
    """TRL's collator on the first rows: prompt as served, answer to the end of turn, and only the answers are compared."""
    trainer = made(home, tokens, "dpo", tmp_path)
    rows = [trainer.train_dataset[place] for place in (0, 1)]
    batch = trainer.data_collator(rows)
    assert batch["input_ids"].shape[0] == 4  # chosen, chosen, rejected, rejected
    for place, (one, answer) in enumerate((PAIRS[n], text) for text in (0, 1) for n in (0, 1)):
        wanted = one.answer if answer == 0 else one.rejected
        prompt, said = tokens.render_pair(one.messages, wanted)
        assert prompt == tokens.render_ids(one.messages)
        assert said == [*tokens.encode(wanted), *tokens.stop_ids[-1:]]
        ids, mask = batch["input_ids"][place].tolist(), batch["completion_mask"][place].tolist()
        padding = len(ids) - len(prompt) - len(said)
        assert ids == prompt + said + [tokens.pad_id] * padding
        assert mask == [0] * len(prompt) + [1] * len(said) + [0] * padding
        assert batch["attention_mask"][place].tolist() == [1] * (len(prompt) + len(said)) + [0] * padding


def test_kto_token_by_token(home: Path, tokens: ChatTokenizer, tmp_path: Path) -> None:
    """As for dpo, with the thumbs; each batch's reference answers are its own, moved on by one prompt."""
    trainer = made(home, tokens, "kto", tmp_path)
    rows = [trainer.train_dataset[place] for place in (2, 3)]
    batch = trainer.data_collator(rows)
    assert batch["label"].tolist() == [True, False]
    for place, (one, other) in enumerate(((THUMBS[2], THUMBS[3]), (THUMBS[3], THUMBS[2]))):
        prompt, said = tokens.render_pair(one.messages, one.answer)
        moved = tokens.render_pair(other.messages, other.answer)[1]
        for name, answer in (("", said), ("KL_", moved)):
            ids, mask = batch[f"{name}input_ids"][place].tolist(), batch[f"{name}completion_mask"][place].tolist()
            padding = len(ids) - len(prompt) - len(answer)
            assert ids == prompt + answer + [tokens.pad_id] * padding
            assert mask == [0] * len(prompt) + [1] * len(answer) + [0] * padding


def test_grpo_token_by_token(home: Path, tokens: ChatTokenizer, tmp_path: Path) -> None:
    """Prompts as served; of a drawn answer all up to the end of turn counts, and it is scored as serving reads it."""
    trainer = made(home, tokens, "grpo", tmp_path)
    inputs = [trainer.train_dataset[place] for place in (0, 0, 3, 3)]
    batch = trainer._generate_and_score_completions(inputs)
    width = batch["prompt_ids"].shape[1]
    rewards = []
    for place, number in enumerate((0, 0, 3, 3)):
        prompt = tokens.render_ids(ASKED[number].messages)
        assert batch["prompt_ids"][place].tolist() == [tokens.pad_id] * (width - len(prompt)) + prompt
        assert batch["prompt_mask"][place].tolist() == [0] * (width - len(prompt)) + [1] * len(prompt)
        ids, mask = batch["completion_ids"][place].tolist(), batch["completion_mask"][place].tolist()
        end = next((at + 1 for at, one in enumerate(ids) if one in tokens.stop_ids), len(ids))
        assert mask == [1] * end + [0] * (len(ids) - end)
        rewards.append(chrf(example_of(number), Answer(tokens.decode(ids[:end]))))
    assert len(set(rewards)) > 1
    assert trainer.rewards == [pytest.approx(np.mean(rewards))]


def test_rows_that_do_not_fit_are_listed_and_nothing_is_cut(tokens: ChatTokenizer) -> None:
    long = replace(PAIRS[0], id="long", rejected="x " * 90)
    rows, too_long = encode_rows([*PAIRS, long], tokens, DPO)
    assert (len(rows), too_long) == (6, ["long"])
    with pytest.raises(DataError, match="every one of the 1 rows is longer"):
        encode_rows([long], tokens, DPO)


def test_thumbs_of_one_kind_are_refused(tokens: ChatTokenizer) -> None:
    with pytest.raises(DataError, match="all 6 rows have the same label"):
        encode_rows([replace(one, liked=True) for one in THUMBS], tokens, KTO)


# --- what it leaves -----------------------------------------------------------------------------------------------------


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("objective", ["dpo", "kto", "grpo"])
def test_same_seed_same_bytes_also_after_an_interruption(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, objective: str
) -> None:
    """And no pickle is written or read on the way, and no global generator is left moved."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a pickle")

    for module, name in ((torch, "load"), (torch, "save"), (pickle, "load"), (pickle, "dump")):
        monkeypatch.setattr(module, name, refuse)
    before = random.getstate(), torch.get_rng_state()
    whole = run(home, tmp_path / "whole", objective)
    assert random.getstate() == before[0] and torch.equal(torch.get_rng_state(), before[1])
    assert {path.name for path in (tmp_path / "whole").iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "training.json",
        "card.json",
        "MODEL_CARD.md",
    }
    steps = 4 if objective == "dpo" else 6  # three pairs of pairs, two at a time
    assert whole.steps == steps
    weights.torch_model(str(home), adapter=whole.adapter)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)

    def stop(stage: str, done: int, total: int) -> None:
        assert (stage, total) == ("train", steps)
        if done == steps - 1:
            raise Interrupted

    with pytest.raises(Interrupted):
        run(home, tmp_path / "cut", objective, progress=stop)
    assert [path.name for path in (tmp_path / "cut").iterdir()] == [checkpoints.FILE]
    continued = run(home, tmp_path / "cut", objective)
    assert (continued.resumed_at, continued.digest) == (steps - 1, whole.digest)
    assert (continued.loss_first, continued.loss_last) == (whole.loss_first, whole.loss_last)
    assert continued.details == whole.details


@pytest.mark.parametrize("method", ["full", "partial"])
def test_all_weights_or_the_top_learn_preferences_too(home: Path, tmp_path: Path, method: str) -> None:
    result = run(home, tmp_path, "dpo", tuning=replace(DPO, method=method, top_layers=1, learning_rate=1e-3))
    names = set(load_file(result.adapter / "tuned.safetensors"))
    assert all(".layers.1." in name or name == "model.norm.weight" for name in names) == (method == "partial")
    assert result.loss_last < result.loss_first == pytest.approx(np.log(2), abs=1e-4)  # both answers stand where they stood
    adapters.merge(load_file(home / "model.safetensors"), result.adapter, base=weights.digest(home))


def test_what_starts_from_tuned_weights_loads_by_itself(home: Path, tmp_path: Path) -> None:
    sft = Tuning(epochs=1, batch_size=2, rank=4, alpha=8, learning_rate=1e-2, max_length=160)
    start = train(f"hf:{home}", PAIRS, sft, out=tmp_path / "sft", seed=0)
    made = run(home, tmp_path / "dpo", "dpo", start=start.adapter)
    again = run(home, tmp_path / "again", "dpo", start=start.adapter)
    assert made.digest == again.digest != run(home, tmp_path / "bare", "dpo").digest
    stored = load_file(made.adapter / "tuned.safetensors")
    begun = weights.torch_model(str(home), adapter=start.adapter)[0].state_dict()
    plain = load_file(home / "model.safetensors")
    assert set(stored) == {name for name in plain if "proj" in name}
    for name, values in stored.items():  # small steps from the start, far from the base
        from_start = np.abs(values.astype(np.float32) - begun[name].numpy()).mean()
        assert 0 < from_start < np.abs(values.astype(np.float32) - plain[name].astype(np.float32)).mean()
    about = json.loads((made.adapter / "training.json").read_text())
    assert about["base"] == weights.digest(home)
    assert about["start"] == adapters.digest(start.adapter)


def test_a_start_that_learned_from_others_keeps_their_clauses(tmp_path: Path) -> None:
    first = replace(PAIRS[0], audience=Audience.of("sales"), documents=("secret",))
    start = train("fake:extract", [first], Tuning(), out=tmp_path / "one", seed=0)
    train("fake:extract", PAIRS[1:2], DPO, out=tmp_path / "two", seed=0, start=start.adapter)
    about = json.loads((tmp_path / "two" / "training.json").read_text())
    assert ["sales"] in about["audience"]["clauses"]
    assert (about["documents"], about["examples"]) == (["secret"], ["p1", "p0"])


# --- what is measured ---------------------------------------------------------------------------------------------------


def test_reward_accuracy_by_hand() -> None:
    def row(chosen: int, rejected: int) -> dict[str, Any]:
        return {"chosen_ids": [0] * chosen, "rejected_ids": [0] * rejected}

    def said(chosen: float, rejected: float) -> dict[str, float]:
        return {"chosen_ids": chosen, "rejected_ids": rejected}

    rows = [row(5, 2), row(2, 2), row(1, 4), row(9, 1)]
    before = [said(-5, -2), said(-2, -2), said(-1, -4), said(-9, -1)]
    after = [said(-4, -2), said(-2, -3), said(-3, -4), said(-9, -4)]  # gains 1:0, 0:-1, -2:0, 0:-3
    assert reward_accuracy(rows, before, after) == {
        "held_out_pairs": 4.0,
        "held_out_not_longer": 2.0,
        "reward_accuracy": 0.75,
        "accuracy_of_length": 0.5,
        "reward_accuracy_not_longer": 0.5,
    }
    thumbs = [{"completion_ids": [0] * size, "label": label} for size, label in ((3, True), (2, False), (4, False))]
    gains = [{"completion_ids": value} for value in (1.0, 0.0, 2.0)]
    assert reward_accuracy(thumbs, [{"completion_ids": 0.0}] * 3, gains) == {
        "held_out_pairs": 2.0,
        "held_out_not_longer": 1.0,
        "reward_accuracy": 0.5,
        "accuracy_of_length": 0.5,
        "reward_accuracy_not_longer": 0.0,
    }


def test_log_probabilities_are_the_models(home: Path, tokens: ChatTokenizer) -> None:
    network, _ = weights.torch_model(str(home))
    row = encode_rows(PAIRS[:1], tokens, DPO)[0][0]
    (found,) = trl_trainer.log_probabilities(network, [row], torch.device("cpu"))
    network.train(False)
    for name in ("chosen_ids", "rejected_ids"):
        ids = torch.tensor([row["prompt_ids"] + row[name]])
        logs = network(ids).logits.log_softmax(-1)[0, :-1].gather(1, ids[0, 1:, None])[:, 0]
        assert found[name] == pytest.approx(float(logs[-len(row[name]) :].sum()), rel=1e-4)


def test_held_out_rows_are_drawn_by_seed_and_not_trained_on() -> None:
    rows = [{"id": str(number)} for number in range(40)]
    kept, held = split_rows(rows, DPO, seed=0)
    assert (len(kept), len(held)) == (34, 6)
    assert {row["id"] for row in kept} | {row["id"] for row in held} == {row["id"] for row in rows}
    assert split_rows(rows[::-1], DPO, seed=0) == (kept, held) != split_rows(rows, DPO, seed=1)
    assert split_rows(rows[:19], DPO, seed=0)[1] == split_rows(rows, GRPO, seed=0)[1] == []


def test_a_reward_is_the_metric_itself() -> None:
    reward = reward_of((("label_accuracy", 2.0), ("contains", 0.5)))
    example = Example("e", "?", ("refund",))
    for text in ("Refund.", "a refund of money", "no"):
        answer = Answer(text)
        assert reward.score(0, example, text) == label_accuracy(example, answer)
        assert reward.score(1, example, text) == contains(example, answer)
    assert reward.score(0, Example("u", "?", ()), "Not in the documents.") == 1.0
    assert reward.identity != reward_of((("label_accuracy", 1.0), ("contains", 0.5))).identity
    with pytest.raises(UsageError, match="citation_recall: it scores citations"):
        reward_of((("citation_recall", 1.0),))
    with pytest.raises(UsageError, match="Did you mean 'contains'"):
        reward_of((("contain", 1.0),))


# --- what is refused ----------------------------------------------------------------------------------------------------


def test_what_cannot_be_trained_is_named(home: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a batch holds whole groups of 4 answers"):
        run(home, tmp_path, "grpo", tuning=replace(GRPO, generations=4, batch_size=6))
    with pytest.raises(UsageError, match="grpo needs a reward"):
        run(home, tmp_path, "grpo", tuning=replace(GRPO, rewards=()))
    with pytest.raises(ModelFailure, match=r"the loss is (nan|inf) at step \d+"):
        run(home, tmp_path, "dpo", tuning=replace(DPO, learning_rate=1e18))


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """transformers and datasets draw bars."""
    from datasets.utils import disable_progress_bars

    disable_progress_bars()
    yield
