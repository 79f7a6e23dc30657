"""Exports: what other engines load is what we serve, it carries card and audience, and only its users get it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import groundtune
from groundtune.access.audience import from_json
from groundtune.cli.main import run
from groundtune.errors import AccessDenied, ModelFailure, UsageError, Withdrawn
from groundtune.models import adapter as adapters
from groundtune.models import gguf_file
from groundtune.models.merged import merged_state
from groundtune.models.weights import digest
from groundtune.training.card import begin_card
from groundtune.training.export import export_weights
from groundtune.types import Audience
from tests import tiny
from tests.firm import write_firm

AUDIENCE = Audience.of("staff", denied=("intern",))


@pytest.fixture
def base(tmp_path: Path) -> str:
    home = tiny.folder(tmp_path / "base")
    (home / "LICENSE").write_text("Some Public Licence\n")
    return f"hf:{home}"


def weights_of(folder: Path, base: str) -> Path:
    """A tiny adapter with a card."""
    tiny.adapter(folder)
    about = {
        "model": base,
        "base": "0" * 64,
        "identity": "i",
        "pairs_digest": "p",
        "examples": ["e"],
        "documents": ["d"],
        "audience": {"clauses": [["staff"]], "denied": ["intern"]},
        "tuning": {"method": "lora"},
        "seed": 0,
        "versions": {},
        "machine": "m",
        "figures": {"digest": "1" * 64, "pairs": 1, "too_long": []},
    }
    begin_card(folder, about)
    return folder


def export(tmp_path: Path, base: str, format: str) -> Path:
    made = weights_of(tmp_path / "weights", base)
    to = tmp_path / "out"
    done = export_weights(made, id="w", model=base, audience=AUDIENCE, to=to, format=format)
    assert done.bytes == sum(path.stat().st_size for path in to.iterdir())
    assert from_json((to / "audience.json").read_text()) == AUDIENCE
    told = (to / "README.md").read_text()
    assert told.startswith("---\nbase_model: ")
    assert "# Tuned weights of hf:" in told
    assert not [path for path in to.iterdir() if path.suffix in (".bin", ".pt", ".pkl")]
    return to


def test_a_merged_folder_loads_with_transformers_and_says_what_we_serve(tmp_path: Path, base: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from groundtune.models.weights import torch_model

    to = export(tmp_path, base, "merged")
    assert (to / "LICENSE").read_text() == "Some Public Licence\n"
    theirs = AutoModelForCausalLM.from_pretrained(to, dtype=torch.float32)
    ours, tokens = torch_model(base, adapter=tmp_path / "weights")
    plain, _ = torch_model(base)
    ids = torch.tensor([tokens.encode("and the hand in the land and")])
    assert AutoTokenizer.from_pretrained(to)("and the hand in the land and").input_ids == ids[0].tolist()
    with torch.inference_mode():
        found, expected, untuned = (network(ids).logits for network in (theirs, ours, plain))
    assert torch.allclose(found, expected, atol=2e-3 * expected.abs().max().item())
    assert not torch.allclose(found, untuned, atol=0.1)


def test_a_gguf_file_is_read_back_as_the_merged_weights(tmp_path: Path, base: str) -> None:
    """Rows of q and k are permuted and come back; tokens, template and licence are in the file."""
    to = export(tmp_path, base, "gguf")
    state, config, words = gguf_file.read(to / "model.gguf")
    expected = merged_state(base, tmp_path / "weights")
    assert state.keys() == expected.keys()
    assert all(np.array_equal(state[name], values) and state[name].dtype == values.dtype for name, values in expected.items())
    written = json.loads((tmp_path / "base" / "config.json").read_text())
    exact = written.keys() - {"rms_norm_eps"}  # 32 bits in the file
    assert {key: config[key] for key in exact} == {key: written[key] for key in exact}
    assert config["rms_norm_eps"] == pytest.approx(written["rms_norm_eps"], rel=1e-6)
    assert words["tokens"] == tiny.words()["tokens"]
    assert words["merges"] == tiny.words()["merges"]
    assert words["chat_template"] == tiny.TEMPLATE


def test_merged_is_base_plus_what_the_adapter_adds(tmp_path: Path, base: str) -> None:
    made = weights_of(tmp_path / "weights", base)
    added = adapters.deltas(made)
    merged, plain = merged_state(base, made), tiny.state()
    for name, values in plain.items():
        wanted = values.astype(np.float32) + added.get(name, np.float32(0.0))
        assert np.array_equal(merged[name], wanted.astype(values.dtype)), name


def test_weights_in_several_files_or_bfloat16_go_through_transformers(tmp_path: Path, base: str) -> None:
    import torch
    from safetensors.torch import load_file as load_torch
    from safetensors.torch import save_file as save_torch

    made = weights_of(tmp_path / "weights", base)
    file = tmp_path / "base" / "model.safetensors"
    save_torch({name: values.bfloat16() for name, values in load_torch(file).items()}, file, metadata={"format": "pt"})
    merged = merged_state(base, made)
    assert {values.dtype for values in merged.values()} == {np.dtype(np.float16), np.dtype(np.float32)}
    name = "model.embed_tokens.weight"
    assert np.array_equal(merged[name], load_torch(file)[name].to(torch.float32).numpy().astype(np.float16))


def test_a_lora_folder_names_its_base_and_layers_as_vllm_reads_them(tmp_path: Path, base: str) -> None:
    made = weights_of(tmp_path / "weights", base)
    done = export_weights(made, id="w", model=base, audience=AUDIENCE, to=tmp_path / "out", format="lora", base="team/base")
    settings = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == "team/base"
    assert settings["target_modules"] == sorted(["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"])
    assert (settings["r"], settings["bias"], settings["modules_to_save"]) == (4, "none", None)
    factors = load_file(tmp_path / "out" / "adapter_model.safetensors")
    assert factors.keys() == load_file(made / "adapter_model.safetensors").keys()
    assert "--max-lora-rank 8" in done.use
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_whole_parameters_are_no_lora(tmp_path: Path, base: str) -> None:
    made = weights_of(tmp_path / "weights", base)
    (made / "adapter_config.json").unlink()
    with pytest.raises(UsageError, match="are not a LoRA"):
        export_weights(made, id="w", model=base, audience=AUDIENCE, to=tmp_path / "out", format="lora")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"model_type": "qwen2"}, "architecture"),
        ({"attention_bias": True}, "biases"),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 1.0}}, "scaled"),
        ({"head_dim": 7}, "size of their own"),
    ],
)
def test_what_gguf_would_get_wrong_is_refused(tmp_path: Path, base: str, changes: dict[str, object], why: str) -> None:
    config = tmp_path / "base" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | changes))
    with pytest.raises(ModelFailure, match=why):
        export_weights(
            weights_of(tmp_path / "weights", base), id="w", model=base, audience=AUDIENCE, to=tmp_path / "out", format="gguf"
        )
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten(tmp_path: Path, base: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="something already"):
        export_weights(
            weights_of(tmp_path / "weights", base), id="w", model=base, audience=AUDIENCE, to=tmp_path / "out", format="lora"
        )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_only_who_may_use_the_weights_exports_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The firm's weights are fake; an adapter of the tiny model is put in their place, so that there is something to write."""
    root = write_firm(tmp_path / "firm")
    trained = groundtune.train("tuned", root=root)
    base = f"hf:{tiny.folder(tmp_path / 'base')}"
    weights_of(trained.adapter, base)
    about = json.loads((trained.adapter / "training.json").read_text(encoding="utf-8"))
    about["base"] = digest(tmp_path / "base")
    (trained.adapter / "training.json").write_text(json.dumps(about), encoding="utf-8")
    with pytest.raises(AccessDenied):
        groundtune.export("tuned", to=tmp_path / "no", format="lora", root=root, principals=["visitor"])
    assert not (tmp_path / "no").exists()
    done = groundtune.export(trained.weights, to=tmp_path / "by-id", format="lora", root=root, principals=["staff"])
    assert done.weights == trained.weights
    assert run(["export", "tuned", "--to", str(tmp_path / "by-name"), "-w", str(root), "--as", "staff"]) == 0
    assert f"weights {trained.weights} as merged" in capsys.readouterr().out
    (root / "documents" / "kettle.md").unlink()
    groundtune.erase(["kettle.md"], root=root)
    with pytest.raises(Withdrawn):
        groundtune.export(trained.weights, to=tmp_path / "gone", format="lora", root=root, principals=["staff"])


@pytest.mark.parametrize(
    ("weights", "options", "why"),
    [
        ("rag", {}, "has no weights"),
        ("tuned", {"format": "pickle"}, "no such format"),
        ("tuned", {"base": "x"}, "only a LoRA folder"),
    ],
)
def test_wrong_calls(tmp_path: Path, weights: str, options: dict[str, str], why: str) -> None:
    root = write_firm(tmp_path)
    with pytest.raises(UsageError, match=why):
        groundtune.export(weights, to=tmp_path / "out", root=root, principals=["staff"], **options)


def test_a_damaged_base_is_named(tmp_path: Path, base: str) -> None:
    made = weights_of(tmp_path / "weights", base)
    save_file({"other": np.zeros(2, np.float32)}, tmp_path / "base" / "model.safetensors")
    with pytest.raises(ModelFailure, match="made for another model"):
        merged_state(base, made)
