"""Tuned weights from pairs: one call per model, a folder of safetensors out. Imports torch only once a training needs it."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from groundtune.access.audience import conjoin, from_json, to_json
from groundtune.errors import DataError, ModelFailure, NotFound, UsageError
from groundtune.interfaces import Progress
from groundtune.models import adapter as adapters
from groundtune.plugins import load, providers
from groundtune.store.stages import digest, package_versions
from groundtune.training.card import begin_card
from groundtune.training.data import TrainingPair, pairs_digest
from groundtune.training.files import write_file
from groundtune.training.rates import PREFERENCES, settled
from groundtune.training.rewards import Reward
from groundtune.types import Tuning

TRAINERS: Mapping[str, str] = {
    "embedded": "groundtune.training.torch_trainer:TorchTrainer",
    "hf": "groundtune.training.torch_trainer:TorchTrainer",
    "fake": "groundtune.training.fake:FakeTrainer",
}
"""Provider of the model name -> who trains it; a plugin registers another in the entry point group `groundtune.trainers`."""

GROUP = "groundtune.trainers"

PREFERENCE_TRAINERS: Mapping[str, str] = {
    "embedded": "groundtune.training.trl_trainer:TrlTrainer",
    "hf": "groundtune.training.trl_trainer:TrlTrainer",
    "fake": "groundtune.training.fake:FakeTrainer",
}
"""The same for dpo, kto and grpo; entry point group `groundtune.preference_trainers`."""

PREFERENCE_GROUP = "groundtune.preference_trainers"

ABOUT = "training.json"
"""Written last: a folder that has it is complete."""


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a training made and what it took."""

    adapter: Path
    """Folder with training.json and, for lora, adapter_model.safetensors and adapter_config.json (PEFT's), for full and
    partial tuned.safetensors and tuned.json."""
    digest: str
    """SHA-256 of the safetensors file, hex."""
    steps: int
    seconds: float
    """Wall time of the steps, over all interruptions; loading and saving not counted."""
    tokens: int
    """Non-padding tokens seen, over all epochs."""
    loss_first: float
    loss_last: float
    """Mean over the last epoch's steps."""
    peak_memory_bytes: int
    pairs: int
    """Pairs trained on."""
    too_long: tuple[str, ...] = ()
    """Ids of pairs left out because their prompt is longer than `max_length`."""
    resumed_at: int = 0
    """Step at which an interrupted training continued; 0 when it ran in one piece."""
    remembered: bool = False
    """True when the folder already held this very training."""
    details: Mapping[str, float] = field(default_factory=dict)
    """Figures of the objective: of dpo and kto the reward accuracy on held-out rows, of grpo the first and the last rewards; of
    an early stop the score of each epoch."""

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds if self.seconds else 0.0


class Trainer(Protocol):
    """What a provider brings to be trainable; made without arguments."""

    def base(self, model: str) -> str:
        """Fingerprint of the untuned weights."""
        ...

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
        start: Path | None,
        reward: Reward | None,
    ) -> dict[str, Any]:
        """Write the weights to `out`, those of `start` tuned further.

        Returns the figures of a TrainingResult, without adapter and digest.
        """
        ...


