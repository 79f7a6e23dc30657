"""Preferences and rewards with TRL's trainers, on our token ids and our checkpoints. Decides nothing about the data.

TRL renders and tokenizes by its own means, continues from pickles, and puts control tokens into what it learns; each trainer
here is TRL's with these three replaced. Its losses, its batches and its optimiser's loop are left alone.
"""

from __future__ import annotations

import copy
import hashlib
import random
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from groundtune.errors import DataError, MissingExtra, UsageError
from groundtune.interfaces import Progress
from groundtune.models.weights import digest, folder, torch_model
from groundtune.training.data import TrainingPair
from groundtune.training.encode import IGNORED, EncodedPair
from groundtune.training.rates import peak
from groundtune.training.rewards import Reward
from groundtune.training.rows import encode_rows, reward_accuracy, split_rows, token_count
from groundtune.types import Example, Tuning

try:
    import torch
    from datasets import Dataset
    from transformers import AutoTokenizer, PreTrainedModel
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.dpo_trainer import DPOTrainer
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.grpo_trainer import GRPOTrainer
    from trl.trainer.kto_config import KTOConfig
    from trl.trainer.kto_trainer import KTOTrainer

    from groundtune.training import loop, methods
    from groundtune.training.checkpoints import remove_checkpoint
    from groundtune.training.memory import forget_peak, peak_memory
    from groundtune.training.torch_trainer import write_weights
    from groundtune.training.trl_steps import Kept
except ImportError as error:
    package = error.name or "trl"
    extra = "train" if package in ("peft", "safetensors", "torch", "transformers") else "preferences"
    raise MissingExtra(package, extra=extra, wanted_by="tuning on preferences") from error

AT_ONCE = {"cpu": 2, "cuda": 8}
"""dpo: pairs read before gradients are added up."""


