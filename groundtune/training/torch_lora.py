"""LoRA for models whose weights are on this machine: joins weights, tokens, loop and files. Decides nothing about the data."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from groundtune.interfaces import Progress
from groundtune.models.weights import torch_model
from groundtune.training.checkpoints import remove_checkpoint, write_atomically
from groundtune.training.data import TrainingPair
from groundtune.training.encode import encode
from groundtune.training.loop import fit, lora_config
from groundtune.types import Tuning


def train_torch(
    model: str,
    pairs: Sequence[TrainingPair],
    tuning: Tuning,
    *,
    out: Path,
    seed: int,
    identity: str,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train and write adapter_model.safetensors and adapter_config.json to `out`; returns the figures of a TrainingResult."""
    network, tokens = torch_model(model)
    encoded, too_long = encode(pairs, tokens, max_length=tuning.max_length)
    base = fingerprint(network)
    identity = hashlib.sha256(f"{identity}:{base}:{tokens.fingerprint}:{torch.get_num_threads()}".encode()).hexdigest()
    trained = fit(
        network,
        encoded,
        tuning,
        seed=seed,
        folder=out,
        identity=identity,
        base=model,
        progress=(lambda done, total: progress("train", done, total)) if progress else None,
    )
    write_atomically(out / "adapter_model.safetensors", save(trained.factors, metadata={"format": "pt"}))
    lora_config(tuning, base=model).save_pretrained(str(out))
    remove_checkpoint(out)
    last_epoch = trained.losses[-max(1, len(trained.losses) // tuning.epochs) :]
    return {
        "steps": len(trained.losses),
        "seconds": trained.seconds,
        "tokens": trained.tokens,
        "loss_first": trained.losses[0],
        "loss_last": sum(last_epoch) / len(last_epoch),
        "peak_memory_bytes": trained.peak_memory_bytes,
        "pairs": len(encoded),
        "too_long": too_long,
        "resumed_at": trained.resumed_at,
    }


def fingerprint(network: nn.Module) -> str:
    """SHA-256 over names, kinds and bytes of all weights, hex: two bases are the same only when every weight is."""
    total = hashlib.sha256()
    for name, parameter in network.named_parameters():
        total.update(f"{name} {parameter.dtype} {tuple(parameter.shape)}".encode())
        total.update(parameter.detach().cpu().contiguous().view(torch.uint8).numpy())
    return total.hexdigest()
