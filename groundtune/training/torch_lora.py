"""LoRA for models whose weights are on this machine: joins weights, tokens, loop and files. Decides nothing about the data."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from groundtune.errors import MissingExtra
from groundtune.interfaces import Progress
from groundtune.models.weights import digest, folder, torch_model
from groundtune.store.failures import disk_failure
from groundtune.training.data import TrainingPair
from groundtune.training.encode import encode
from groundtune.training.files import write_file
from groundtune.types import Tuning

try:
    import torch
    from safetensors.torch import save

    from groundtune.training.checkpoints import remove_checkpoint
    from groundtune.training.loop import fit, lora_config
except ImportError as error:
    raise MissingExtra(error.name or "torch", extra="train", wanted_by="training") from error


class TorchTrainer:
    """Trains `embedded:` and `hf:` models, on a GPU where there is one."""

    def base(self, model: str) -> str:
        return digest(folder(model))

    def train(
        self,
        model: str,
        pairs: Sequence[TrainingPair],
        tuning: Tuning,
        *,
        out: Path,
        seed: int,
        identity: str,
        progress: Progress | None,
    ) -> dict[str, Any]:
        """Write adapter_model.safetensors and adapter_config.json to `out`; returns the figures of a TrainingResult."""
        network, tokens = torch_model(model)
        encoded, too_long = encode(pairs, tokens, max_length=tuning.max_length)
        identity = hashlib.sha256(f"{identity}:{tokens.fingerprint}:{torch.get_num_threads()}".encode()).hexdigest()
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
        write_file(out / "adapter_model.safetensors", save(trained.factors, metadata={"format": "pt"}))
        try:
            lora_config(tuning, base=model).save_pretrained(str(out))
        except OSError as error:
            raise disk_failure(error, out) from error
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
