"""full and partial beside lora, and plain text beside answers: what learns, what is stored and merged, what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny as tiny_folder
from safetensors.numpy import load_file, save_file

torch = pytest.importorskip("torch", reason="training needs the extra `train`")
pytest.importorskip("peft", reason="training needs the extra `train`")

from test_lora import CPU, PAIRS, TUNING, Interrupted, encoded, reference_loss, tiny, tiny_model  # noqa: E402, F401

from groundtune.access.audience import may_read  # noqa: E402
from groundtune.errors import ModelFailure, UsageError  # noqa: E402
from groundtune.models import adapter as adapters  # noqa: E402
from groundtune.models import weights  # noqa: E402
from groundtune.training import loop  # noqa: E402
from groundtune.training.data import TrainingPair, domain_pairs  # noqa: E402
from groundtune.training.encode import IGNORED, encode, encode_text  # noqa: E402
from groundtune.training.methods import prepare  # noqa: E402
from groundtune.training.rates import RATES, peak, settled  # noqa: E402
from groundtune.training.trainer import train  # noqa: E402
from groundtune.types import Audience, Caller, Document, Tuning  # noqa: E402

FULL = replace(TUNING, method="full", learning_rate=1e-3)
PARTIAL = replace(FULL, method="partial", top_layers=1)


# --- what learns --------------------------------------------------------------------------------------------------------


def test_full_training_is_adamw_on_transformers_own_loss(tmp_path: Path) -> None:
    """The loop against a plain one: the same order, torch's optimiser, no parts, no shared prefix, logits everywhere."""
    rows = encoded(*PAIRS)
    trained = loop.fit(tiny(), rows, FULL, seed=0, folder=tmp_path, identity="i")
    mirror = tiny()
    optimiser = torch.optim.AdamW(mirror.parameters(), lr=1.0, weight_decay=0.0)
    steps = loop.schedule([len(row.ids) for row in rows], epochs=FULL.epochs, batch_size=FULL.batch_size, seed=0)
    for number, step in enumerate(steps):
        for group in optimiser.param_groups:
            group["lr"] = 1e-3 * loop.rate(number, len(steps))
        reference_loss(mirror, [rows[place] for place in step]).backward()
        torch.nn.utils.clip_grad_norm_(mirror.parameters(), loop.MAX_NORM)
        optimiser.step()
        optimiser.zero_grad()
    wanted = dict(mirror.named_parameters())
    assert trained.weights.keys() == wanted.keys()
    for name, values in trained.weights.items():
        assert torch.allclose(values, wanted[name], atol=2e-5), name


def test_partial_trains_the_top_blocks_and_the_last_norm(tmp_path: Path) -> None:
    network = tiny()
    before = {name: values.detach().clone() for name, values in network.named_parameters()}
    trained = loop.fit(network, encoded(*PAIRS), PARTIAL, seed=0, folder=tmp_path, identity="i")
    assert trained.weights.keys() == {name for name in before if ".layers.1." in name} | {"model.norm.weight"}
    for name, values in network.named_parameters():
        assert torch.equal(values, before[name]) == (name not in trained.weights), name
    with pytest.raises(UsageError, match=r"top_layers = 3: the model has 2 layers"):
        loop.fit(tiny(), encoded(*PAIRS), replace(PARTIAL, top_layers=3), seed=0, folder=tmp_path, identity="i")


def test_a_base_in_bfloat16_leaves_what_learns_and_the_positions_exact() -> None:
    for tuning in (TUNING, PARTIAL, FULL):
        network, untouched = tiny(), tiny()
        learned = prepare(network, tuning, CPU, frozen=torch.bfloat16)
        assert {values.dtype for values in learned.values()} == {torch.float32}
        frozen = [values.dtype for values in network.parameters() if not values.requires_grad]
        assert set(frozen) <= {torch.bfloat16}
        for name, buffer in untouched.named_buffers():
            assert torch.equal(dict(network.named_buffers())[name], buffer), name
        if tuning is not TUNING:
            for name, values in learned.items():
                assert torch.equal(values, dict(untouched.named_parameters())[name]), name


def test_a_learning_rate_that_nobody_named_follows_the_method() -> None:
    assert RATES["lora"] == 10 * RATES["full"]
    assert peak(Tuning()) == settled(Tuning()).learning_rate == 1e-3
    assert peak(Tuning(method="full")) == peak(Tuning(method="partial")) == 1e-4
    assert settled(Tuning(learning_rate=2e-5)).learning_rate == 2e-5


# --- what is stored -----------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model folder whose head is tied to its embedding."""
    monkeypatch.setenv("GROUNDTUNE_CACHE", str(tmp_path / "cache"))
    return tiny_folder.folder(tmp_path / "tiny")


