"""Merges LoRA adapters (PEFT's files) into weights: W + alpha / r * B A, in float32, stored as float16. Knows no engine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from groundtune.errors import MissingExtra, ModelFailure, NotFound

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def deltas(adapter: Path) -> dict[str, np.ndarray]:
    """What an adapter adds, by weight name: float32 [rows, columns].

    Raises NotFound when a file is absent, ModelFailure for kinds of adapter that a merge would get wrong.
    """
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError as error:
        raise MissingExtra("safetensors", extra="openvino", wanted_by="tuned weights") from error
    config, factors = adapter / "adapter_config.json", adapter / "adapter_model.safetensors"
    _require(config, factors)
    try:
        settings = json.loads(config.read_text(encoding="utf-8"))
        tensors = load_file(factors)
    except (SafetensorError, ValueError) as error:
        raise ModelFailure(f"the adapter is damaged: {error}", subject=str(adapter), remedy="Train again.") from error
    odd = [key for key in ("use_dora", "rank_pattern", "alpha_pattern", "fan_in_fan_out") if settings.get(key)]
    odd += ["bias"] if settings.get("bias", "none") != "none" else []
    if settings.get("peft_type") != "LORA" or odd:
        kind = odd or settings.get("peft_type")
        raise ModelFailure(f"only plain LoRA adapters can be merged; this one uses {kind}.", subject=str(adapter))
    rank = settings["r"]
    scale = settings["lora_alpha"] / (rank**0.5 if settings.get("use_rslora") else rank)
    found: dict[str, np.ndarray] = {}
    for key, down in tensors.items():
        if key.endswith(".lora_A.weight"):
            up = tensors[key.replace(".lora_A.", ".lora_B.")].astype(np.float32)
            name = key.removeprefix("base_model.model.").removesuffix(".lora_A.weight") + ".weight"
            found[name] = np.float32(scale) * (up @ down.astype(np.float32))
        elif not key.endswith(".lora_B.weight"):
            raise ModelFailure(f"the adapter holds {key!r}, which is no LoRA factor.", subject=str(adapter))
    return found


def merge(state: Mapping[str, np.ndarray], adapter: Path) -> dict[str, np.ndarray]:
    """A copy of `state` with the adapter merged in. Raises ModelFailure when a name is unknown or no weight changes."""
    merged = dict(state)
    for name, delta in deltas(adapter).items():
        if name not in merged or merged[name].shape != delta.shape:
            raise ModelFailure(f"the adapter was made for another model: {name} does not fit.", subject=str(adapter))
        merged[name] = (merged[name].astype(np.float32) + delta).astype(merged[name].dtype)
    if all(np.array_equal(merged[name], values) for name, values in state.items()):
        raise ModelFailure("the adapter changes no weight: tuned equals base.", subject=str(adapter), remedy="Train longer.")
    return merged


def merge_torch(model: PreTrainedModel, adapter: Path) -> None:
    """Merge into a transformers model in place, rounded to float16 as `merge` does."""
    import torch

    weights = dict(model.named_parameters())
    with torch.no_grad():
        for name, delta in deltas(adapter).items():
            if name not in weights or tuple(weights[name].shape) != delta.shape:
                raise ModelFailure(f"the adapter was made for another model: {name} does not fit.", subject=str(adapter))
            merged = (weights[name].float() + torch.from_numpy(delta)).half()
            weights[name].copy_(merged.to(weights[name].dtype))


def digest(adapter: Path) -> str:
    """SHA-256 over the adapter's two files, hex."""
    files = adapter / "adapter_config.json", adapter / "adapter_model.safetensors"
    _require(*files)
    total = hashlib.sha256()
    for file in files:
        total.update(file.read_bytes())
    return total.hexdigest()


def _require(*files: Path) -> None:
    for file in files:
        if not file.is_file():
            raise NotFound("the adapter lacks this file.", subject=str(file), remedy="Train again, or name another folder.")
