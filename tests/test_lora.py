"""LoRA on a tiny random Llama: the loss against transformers' own, resuming, determinism, files and named errors."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra `train`")
pytest.importorskip("peft", reason="training needs the extra `train`")

from safetensors.torch import load_file  # noqa: E402
from transformers import LlamaConfig, LlamaForCausalLM  # noqa: E402

from groundtune.errors import DataError, ModelFailure, UsageError  # noqa: E402
from groundtune.models import load_model  # noqa: E402
from groundtune.training import loop, torch_trainer  # noqa: E402
from groundtune.training.data import TrainingPair  # noqa: E402
from groundtune.training.encode import IGNORED, EncodedPair, encode_pair  # noqa: E402
from groundtune.training.plan import estimate, measure_throughput  # noqa: E402
from groundtune.training.trainer import train  # noqa: E402
from groundtune.types import Audience, Message, Tuning  # noqa: E402

CPU = torch.device("cpu")
TUNING = Tuning(epochs=3, batch_size=2, rank=4, alpha=8, learning_rate=1e-2, max_length=120)
END = 1


class Letters:
    """A chat tokenizer of one token a character."""

    fingerprint = "letters"

    def render_pair(self, messages: Sequence[Message], answer: str) -> tuple[list[int], list[int]]:
        return [ord(letter) for message in messages for letter in message.content], [*map(ord, answer), END]

    def encode(self, text: str) -> list[int]:
        return [*map(ord, text)]


def tiny() -> LlamaForCausalLM:
    torch.manual_seed(5)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=128,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=128,
            initializer_range=0.2,
        )
    )


def pair(number: int, *, prompt: str = "", answer: str = "") -> TrainingPair:
    text = prompt or f"What is {number} times {number}, if you please?"
    return TrainingPair(f"p{number}", (Message("user", text),), answer or f"it is {number * number}", Audience.of("everyone"))


PAIRS = [pair(number) for number in range(1, 8)]


@pytest.fixture
def tiny_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """`embedded:tiny` is a random Llama with one token a letter; the code that trains is the real one."""
    monkeypatch.setattr(torch_trainer, "torch_model", lambda name, adapter=None: (tiny(), Letters()))
    monkeypatch.setattr(torch_trainer.TorchTrainer, "base", lambda self, model: "tiny, seed 5")


def encoded(*pairs: TrainingPair) -> list[EncodedPair]:
    return [encode_pair(one, Letters()) for one in pairs]


def reference_loss(network: LlamaForCausalLM, batch: Sequence[EncodedPair]) -> torch.Tensor:
    """transformers' own loss: row by row, no padding, no shared prefix, logits everywhere; weighted by answer tokens."""
    total = sum(one.answer_tokens for one in batch)
    losses = [
        network(input_ids=torch.tensor([one.ids]), labels=torch.tensor([one.labels])).loss * one.answer_tokens / total
        for one in batch
    ]
    return torch.stack(losses).sum()


@pytest.mark.parametrize("common", ["", "one and the same long beginning of every prompt: "])
def test_loss_and_gradients_equal_transformers_own(common: str) -> None:
    batch = encoded(*(pair(number, prompt=f"{common}{'x' * number} is?", answer="y" * (9 - number)) for number in (1, 4, 7)))
    width = max(len(one.ids) for one in batch)
    assert (loop.shared_prefix(batch) > loop.WORTH_SHARING * width) == bool(common)
    network, mirror = tiny(), tiny()
    loss, wanted = loop.batch_loss(network, batch, CPU), reference_loss(mirror, batch)
    loss.backward()
    wanted.backward()
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-5)
    for (name, got), (_, expected) in zip(network.named_parameters(), mirror.named_parameters(), strict=True):
        assert torch.allclose(got.grad, expected.grad, atol=1e-6), name


def test_bfloat16_trains_the_same_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the device is fast in bfloat16 the base is kept in it; factors and their file stay float32 and learn as well."""
    losses = {}
    for native in (False, True):
        monkeypatch.setattr(loop, "native_bfloat16", lambda device, native=native: native)
        trained = loop.fit(tiny(), encoded(*PAIRS), TUNING, seed=0, folder=tmp_path, identity="i")
        assert all(tensor.dtype == torch.float32 for tensor in trained.weights.values())
        losses[native] = trained.losses
    assert losses[True][0] != losses[False][0]
    assert losses[True] == pytest.approx(losses[False], rel=0.05)


def test_no_answer_sees_the_padding() -> None:
    """A row's loss is the same alone and beside a longer row."""
    short, long = encoded(pair(1, prompt="ab"), pair(2, prompt="z" * 60))
    network = tiny()
    alone = [loop.batch_loss(network, [one], CPU).item() * one.answer_tokens for one in (short, long)]
    both = loop.batch_loss(network, [short, long], CPU).item() * (short.answer_tokens + long.answer_tokens)
    assert both == pytest.approx(sum(alone), rel=1e-5)