@pytest.mark.parametrize("tuning", [FULL, PARTIAL])
def test_what_was_trained_is_what_every_engine_reads(home: Path, tmp_path: Path, tuning: Tuning) -> None:
    result = train(f"hf:{home}", PAIRS, tuning, out=tmp_path / "out", seed=0)
    written = {path.name for path in result.adapter.iterdir()}
    assert written == {"tuned.json", "tuned.safetensors", "training.json", "card.json", "MODEL_CARD.md"}
    about = json.loads((result.adapter / "tuned.json").read_text())
    assert about == {"method": tuning.method, "base": f"hf:{home}"} | ({"top_layers": 1} if tuning is PARTIAL else {})
    stored = load_file(result.adapter / "tuned.safetensors")
    assert {values.dtype for values in stored.values() if values.ndim > 1} == {np.dtype(np.float16)}
    assert {values.dtype for values in stored.values() if values.ndim == 1} == {np.dtype(np.float32)}
    assert "lm_head.weight" not in stored
    assert ("model.embed_tokens.weight" in stored) == (tuning is FULL)
    state = load_file(home / "model.safetensors")
    merged = adapters.merge(state, result.adapter, base=weights.digest(home))
    model, _ = weights.torch_model(str(home), adapter=result.adapter)
    for name, values in merged.items():
        assert torch.equal(model.state_dict()[name], torch.from_numpy(values).float()), name
        assert np.array_equal(values, stored.get(name, state[name]))
    assert torch.equal(model.lm_head.weight, model.model.embed_tokens.weight)
    assert result.loss_last < result.loss_first


def test_openvino_answers_as_transformers_on_replaced_weights(home: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino_genai")
    from groundtune.models.hf import HfModel
    from groundtune.models.openvino import OpenVinoModel

    duplicated = load_file(home / "model.safetensors")
    duplicated["lm_head.weight"] = duplicated["model.embed_tokens.weight"].copy()  # as some folders store a tied head
    save_file(duplicated, home / "model.safetensors", metadata={"format": "pt"})
    tuned = train(f"hf:{home}", PAIRS, replace(FULL, epochs=8, learning_rate=3e-3), out=tmp_path / "out", seed=0).adapter
    asked = [one.messages for one in PAIRS[:3]]
    fast = OpenVinoModel(str(home), adapter=tuned).generate(asked, max_new_tokens=6)
    assert fast == HfModel(str(home), adapter=tuned).generate(asked, max_new_tokens=6)
    assert fast != OpenVinoModel(str(home)).generate(asked, max_new_tokens=6)


def test_weights_of_another_base_are_refused(home: Path, tmp_path: Path) -> None:
    other = tiny_folder.folder(tmp_path / "other", seed=5)
    for method in ("lora", "full"):
        tuned = train(f"hf:{home}", PAIRS, replace(FULL, method=method), out=tmp_path / method, seed=0).adapter
        weights.torch_model(str(home), adapter=tuned)
        with pytest.raises(ModelFailure, match="made for another model: its base has other weights"):
            weights.torch_model(str(other), adapter=tuned)


def test_odd_shapes_and_unknown_names_are_refused(home: Path, tmp_path: Path) -> None:
    (tmp_path / "tuned.json").write_text("{}")
    norm = "model.norm.weight"
    for name, values in (("model.layers.9.mlp.up_proj.weight", np.ones((2, 2))), (norm, np.ones(3))):
        save_file({name: values.astype(np.float32)}, tmp_path / "tuned.safetensors")
        with pytest.raises(ModelFailure, match=f"another model: {name} does not fit"):
            adapters.merge(tiny_folder.state(), tmp_path)
        with pytest.raises(ModelFailure, match=f"another model: {name} does not fit"):
            weights.torch_model(str(home), adapter=tmp_path)
    save_file({norm: tiny_folder.state()[norm]}, tmp_path / "tuned.safetensors")
    with pytest.raises(ModelFailure, match="changes no weight"):
        adapters.merge(tiny_folder.state(), tmp_path)


def test_a_pickle_is_never_opened(home: Path, tmp_path: Path) -> None:
    folder = tiny_folder.adapter(tmp_path / "adapter")
    torch.save({"a": torch.ones(1)}, folder / "adapter_model.bin")
    adapters.merge(tiny_folder.state(), folder)  # the safetensors beside it are what counts
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(ModelFailure, match=r"adapter_model\.bin: these weights are a pickle.*Save them as safetensors"):
        adapters.merge(tiny_folder.state(), folder)
    shutil.copy(folder / "adapter_model.bin", folder / "adapter_model.safetensors")
    with pytest.raises(ModelFailure, match=r"adapter_model\.safetensors: these weights are a pickle"):
        adapters.merge(tiny_folder.state(), folder)
    (home / "model.safetensors").unlink()
    torch.save({}, home / "pytorch_model.bin")
    with pytest.raises(ModelFailure, match=r"pytorch_model\.bin: these weights are a pickle"):
        weights.torch_model(str(home))


# --- the same again -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tuning", [FULL, PARTIAL])
def test_same_seed_same_bytes_also_after_an_interruption(
    tiny_model: None,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tuning: Tuning,
) -> None:
    whole = [train("embedded:tiny", PAIRS, tuning, out=tmp_path / str(run), seed=seed) for run, seed in enumerate((3, 3, 4))]
    assert whole[0].digest == whole[1].digest != whole[2].digest
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)

    def stop(stage: str, done: int, total: int) -> None:
        if done == 5:
            raise Interrupted

    with pytest.raises(Interrupted):
        train("embedded:tiny", PAIRS, tuning, out=tmp_path / "cut", seed=3, progress=stop)
    continued = train("embedded:tiny", PAIRS, tuning, out=tmp_path / "cut", seed=3)
    assert (continued.resumed_at, continued.digest) == (5, whole[0].digest)


