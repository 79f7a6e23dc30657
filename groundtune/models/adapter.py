"""Puts tuned weights into a model's own: LoRA (PEFT's files) is added in float32, others are replaced. Knows no engine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from groundtune.errors import MissingExtra, ModelFailure, NotFound

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LORA = ("adapter_config.json", "adapter_model.safetensors")
"""PEFT's configuration and factors."""

TUNED = ("tuned.json", "tuned.safetensors")
"""Method and base, and the parameters that take the place of the model's own, under their names."""

MADE_BY = "training.json"
"""Names, under `base`, the fingerprint of the weights that were tuned; folders from elsewhere have none."""

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt")


def tuned_files(adapter: Path) -> tuple[Path, Path]:
    """(configuration, tensors) of a folder of tuned weights. Raises NotFound, or ModelFailure for a pickle."""
    kind = TUNED if (adapter / TUNED[1]).is_file() or (adapter / TUNED[0]).is_file() else LORA
    config, tensors = adapter / kind[0], adapter / kind[1]
    if not tensors.is_file():
        refuse_pickle(adapter)
    for file in (config, tensors):
        if not file.is_file():
            raise NotFound("the adapter lacks this file.", subject=str(file), remedy="Train again, or name another folder.")
    return config, tensors


def refuse_pickle(folder: Path) -> None:
    """Raises ModelFailure where weights lie as a pickle and not as safetensors: opening one runs whatever it holds."""
    pickles = sorted(file for pattern in _PICKLES for file in folder.glob(pattern))
    if pickles and not any(folder.glob("*.safetensors")):
        raise _pickle(pickles[0])


def deltas(adapter: Path) -> dict[str, np.ndarray]:
    """What a LoRA adapter adds, by weight name: float32 [rows, columns].

    Raises NotFound when a file is absent, ModelFailure for kinds of adapter that a merge would get wrong.
    """
    settings, tensors = _read(adapter)
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


def merge(state: Mapping[str, np.ndarray], adapter: Path, *, base: str = "") -> dict[str, np.ndarray]:
    """A copy of `state` with the tuned weights in it, in the precision of `state`.

    `base` is the fingerprint of `state`, compared with the one that the folder names. Raises ModelFailure when they differ,
    when a name is unknown or a shape another, or when no weight changes.
    """
    check_base(adapter, base)
    added, values = _changes(adapter)
    merged = dict(state)
    for name, change in values.items():
        if name not in merged or merged[name].shape != change.shape:
            raise _does_not_fit(name, adapter)
        new = merged[name].astype(np.float32) + change if added else change
        merged[name] = new.astype(merged[name].dtype)
    if all(np.array_equal(merged[name], old) for name, old in state.items()):
        raise ModelFailure("the adapter changes no weight: tuned equals base.", subject=str(adapter), remedy="Train longer.")
    return merged


def merge_torch(model: PreTrainedModel, adapter: Path, *, base: str = "") -> None:
    """Put them into a transformers model in place, rounded as they are served: sums of LoRA to float16. Raises as `merge`."""
    import torch

    check_base(adapter, base)
    added, values = _changes(adapter)
    weights = dict(model.named_parameters())
    with torch.no_grad():
        for name, change in values.items():
            if name not in weights or tuple(weights[name].shape) != change.shape:
                raise _does_not_fit(name, adapter)
            new = torch.from_numpy(change)
            if added:
                new = (weights[name].float() + new).half()
            weights[name].copy_(new.to(weights[name].dtype))


def check_base(adapter: Path, base: str) -> None:
    """Raises ModelFailure when the folder says that other weights than `base` were tuned. "" compares nothing."""
    made_by = adapter / MADE_BY
    if not base or not made_by.is_file():
        return
    try:
        tuned = json.loads(made_by.read_text(encoding="utf-8"))["base"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFailure(f"this file is damaged: {error}.", subject=str(made_by), remedy="Train again.") from error
    if tuned != base:
        raise ModelFailure(
            "the adapter was made for another model: its base has other weights.",
            subject=str(adapter),
            remedy="Name the model that was tuned, or train again.",
        )


def changed_names(adapter: Path) -> list[str]:
    """The parameters of the model that the weights change, sorted."""
    return sorted(_changes(adapter)[1])


def digest(adapter: Path) -> str:
    """SHA-256 over the folder's configuration and tensors, hex."""
    total = hashlib.sha256()
    for file in tuned_files(adapter):
        total.update(file.read_bytes())
    return total.hexdigest()


def _changes(adapter: Path) -> tuple[bool, dict[str, np.ndarray]]:
    """(whether the values are added to the model's own or take their place, the values by weight name)."""
    if tuned_files(adapter)[0].name == LORA[0]:
        return True, deltas(adapter)
    return False, _read(adapter)[1]


def _read(adapter: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError as error:
        raise MissingExtra("safetensors", extra="openvino", wanted_by="tuned weights") from error
    config, tensors = tuned_files(adapter)
    with tensors.open("rb") as file:
        if file.read(2) in (b"PK", b"\x80\x02", b"\x80\x04"):
            raise _pickle(tensors)
    try:
        settings = json.loads(config.read_text(encoding="utf-8"))
        return settings, load_file(tensors)
    except (SafetensorError, ValueError) as error:
        raise ModelFailure(f"the adapter is damaged: {error}", subject=str(adapter), remedy="Train again.") from error


def _pickle(file: Path) -> ModelFailure:
    return ModelFailure(
        "these weights are a pickle, which runs whatever it holds when it is opened.",
        subject=str(file),
        remedy="Save them as safetensors.",
    )


def _does_not_fit(name: str, adapter: Path) -> ModelFailure:
    return ModelFailure(f"the adapter was made for another model: {name} does not fit.", subject=str(adapter))