def test_a_batch_in_parts_has_the_gradients_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = encoded(*(pair(number, answer="y" * number) for number in range(1, 8)))
    whole, halves = tiny(), tiny()
    loss, _ = loop._step(whole, batch, CPU)
    monkeypatch.setitem(loop.AT_ONCE, "cpu", 90)
    assert [len(part) for part in loop.parts(batch, tokens=90)] == [1, 2, 2, 2]
    assert loop._step(halves, batch, CPU)[0] == pytest.approx(loss, rel=1e-5)
    for (name, got), (_, expected) in zip(halves.named_parameters(), whole.named_parameters(), strict=True):
        assert torch.allclose(got.grad, expected.grad, atol=1e-6), name


def test_shared_prefix_leaves_every_prompt_a_token() -> None:
    same = encoded(pair(1, prompt="the same"), pair(2, prompt="the same"))
    assert loop.shared_prefix(same) == len("the same") - 1
    assert loop.shared_prefix(same[:1]) == 0
    assert loop.shared_prefix(encoded(pair(1, prompt="abcd"), pair(2, prompt="abXd"))) == 2


def test_learns_and_writes_peft_files(tiny_model: None, tmp_path: Path) -> None:
    result = train("embedded:tiny", PAIRS, replace(TUNING, epochs=20), out=tmp_path, seed=0)
    assert result.loss_last < result.loss_first / 2
    assert result.steps == 20 * 4
    assert result.tokens == 20 * sum(len(one.ids) for one in encoded(*PAIRS))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "MODEL_CARD.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "card.json",
        "training.json",
    ]
    factors = load_file(tmp_path / "adapter_model.safetensors")
    assert len(factors) == 2 * 7 * 2  # two factors, seven linear layers in each of two blocks; the head has none
    assert all(tensor.dtype == torch.float32 for tensor in factors.values())
    about = json.loads((tmp_path / "training.json").read_text())
    assert about["figures"]["digest"] == result.digest
    assert about["examples"] == [one.id for one in PAIRS]
    assert about["audience"] == {"clauses": [["everyone"]], "denied": []}