# --- plain text ---------------------------------------------------------------------------------------------------------


def text(words: str, name: str = "d") -> TrainingPair:
    return TrainingPair(name, (), words, Audience.of("everyone"), (name,))


class Letters:
    """One token a character."""

    def encode(self, words: str) -> list[int]:
        return [*map(ord, words)]


def test_every_token_of_a_text_is_learned_once() -> None:
    rows = encode_text(text("abcdefgh"), Letters(), max_length=4)  # type: ignore[arg-type]
    assert [row.id for row in rows] == ["d#0", "d#1", "d#2"]
    assert ["".join(map(chr, row.ids)) for row in rows] == ["abcd", "defg", "gh"]
    assert [row.labels for row in rows] == [
        (IGNORED, *map(ord, "bcd")),
        (IGNORED, *map(ord, "efg")),
        (IGNORED, ord("h")),
    ]
    learned = [label for row in rows for label in row.labels if label != IGNORED]
    assert learned == [*map(ord, "bcdefgh")]
    exact = encode_text(text("abcdefg"), Letters(), max_length=4)  # type: ignore[arg-type]
    assert ["".join(map(chr, row.ids)) for row in exact] == ["abcd", "defg"]
    assert encode_text(text("a"), Letters(), max_length=4) == []  # type: ignore[arg-type]


def test_documents_do_not_share_a_row(tiny_model: None, tmp_path: Path) -> None:  # noqa: F811
    rows, left_out = encode([text("abc", "one"), text("xyz", "two")], Letters(), max_length=64)  # type: ignore[arg-type]
    assert (["".join(map(chr, row.ids)) for row in rows], left_out) == (["abc", "xyz"], [])
    batch = encode([text("abcabcabc" * 3, "one"), text("abcabcxyz" * 2, "two")], Letters(), max_length=64)[0]  # type: ignore[arg-type]
    assert loop.batch_loss(tiny(), batch, CPU).item() == pytest.approx(reference_loss(tiny(), batch).item(), rel=1e-5)
    texts = [text(f"The kettle number {number} stands in room {number}. " * 3, str(number)) for number in range(4)]
    result = train("embedded:tiny", texts, replace(FULL, objective="domain", epochs=6), out=tmp_path, seed=0)
    assert result.loss_last < result.loss_first
    assert json.loads((tmp_path / "training.json").read_text())["documents"] == ["0", "1", "2", "3"]


class Shelf:
    """Documents with their readers."""

    def __init__(self, audiences: dict[str, Audience]) -> None:
        self.audiences = audiences

    def readable_documents(self, *, caller: Caller) -> list[str]:
        return sorted(name for name, audience in self.audiences.items() if may_read(audience, caller))

    def document(self, document: str, *, caller: Caller) -> Document:
        return Document(document, document, "" if document == "empty" else f"text of {document}", "")

    def audience(self, document: str) -> Audience:
        return self.audiences[document]


def test_only_documents_that_every_named_user_may_read_are_learned() -> None:
    staff = Audience(frozenset({frozenset({"sales", "support"})}))
    shelf = Shelf({"both": staff, "empty": staff, "sales": Audience.of("sales"), "boss": Audience.of("boss")})

    def made(*users: str) -> tuple[Sequence[str], Sequence[str], Audience]:
        pairs = domain_pairs(shelf, users=[Caller.of(user) for user in users])  # type: ignore[arg-type]
        return [one.id for one in pairs.pairs], pairs.unreadable, pairs.audience

    assert made("sales", "support") == (["both"], ("sales",), staff)
    assert made("sales") == (["both", "sales"], (), Audience.of("sales"))  # who is sales is also sales or support
    assert made() == ([], (), Audience())
    one = domain_pairs(shelf, users=[Caller.of("sales")]).pairs[0]  # type: ignore[arg-type]
    assert (one.messages, one.answer, one.documents) == ((), "text of both", ("both",))
