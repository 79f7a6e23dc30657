"""Tuned weights for other engines: a merged Hugging Face folder, a GGUF file, a LoRA folder. Knows files; asks no caller."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from groundtune.access.audience import to_json
from groundtune.errors import MissingExtra, UsageError
from groundtune.models import gguf_file
from groundtune.models.licence import licence_of
from groundtune.models.merged import merged_state
from groundtune.models.weights import SOURCES, folder, once
from groundtune.training.card import CARD, load_card, page
from groundtune.training.files import write_file
from groundtune.types import Audience

Format = Literal["merged", "gguf", "lora"]
FORMATS: tuple[Format, ...] = ("merged", "gguf", "lora")

_KEPT = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Values that vLLM's --max-lora-rank takes."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    folder: Path
    format: Format
    weights: str
    model: str
    licence: str
    """Of the base."""
    audience: Audience
    """Who may use the weights, as of now; it stands in audience.json."""
    files: tuple[str, ...]
    bytes: int
    use: str
    """How to load it."""


def export_weights(
    weights: Path, *, id: str, model: str, audience: Audience, to: Path, format: Format, base: str = ""
) -> Exported:
    """Write the weights that lie in the folder `weights`, tuned from `model`, to the folder `to`, whole or not at all.

    With them go the model card (README.md) and the audience. `base` is what a LoRA names as its base. Nothing is ever pickled.
    Raises UsageError when `to` holds something or the weights are no LoRA, ModelFailure for a model that GGUF would get wrong.
    """
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise UsageError("there is something already.", subject=str(to), remedy="Name a folder that is new or empty.")
    card = load_card(weights)
    named = base or _public_name(model)
    writers: Mapping[Format, Callable[[Path], str]] = {
        "merged": lambda draft: _merged(draft, weights, model),
        "gguf": lambda draft: _gguf(draft, weights, model, card["base"]["licence"]),
        "lora": lambda draft: _lora(draft, weights, model, named),
    }
    use = ""

    def make(draft: Path) -> None:
        nonlocal use
        use = writers[format](draft)
        write_file(draft / CARD, (json.dumps(card, indent=1, ensure_ascii=False) + "\n").encode())
        write_file(
            draft / "README.md", f"{_front_matter(card, named, format)}\n{page(card)}\n## This export\n\n{use}\n".encode()
        )
        write_file(draft / "audience.json", (to_json(audience) + "\n").encode())

    if to.exists():
        to.rmdir()
    once(to, make)
    files = sorted(path for path in to.iterdir() if path.is_file())
    return Exported(
        folder=to,
        format=format,
        weights=id,
        model=model,
        licence=licence_of(model),
        audience=audience,
        files=tuple(path.name for path in files),
        bytes=sum(path.stat().st_size for path in files),
        use=use,
    )


def _merged(draft: Path, weights: Path, model: str) -> str:
    state = merged_state(model, weights)
    _save(draft / "model.safetensors", state)
    home = folder(model)
    for name in (*_KEPT, "chat_template.jinja"):
        if (home / name).is_file():
            shutil.copyfile(home / name, draft / name)
    config = json.loads((home / "config.json").read_text(encoding="utf-8"))
    config |= {"dtype": "float16"}
    config.pop("torch_dtype", None)
    write_file(draft / "config.json", (json.dumps(config, indent=1) + "\n").encode())
    _licences(home, draft)
    return '`transformers.AutoModelForCausalLM.from_pretrained("FOLDER")`, or `model = "hf:FOLDER"` in groundtune.toml.'


def _gguf(draft: Path, weights: Path, model: str, licence: str) -> str:
    home = folder(model)
    gguf_file.refuse_unlike(home)
    template = home / "chat_template.jinja"
    gguf_file.write(
        draft / "model.gguf",
        state=merged_state(model, weights),
        folder=home,
        title=f"{model} tuned",
        chat_template=template.read_text(encoding="utf-8") if template.is_file() else "",
        licence=licence,
    )
    _licences(home, draft)
    return "`llama-server -m model.gguf`, or any other engine that reads GGUF (f16, architecture llama)."


def _lora(draft: Path, weights: Path, model: str, base: str) -> str:
    """PEFT's files with the fields that vLLM reads; the factors are copied byte for byte."""
    config = weights / "adapter_config.json"
    if not config.is_file():
        raise UsageError(
            "these weights are not a LoRA: whole parameters were tuned, so there are no factors to hand out.",
            subject=str(weights),
            remedy="Export them with --format merged or gguf.",
        )
    settings = json.loads(config.read_text(encoding="utf-8"))
    factors = weights / "adapter_model.safetensors"
    shutil.copyfile(factors, draft / factors.name)
    settings |= {
        "base_model_name_or_path": base,
        "target_modules": sorted({name.split(".")[-3] for name in _names(factors)}),
        "bias": "none",
        "use_dora": False,
        "use_rslora": settings.get("use_rslora", False),
        "modules_to_save": None,
        "inference_mode": True,
        "task_type": "CAUSAL_LM",
    }
    write_file(draft / config.name, (json.dumps(settings, indent=1, sort_keys=True) + "\n").encode())
    rank = next((one for one in _RANKS if one >= settings["r"]), settings["r"])
    told = f"`vllm serve {base} --enable-lora --max-lora-rank {rank} --lora-modules tuned=FOLDER`"
    if model.removeprefix("embedded:") in SOURCES:
        told += (
            f". The factors were trained on the weights of `{model}`, which went through 4 bits once; on `{base}` as it was "
            "published answers may differ. Measure again, or export merged."
        )
    return told


def _save(path: Path, state: Mapping[str, np.ndarray]) -> None:
    try:
        from safetensors.numpy import save
    except ImportError as error:
        raise MissingExtra("safetensors", extra="openvino", wanted_by="export") from error
    write_file(path, save({name: np.ascontiguousarray(values) for name, values in state.items()}, metadata={"format": "pt"}))


def _names(factors: Path) -> list[str]:
    """Names of the tensors in a safetensors file, from its header."""
    with factors.open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    return [name for name in header if name != "__metadata__"]


def _licences(home: Path, draft: Path) -> None:
    """The base's licence goes where its weights go."""
    for path in [*home.glob("LICEN[CS]E*"), *home.glob("NOTICE*")]:
        shutil.copyfile(path, draft / path.name)


def _public_name(model: str) -> str:
    """What others call the base: the hub's name of an embedded model, else the name without its provider."""
    name = model.partition(":")[2] or model
    return SOURCES[name].hub if name in SOURCES else name


def _front_matter(card: Mapping[str, object], base: str, format: Format) -> str:
    """What model hubs read."""
    licence = str(card["base"]["licence"]) if isinstance(card["base"], dict) else ""
    lines = ["---", f"base_model: {json.dumps(base)}", f"library_name: {'peft' if format == 'lora' else 'transformers'}"]
    known = [] if licence.startswith("unknown") else [f"license: {json.dumps(licence.lower())}"]
    return "\n".join([*lines, *known, "---", ""])
