"""Training of models whose weights are on this machine: joins weights, tokens, loop and files. Decides nothing of the data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from groundtune.errors import MissingExtra, ModelFailure
from groundtune.interfaces import Progress
from groundtune.models.adapter import LORA, TUNED, changed_names
from groundtune.models.weights import digest, folder, torch_model
from groundtune.store.failures import disk_failure
from groundtune.training.data import TrainingPair
from groundtune.training.encode import encode
from groundtune.training.files import write_file
from groundtune.training.rewards import Reward
from groundtune.training.rows import hold_out
from groundtune.types import Tuning

try:
    import torch

    from groundtune.training.checkpoints import remove_checkpoint, write_tensors
    from groundtune.training.drawn import Judge
    from groundtune.training.loop import fit
    from groundtune.training.methods import lora_config
except ImportError as error:
    raise MissingExtra(error.name or "torch", extra="train", wanted_by="training") from error


def write_lora(factors: Mapping[str, torch.Tensor], tuning: Tuning, *, base: str, out: Path) -> None:
    """PEFT's two files: the factors as they are, in float32."""
    write_tensors(out / LORA[1], dict(factors), metadata={"format": "pt"})
    try:
        lora_config(tuning, base=base).save_pretrained(str(out))
    except OSError as error:
        raise disk_failure(error, out) from error


def write_tuned(parameters: Mapping[str, torch.Tensor], tuning: Tuning, *, base: str, out: Path) -> None:
    """Parameters that take the place of the model's own: matrices in float16, vectors in float32, as they are served.

    Raises ModelFailure for a parameter that does not fit into float16.
    """
    config, tensors = TUNED
    stored = {name: values.to(torch.float16 if values.ndim > 1 else torch.float32) for name, values in parameters.items()}
    for name, values in stored.items():
        if not torch.isfinite(values).all():
            raise ModelFailure(
                f"{name} does not fit into float16.", subject=base, remedy="Lower the learning rate, or tune with lora."
            )
    write_tensors(out / tensors, stored, metadata={"format": "pt"})
    about = {"method": tuning.method, "base": base} | ({"top_layers": tuning.top_layers} if tuning.method == "partial" else {})
    write_file(out / config, (json.dumps(about, indent=1) + "\n").encode())


def write_weights(learned: Mapping[str, torch.Tensor], tuning: Tuning, *, model: str, start: Path | None, out: Path) -> None:
    """What a training learned, in a folder that loads by itself: with `start`, its changes are in there too."""
    if start is None and tuning.method == "lora":
        write_lora(learned, tuning, base=model, out=out)
        return
    if start is None:
        write_tuned(learned, tuning, base=model, out=out)
        return
    parameters = {name: values.detach() for name, values in torch_model(model, adapter=start)[0].named_parameters()}
    changed = set(changed_names(start))
    for name, values in learned.items():
        if tuning.method != "lora":
            parameters[name] = values
            changed.add(name)
        elif ".lora_A." in name:
            own = name.removeprefix("base_model.model.").replace(".lora_A.weight", ".weight")
            up = learned[name.replace(".lora_A.", ".lora_B.")]
            parameters[own] = parameters[own] + tuning.alpha / tuning.rank * (up @ values)
            changed.add(own)
    write_tuned({name: parameters[name] for name in sorted(changed)}, tuning, base=model, out=out)


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
        start: Path | None = None,
        reward: Reward | None = None,
    ) -> dict[str, Any]:
        """Write the tuned weights to `out`; returns the figures of a TrainingResult."""
        network, tokens = torch_model(model, adapter=start)
        judge = None
        if tuning.early_stop and reward is not None:
            pairs, held_out = hold_out(pairs, seed=seed)
            judge = Judge(network, tokens, held_out, reward, max_new_tokens=tuning.answer_tokens) if held_out else None
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
            score=judge,
        )
        write_weights(trained.weights, tuning, model=model, start=start, out=out)
        remove_checkpoint(out)
        last_epoch = trained.losses[-max(1, len(trained.losses) // (len(trained.scores) or tuning.epochs)) :]
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
            "details": judge.details(trained.scores) if judge else {},
        }
