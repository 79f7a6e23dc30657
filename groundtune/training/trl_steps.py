"""What TRL's trainers do otherwise here: checkpoints in safetensors, rows that are ids already, a loss that is looked at."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback, TrainerState

from groundtune.errors import ModelFailure
from groundtune.interfaces import Progress
from groundtune.training import loop
from groundtune.training.checkpoints import Checkpoint, load_checkpoint, random_state, restore_random_state, save_checkpoint


class Kept:
    """Stands before one of TRL's trainers in a class: `prepare` it, then `run` it."""

    # Of the trainer behind it, which has no useful types.
    model: Any
    args: Any
    state: Any
    optimizer: Any
    lr_scheduler: Any
    accelerator: Any
    train: Any
    add_callback: Any
    remove_callback: Any
    stored: Any = None
    """The checkpoint that it continues from."""

    def prepare(self, *, folder: Path, identity: str, lora: bool, progress: Progress | None) -> None:
        """Before the first step: where checkpoints go and what they belong to."""
        self.folder, self.identity, self.progress = folder, identity, progress
        self.losses: list[float] = []
        self.rewards: list[float] = []
        self.before = 0.0
        self.learned = {
            name.replace(".default.", ".") if lora else name: parameter
            for name, parameter in self.model.named_parameters()
            if parameter.requires_grad
        }
        self.remove_callback(PrinterCallback)
        self.add_callback(_EachStep(self))

    def run(self, scratch: str) -> int:
        """Train, from the checkpoint where there is one; returns the step at which it continued."""
        self.stored = load_checkpoint(self.folder, identity=self.identity)
        if self.stored is None:
            self.train()
            return 0
        self.losses, self.before = list(self.stored.losses), self.stored.seconds
        self.rewards = list(self.stored.curves.get("rewards", ()))
        state = TrainerState(
            global_step=self.stored.step,
            train_batch_size=self.args.per_device_train_batch_size,
            logging_steps=self.args.logging_steps,
        )
        state.save_to_json(str(Path(scratch) / "trainer_state.json"))
        self.train(resume_from_checkpoint=scratch)
        return int(self.stored.step)

    def details(self) -> dict[str, float]:
        """Figures beyond those of every training."""
        if not self.rewards:
            return {}
        size = max(1, len(self.rewards) // 10)
        return {"reward_first": float(np.mean(self.rewards[:size])), "reward_last": float(np.mean(self.rewards[-size:]))}

    def keep(self, seconds: float) -> None:
        """Write a checkpoint of this step."""
        state = {name: self.optimizer.state[parameter] for name, parameter in self.learned.items()}
        moments = {f"{name}/{key}": value for name, values in state.items() for key, value in values.items()}
        kept = Checkpoint(
            step=self.state.global_step,
            losses=tuple(self.losses),
            seconds=self.before + seconds,
            weights=dict(self.learned),
            optimiser=moments,
            rng=random_state(self.accelerator.device),
            curves={"rewards": tuple(self.rewards)},
        )
        save_checkpoint(self.folder, kept, identity=self.identity)

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        loss: torch.Tensor = super().training_step(*args, **kwargs)  # type: ignore[misc]  # the trainer behind it
        value = float(loss) * self.args.gradient_accumulation_steps
        self.losses.append(value)
        if not math.isfinite(value):
            raise ModelFailure(
                f"the loss is {value} at step {len(self.losses)}.",
                subject="training",
                remedy=f"Lower training.learning_rate (now {self.args.learning_rate:g}).",
            )
        return loss

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset

    def _load_from_checkpoint(self, *_: Any, **__: Any) -> None:
        with torch.no_grad():
            for name, parameter in self.learned.items():
                parameter.copy_(self.stored.weights[name])

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        for name, parameter in self.learned.items():
            keys = [key for key in self.stored.optimiser if key.rpartition("/")[0] == name]
            self.optimizer.state[parameter] = {
                key.rpartition("/")[2]: self.stored.optimiser[key].to(parameter.device) for key in keys
            }
        step = self.stored.step
        rates = [
            base * scale(step) for base, scale in zip(self.lr_scheduler.base_lrs, self.lr_scheduler.lr_lambdas, strict=True)
        ]
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self.lr_scheduler.last_epoch, self.lr_scheduler._step_count, self.lr_scheduler._last_lr = step, step + 1, rates

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            restore_random_state(self.stored.rng)


class _EachStep(TrainerCallback):
    """Keeps checkpoints by the clock, as the loop of the other objectives does, and reports."""

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer
        self.started = time.monotonic()
        self.next_save = self.started + loop.CHECKPOINT_SECONDS

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002 - as transformers calls it
        now = time.monotonic()
        if state.global_step < state.max_steps and now >= self.next_save:
            self.trainer.keep(now - self.started)
            took = time.monotonic() - now
            self.next_save = now + took + loop.CHECKPOINT_SECONDS * max(1.0, took)
        if self.trainer.progress is not None:
            self.trainer.progress("train", state.global_step, state.max_steps)