class TrlTrainer:
    """Trains `embedded:` and `hf:` models with dpo, kto and grpo, on a GPU where there is one."""

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
        rows, too_long = encode_rows(pairs, tokens, tuning)
        rows, held_out = split_rows(rows, tuning, seed=seed)
        identity = hashlib.sha256(f"{identity}:{tokens.fingerprint}:{torch.get_num_threads()}".encode()).hexdigest()
        with _scratch() as scratch, loop.generators(seed) as device, loop.named_failures():
            forget_peak(device)
            before = log_probabilities(network, held_out, device)
            started = time.monotonic()
            trainer = trainer_of(
                network, rows, pairs, tuning, seed=seed, model=model, scratch=scratch, tokens=tokens, reward=reward
            )
            trainer.prepare(folder=out, identity=identity, lora=tuning.method == "lora", progress=progress)
            resumed_at = trainer.run(scratch)
            seconds = trainer.before + time.monotonic() - started
            after = log_probabilities(trainer.model, held_out, device)
        learned = {name: values.detach().float().cpu().clone() for name, values in trainer.learned.items()}
        write_weights(learned, tuning, model=model, start=start, out=out)
        remove_checkpoint(out)
        losses = trainer.losses
        last_epoch = losses[-max(1, len(losses) // tuning.epochs) :]
        return {
            "steps": int(trainer.state.global_step),
            "seconds": seconds,
            "tokens": tuning.epochs * sum(token_count(row) for row in rows),
            "loss_first": losses[0],
            "loss_last": sum(last_epoch) / len(last_epoch),
            "peak_memory_bytes": peak_memory(device),
            "pairs": len(rows),
            "too_long": too_long,
            "resumed_at": resumed_at,
            "details": reward_accuracy(held_out, before, after) if held_out else trainer.details(),
        }


def log_probabilities(network: Any, rows: Sequence[dict[str, Any]], device: torch.device) -> list[dict[str, float]]:
    """Log-probability of each answer of each row, summed over its tokens."""
    network.to(device)
    network.train(False)
    found = []
    with torch.no_grad():
        for row in rows:
            values: dict[str, float] = {}
            for name in ("chosen_ids", "rejected_ids", "completion_ids"):
                if name in row:
                    ids = row[name]
                    one = EncodedPair("", (*row["prompt_ids"], *ids), (*[IGNORED] * len(row["prompt_ids"]), *ids))
                    values[name] = -float(loop.batch_loss(network, [one], device)) * len(ids)
            found.append(values)
    network.train(True)
    return found


class Dpo(Kept, DPOTrainer):
    """Direct preference optimisation (Rafailov et al. 2023, arXiv:2305.18290)."""


class Kto(Kept, KTOTrainer):
    """Thumbs instead of pairs (Ethayarajh et al. 2024, arXiv:2402.01306)."""

    def _prepare_dataset(self, dataset: Dataset, _: Any, args: KTOConfig, *__: Any) -> Dataset:
        """Each batch's answers, moved on by one row, are what its reference point is estimated from, as TRL does."""
        ids, size = dataset["completion_ids"], args.per_device_train_batch_size
        batches = [list(ids[start : start + size]) for start in range(0, len(ids), size)]
        return dataset.add_column("KL_completion_ids", [one for batch in batches for one in (batch[-1], *batch[:-1])])


class Grpo(Kept, GRPOTrainer):
    """Group-relative policy optimisation (Shao et al. 2024, arXiv:2402.03300) on the metrics of `scoring`."""

    prompts: Mapping[str, Sequence[int]] = MappingProxyType({})
    """Prompt ids by the number of the pair, which stands in the place of the prompt's text."""

    def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return [list(self.prompts[prompt]) for prompt in prompts], None, {}

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        values: torch.Tensor = super()._calculate_rewards(*args, **kwargs)
        self.rewards.append(float((values * self.reward_weights.to(values.device)).nansum(dim=1).mean()))
        return values


def trainer_of(
    network: PreTrainedModel,
    rows: list[dict[str, Any]],
    pairs: Sequence[TrainingPair],
    tuning: Tuning,
    *,
    seed: int,
    model: str,
    scratch: str,
    tokens: Any,
    reward: Reward | None,
) -> Any:
    """TRL's trainer of the objective. The reference is the network as it stands: with the adapter off, or a copy of it."""
    on_gpu = torch.cuda.is_available()
    at_once = min(tuning.batch_size, len(rows))
    if tuning.objective == "dpo":  # the loss of a pair needs no other, so a batch may be read in parts
        at_once = min(at_once, AT_ONCE["cuda" if on_gpu else "cpu"])
    common: dict[str, Any] = {
        "output_dir": scratch,
        "per_device_train_batch_size": tuning.batch_size if tuning.objective == "grpo" else at_once,
        "gradient_accumulation_steps": max(1, tuning.batch_size // at_once) if tuning.objective == "dpo" else 1,
        "num_train_epochs": tuning.epochs,
        "learning_rate": peak(tuning),
        "lr_scheduler_type": "linear",
        "warmup_steps": loop.WARM_UP,
        "weight_decay": 0.0,
        "max_grad_norm": loop.MAX_NORM,
        "seed": seed,
        "beta": tuning.beta,
        "bf16": on_gpu and loop.native_bfloat16(torch.device("cuda")),
        "use_cpu": not on_gpu,
        "gradient_checkpointing": False,
        "save_strategy": "no",
        "logging_strategy": "no",
        "report_to": "none",
        "push_to_hub": False,
        "disable_tqdm": True,
        "dataloader_pin_memory": on_gpu,
    }
    tokenizer = AutoTokenizer.from_pretrained(folder(model), local_files_only=True)
    given: dict[str, Any] = {"processing_class": tokenizer, "train_dataset": Dataset.from_list(rows)}
    if tuning.method == "lora":
        given["peft_config"] = replace(methods.lora_config(tuning, base=str(network.name_or_path)), inference_mode=False)
    else:
        own = methods.own_parameters(network, tuning)
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(name in own)
    if tuning.objective == "grpo":
        return _grpo(network, pairs, tuning, common=common, given=given, tokens=tokens, reward=reward)
    if tuning.method != "lora":
        given["ref_model"] = copy.deepcopy(network).requires_grad_(False)
    if tuning.objective == "dpo":
        return Dpo(model=network, args=DPOConfig(**common, max_length=None), **given)
    return Kto(model=network, args=KTOConfig(**common, max_length=None), **given)


def _grpo(
    network: PreTrainedModel,
    pairs: Sequence[TrainingPair],
    tuning: Tuning,
    *,
    common: dict[str, Any],
    given: dict[str, Any],
    tokens: Any,
    reward: Reward | None,
) -> Grpo:
    """Every prompt is answered `generations` times; an answer is worth what it scores above its group."""
    prompts = len(given["train_dataset"])
    if reward is None:
        raise UsageError("grpo needs a reward.", subject="tuning.rewards", remedy='Name a metric, such as ["label_accuracy"].')
    if tuning.batch_size % tuning.generations or tuning.batch_size // tuning.generations > prompts:
        raise UsageError(
            f"a batch holds whole groups of {tuning.generations} answers, for at most {prompts} prompts.",
            subject=f"tuning.batch_size = {tuning.batch_size}",
            remedy="Make it a multiple of tuning.generations.",
        )
    if common["beta"] and tuning.method != "lora":
        raise UsageError("grpo holds on to its start (beta) with lora only.", subject=f"tuning.beta = {tuning.beta}")
    config = GRPOConfig(
        **common,
        num_generations=tuning.generations,
        max_completion_length=tuning.answer_tokens,
        steps_per_generation=1,
        shuffle_dataset=False,  # the rows are drawn already; TRL's sampler would begin anew when continued in a later epoch
        reward_weights=list(reward.weights),
    )
    network.generation_config.eos_token_id = list(tokens.stop_ids)
    functions: list[Any] = [_scored(reward, place, pairs, tokens) for place in range(len(reward.names))]
    trainer = Grpo(model=network, reward_funcs=functions, args=config, **given)
    trainer.prompts = {str(row["pair"]): row["prompt_ids"] for row in given["train_dataset"]}
    return trainer


def _scored(reward: Reward, place: int, pairs: Sequence[TrainingPair], tokens: Any) -> Callable[..., list[float | None]]:
    """One metric as TRL calls it: every drawn answer is read as serving would read it."""

    def score(*, completion_ids: list[list[int]], pair: list[int], **_: Any) -> list[float | None]:
        drawn = zip(pair, completion_ids, strict=True)
        return [reward.score(place, example_of(pairs[number]), tokens.decode(ids)) for number, ids in drawn]

    score.__name__ = reward.names[place]
    return score


def example_of(pair: TrainingPair) -> Example:
    """What a reward compares a drawn answer with."""
    if pair.example is None:
        raise DataError("it has no example to score an answer by.", subject=pair.id)
    return pair.example


@contextmanager
def _scratch() -> Iterator[str]:
    """A folder for TRL; the global generators of Python and numpy, which it seeds, are put back afterwards."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # names that PEFT and TRL have still to change
            yield folder
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