def train(
    model: str,
    pairs: Sequence[TrainingPair],
    tuning: Tuning,
    *,
    out: Path,
    seed: int,
    progress: Progress | None = None,
    start: Path | None = None,
    reward: Reward | None = None,
    sweep: Mapping[str, Any] | None = None,
    dataset: str = "",
) -> TrainingResult:
    """Tune `model` on `pairs` and leave the weights in the folder `out`.

    `start` is a folder of tuned weights to tune further: what comes out holds both. `reward` scores drawn answers (grpo,
    early stop). `sweep` is the record of how the learning rate was chosen, kept with the figures. `dataset` is the id of
    the dataset that some of the pairs come from.
    The same arguments on the same machine give the same bytes. An interrupted call, repeated, continues from the checkpoint
    in `out`; a finished one is not trained again. Raises DataError when there is nothing to learn, an answer is too long or
    nobody may use the result, ModelFailure when the loss is not finite or memory runs out, UsageError for a model that only a
    server holds, MissingExtra without torch, WorkspaceError when the disk is full or read-only.
    """
    preferring = tuning.objective in PREFERENCES
    group, shipped = (PREFERENCE_GROUP, PREFERENCE_TRAINERS) if preferring else (GROUP, TRAINERS)
    trainable = providers(group, shipped=shipped)
    if model.partition(":")[0] not in trainable:
        raise UsageError(
            "its weights are not on this machine, so they cannot be tuned.",
            subject=model,
            remedy=f"Tune a model of {', '.join(trainable)}, or leave the tuned candidates out.",
        )
    if not pairs:
        raise DataError("there is nothing to train on.", subject=model, remedy="Add examples to the train split.")
    before = _about(start) if start is not None else None
    audience = conjoin([pair.audience for pair in pairs] + ([from_json(json.dumps(before["audience"]))] if before else []))
    if not audience.clauses:
        raise DataError(
            "one of the training examples is readable by nobody, so nobody could use the weights.",
            subject=next((pair.id for pair in pairs if not pair.audience.clauses), "the start"),
            remedy="Give its documents an audience in [access].",
        )
    tuning = settled(tuning)
    trainer: Trainer = load(model, group=group, shipped=shipped)()
    about: dict[str, Any] = {
        "model": model,
        "base": trainer.base(model),
        "pairs_digest": pairs_digest(pairs),
        "tuning": asdict(tuning),
        "seed": seed,
        "versions": package_versions(),
    }
    if start is not None:
        about["start"] = adapters.digest(start)
    if reward is not None:
        about["reward"] = reward.identity
    identity = digest(about)
    finished = _finished(out, identity)
    if finished is not None:
        return finished
    (out / ABOUT).unlink(missing_ok=True)
    figures = trainer.train(
        model, pairs, tuning, out=out, seed=seed, identity=identity, progress=progress, start=start, reward=reward
    )
    figures["digest"] = _digest(out)
    about |= {
        "identity": identity,
        "figures": figures,
        "audience": json.loads(to_json(audience)),
        "examples": [*dict.fromkeys([*(pair.id for pair in pairs), *(before["examples"] if before else ())])],
        "documents": sorted({*(name for pair in pairs for name in pair.documents), *(before["documents"] if before else ())}),
        "documents_of": {
            **(before.get("documents_of", {}) if before else {}),
            **{pair.id: sorted(pair.documents) for pair in pairs},
        },
        "machine": platform.machine(),
        **({"sweep": dict(sweep)} if sweep else {}),
        **({"dataset": dataset} if dataset else {}),
    }
    begin_card(out, about)
    write_file(out / ABOUT, (json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode())
    return _result(out, figures)


def load_result(folder: Path) -> TrainingResult:
    """The figures of the finished training in `folder`. Raises OSError when there is none."""
    return _result(folder, json.loads((folder / ABOUT).read_text(encoding="utf-8"))["figures"], remembered=True)


def _finished(out: Path, identity: str) -> TrainingResult | None:
    """The result that `out` already holds, if it is this very training and its weights are whole."""
    try:
        about = json.loads((out / ABOUT).read_text(encoding="utf-8"))
        whole = about["identity"] == identity and about["figures"]["digest"] == _digest(out)
        return _result(out, about["figures"], remembered=True) if whole else None
    except (FileNotFoundError, NotFound, ModelFailure, ValueError, KeyError, TypeError):  # absent, or damaged on disk
        return None


def _about(folder: Path) -> dict[str, Any]:
    """What the finished training in `folder` was made of. Raises NotFound when there is none."""
    try:
        found: dict[str, Any] = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        return found
    except (OSError, ValueError) as error:
        raise NotFound("there is no finished training.", subject=str(folder / ABOUT), remedy="Train it first.") from error


def _digest(out: Path) -> str:
    with adapters.tuned_files(out)[1].open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _result(out: Path, figures: dict[str, Any], *, remembered: bool = False) -> TrainingResult:
    return TrainingResult(adapter=out, remembered=remembered, **{**figures, "too_long": tuple(figures["too_long"])})