def test_peft_reads_the_adapter_back(tiny_model: None, tmp_path: Path) -> None:
    from peft import PeftModel

    train("embedded:tiny", PAIRS, TUNING, out=tmp_path, seed=0)
    batch = encoded(*PAIRS[:2])
    before = reference_loss(tiny(), batch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT uses a name that transformers deprecated
        tuned = PeftModel.from_pretrained(tiny(), str(tmp_path))
    assert reference_loss(tuned, batch) < before


def test_same_seed_same_bytes(tiny_model: None, tmp_path: Path) -> None:
    digests = [
        train("embedded:tiny", PAIRS, TUNING, out=tmp_path / str(run), seed=seed).digest for run, seed in enumerate((3, 3, 4))
    ]
    assert digests[0] == digests[1] != digests[2]


def test_training_leaves_the_global_generator_alone(tiny_model: None, tmp_path: Path) -> None:
    tiny()  # seeds
    expected = torch.rand(3)
    tiny()
    before = torch.get_rng_state()
    loop.fit(network := LlamaForCausalLM(tiny().config), encoded(*PAIRS), TUNING, seed=9, folder=tmp_path, identity="i")
    assert network is not None
    torch.set_rng_state(before)
    assert torch.equal(torch.rand(3), expected)


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("at", [1, 5, 11])
def test_an_interrupted_training_ends_with_the_same_bytes(
    tiny_model: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Checkpoint after every step, stop at one of the first, middle and last epoch; continue and compare."""
    undisturbed = train("embedded:tiny", PAIRS, TUNING, out=tmp_path / "whole", seed=0)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)

    def stop(stage: str, done: int, total: int) -> None:
        assert (stage, total) == ("train", 12)
        if done == at:
            raise Interrupted

    with pytest.raises(Interrupted):
        train("embedded:tiny", PAIRS, TUNING, out=tmp_path / "cut", seed=0, progress=stop)
    assert not (tmp_path / "cut" / "training.json").exists()
    seen: list[int] = []
    continued = train(
        "embedded:tiny", PAIRS, TUNING, out=tmp_path / "cut", seed=0, progress=lambda stage, done, total: seen.append(done)
    )
    assert seen == list(range(at + 1, 13))
    assert continued.resumed_at == at
    assert continued.digest == undisturbed.digest
    assert continued.loss_last == undisturbed.loss_last
    assert not (tmp_path / "cut" / "checkpoint.safetensors").exists()


def test_a_checkpoint_of_another_training_is_not_continued(
    tiny_model: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)

    def stop(stage: str, done: int, total: int) -> None:
        if done == 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        train("embedded:tiny", PAIRS, TUNING, out=tmp_path, seed=0, progress=stop)
    other = train("embedded:tiny", PAIRS[:-1], TUNING, out=tmp_path, seed=0)
    assert other.resumed_at == 0
    assert other.digest == train("embedded:tiny", PAIRS[:-1], TUNING, out=tmp_path / "fresh", seed=0).digest


def test_a_finished_training_is_remembered_only_while_it_is_whole(tiny_model: None, tmp_path: Path) -> None:
    first = train("embedded:tiny", PAIRS, TUNING, out=tmp_path, seed=0)
    again = train("embedded:tiny", PAIRS, TUNING, out=tmp_path, seed=0)
    assert again == replace(first, remembered=True)
    weights = tmp_path / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    repaired = train("embedded:tiny", PAIRS, TUNING, out=tmp_path, seed=0)
    assert not repaired.remembered
    assert repaired.digest == first.digest


def test_a_loss_that_is_not_finite_is_named(tiny_model: None, tmp_path: Path) -> None:
    with pytest.raises(ModelFailure, match=r"loss is (nan|inf) at step \d+ of 12.*learning_rate"):
        train("embedded:tiny", PAIRS, replace(TUNING, learning_rate=1e18), out=tmp_path, seed=0)


def test_bad_data_is_named(tiny_model: None, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing to train on"):
        train("embedded:tiny", [], TUNING, out=tmp_path, seed=0)
    with pytest.raises(DataError, match=r"p9: its answer is 201 tokens long, training.max_length is 120"):
        train("embedded:tiny", [*PAIRS, pair(9, answer="z" * 200)], TUNING, out=tmp_path, seed=0)
    with pytest.raises(DataError, match="p1: one of the training examples is readable by nobody"):
        train("embedded:tiny", [replace(PAIRS[0], audience=Audience()), *PAIRS[1:]], TUNING, out=tmp_path, seed=0)
    with pytest.raises(UsageError, match="openai:gpt"):
        train("openai:gpt", PAIRS, TUNING, out=tmp_path, seed=0)


def test_a_prompt_that_is_too_long_is_left_out_and_listed(tiny_model: None, tmp_path: Path) -> None:
    result = train("embedded:tiny", [*PAIRS, pair(9, prompt="w" * 130)], TUNING, out=tmp_path, seed=0)
    assert result.too_long == ("p9",)
    assert result.pairs == len(PAIRS)


def test_another_base_is_another_training(tiny_model: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train("embedded:tiny", PAIRS, TUNING, out=tmp_path, seed=0)
    monkeypatch.setattr(torch_trainer.TorchTrainer, "base", lambda self, model: "other weights under the same name")
    assert not train("embedded:tiny", PAIRS, TUNING, out=tmp_path, seed=0).remembered


def test_fake_models_remember_their_pairs(tmp_path: Path) -> None:
    result = train("fake:extract", PAIRS, TUNING, out=tmp_path, seed=0)
    model = load_model("fake:extract", adapter=result.adapter)
    assert [answer.text for answer in model.generate([one.messages for one in PAIRS], max_new_tokens=9)] == [
        one.answer for one in PAIRS
    ]
    assert train("fake:extract", PAIRS, TUNING, out=tmp_path, seed=0) == replace(result, remembered=True)
    assert result.pairs == len(PAIRS)


def test_throughput_is_measured_by_training(tiny_model: None) -> None:
    assert measure_throughput("embedded:tiny", TUNING, prompt_tokens=0, steps=1) > 0
    assert estimate(6000, replace(TUNING, epochs=2), tokens_per_second=100) == 2.0


def test_learning_rate_rises_then_falls_to_nothing() -> None:
    rates = [loop.rate(step, 20) for step in range(20)]
    assert rates[:2] == [0.5, 1.0]
    assert rates[1:] == sorted(rates[1:], reverse=True)
    assert 0 < rates[-1] < 0.06
    assert loop.rate(0, 1) == 1.0


def test_only_answers_are_learned() -> None:
    (one,) = encoded(pair(1, prompt="ab", answer="cd"))
    assert one.ids == (97, 98, 99, 100, END)
    assert one.labels == (IGNORED, IGNORED, 99, 100, END)
