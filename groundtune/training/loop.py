"""The training loop: a network and encoded pairs in, tuned weights out. Knows torch; knows no names and no text."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedModel

from groundtune.errors import ModelFailure
from groundtune.training.checkpoints import Checkpoint, load_checkpoint, random_state, restore_random_state, save_checkpoint
from groundtune.training.encode import IGNORED, EncodedPair, schedule
from groundtune.training.memory import forget_peak, peak_memory
from groundtune.training.methods import prepare
from groundtune.training.rates import peak
from groundtune.types import Tuning

log = logging.getLogger(__name__)

WARM_UP = 0.1
"""Share of the steps in which the learning rate rises."""
MAX_NORM = 1.0
"""Gradients are scaled down to this norm."""
CHECKPOINT_SECONDS = 20.0
"""Between checkpoints; where writing one takes longer than a second, so many times as long. When one is written changes nothing
in the result."""
AT_ONCE = {"cpu": 1024, "cuda": 16384}
"""Tokens read before gradients are added up: bounds memory, not the batch. On a CPU more is no faster."""
WORTH_SHARING = 0.25
"""Share of the longest row; to read a shorter common beginning once saves less than masks and a second call cost."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What the loop hands back: what it learned and how it went."""

    weights: dict[str, torch.Tensor]
    """lora: the factors under PEFT's names; full and partial: the parameters under the model's. float32, on the CPU."""
    losses: tuple[float, ...]
    """Mean loss of an answer token in each step's batch, before that step."""
    scores: tuple[float, ...]
    """After each epoch, where a score was asked for."""
    tokens: int
    """Non-padding tokens seen."""
    seconds: float
    peak_memory_bytes: int
    resumed_at: int
    """Step at which it continued; 0 when it started anew."""


def fit(
    network: PreTrainedModel,
    pairs: Sequence[EncodedPair],
    tuning: Tuning,
    *,
    seed: int,
    folder: Path,
    identity: str,
    base: str = "",
    progress: Callable[[int, int], None] | None = None,
    score: Callable[[], float] | None = None,
) -> Trained:
    """Train `network` (a transformers causal language model in float32, which is changed) by the method of `tuning`.

    Deterministic for a seed on one CPU with one number of threads (kernels of a GPU may differ in the last bits). `folder`
    receives a checkpoint every CHECKPOINT_SECONDS; a call with the same `identity` continues there with the same trajectory.
    `progress(done, total)` is called after each step. With `score`, of the network as it stands (larger is better), the weights
    of the best epoch are handed back, and the training ends after `tuning.patience` epochs that are no better.
    Raises ModelFailure when the loss is not finite or memory runs out.
    """
    with generators(seed) as device, named_failures():
        forget_peak(device)
        fast = torch.bfloat16 if native_bfloat16(device) else torch.float32
        learned = prepare(network, tuning, device, frozen=fast, base=base)
        highest = peak(tuning)
        optimiser = torch.optim.AdamW(learned.values(), lr=highest, weight_decay=0.0, fused=True)
        steps = schedule([len(pair.ids) for pair in pairs], epochs=tuning.epochs, batch_size=tuning.batch_size, seed=seed)
        done, losses, before, at_once = 0, [], 0.0, 0
        scores: list[float] = []
        best: dict[str, torch.Tensor] = {}
        stored = load_checkpoint(folder, identity=identity)
        if stored is not None:
            _restore(stored, learned, optimiser)
            done, losses, before = stored.step, list(stored.losses), stored.seconds
            scores, best = list(stored.curves.get("scores", ())), dict(stored.best)
        resumed_at, started = done, time.monotonic()
        next_save = started + CHECKPOINT_SECONDS
        network.train()
        for step in range(done, len(steps)):
            for group in optimiser.param_groups:
                group["lr"] = highest * rate(step, len(steps))
            batch = [pairs[position] for position in steps[step]]
            loss, at_once = _step(network, batch, device, tokens=at_once)
            losses.append(loss)
            if not math.isfinite(loss):
                raise ModelFailure(
                    f"the loss is {loss} at step {step + 1} of {len(steps)} (pairs {', '.join(pair.id for pair in batch)}).",
                    subject=base or "training",
                    remedy=f"Lower training.learning_rate (now {highest:g}).",
                )
            torch.nn.utils.clip_grad_norm_(learned.values(), MAX_NORM)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            ended = step + 1 == len(steps)
            if score is not None and (step + 1) % (len(steps) // tuning.epochs) == 0:
                scores.append(_scored(network, score))
                if scores[-1] > max(scores[:-1], default=-math.inf):
                    best = _copied(learned)
                ended = ended or len(scores) - 1 - scores.index(max(scores)) >= tuning.patience
            if not ended and (now := time.monotonic()) >= next_save:
                snapshot = _snapshot(step + 1, losses, before + now - started, learned, optimiser, device)
                save_checkpoint(folder, replace(snapshot, curves={"scores": tuple(scores)}, best=best), identity=identity)
                took = time.monotonic() - now
                next_save = now + took + CHECKPOINT_SECONDS * max(1.0, took)
            if progress is not None:
                progress(step + 1, len(steps))
            if ended:
                break
        return Trained(
            weights=best or _copied(learned),
            losses=tuple(losses),
            scores=tuple(scores),
            tokens=sum(len(pairs[position].ids) for step in steps[: len(losses)] for position in step),
            seconds=before + time.monotonic() - started,
            peak_memory_bytes=peak_memory(device),
            resumed_at=resumed_at,
        )


def _scored(network: PreTrainedModel, score: Callable[[], float]) -> float:
    network.train(False)
    found = score()
    network.train()
    return found


def _copied(learned: dict[str, nn.Parameter]) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().float().cpu().clone() for name, parameter in learned.items()}


def rate(step: int, steps: int) -> float:
    """Factor of the learning rate: up in a straight line over the first tenth of the steps, then down to nothing."""
    warm = max(1, round(WARM_UP * steps))
    return (step + 1) / warm if step < warm else (steps - step) / max(1, steps - warm + 1)


def native_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is fast there; on a CPU without its instructions it is several times slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16") or able.get("sve_bf16") or able.get("bf16"))


def batch_loss(network: PreTrainedModel, batch: Sequence[EncodedPair], device: torch.device) -> torch.Tensor:
    """Mean cross-entropy over the batch's learned tokens.

    Rows are padded on the right: under a causal mask no answer sees the padding, so no mask is needed. The head is applied only
    at positions where some row has an answer token to predict. What all prompts of the batch begin with is read once.
    """
    width = max(len(pair.ids) for pair in batch)
    ids = torch.zeros(len(batch), width, dtype=torch.long)
    labels = torch.full((len(batch), width), IGNORED, dtype=torch.long)
    for row, pair in enumerate(batch):
        ids[row, : len(pair.ids)] = torch.tensor(pair.ids)
        labels[row, : len(pair.labels)] = torch.tensor(pair.labels)
    targets = labels[:, 1:]  # position t predicts token t + 1
    positions = (targets != IGNORED).any(dim=0).nonzero().squeeze(1)
    flat = targets[:, positions].to(device).reshape(-1)
    ids, positions = ids.to(device), positions.to(device)
    shared = shared_prefix(batch)
    if shared < WORTH_SHARING * width:
        logits = network(input_ids=ids, logits_to_keep=positions, use_cache=False).logits
    else:
        cache = network(input_ids=ids[:1, :shared], logits_to_keep=1, use_cache=True).past_key_values
        cache.batch_repeat_interleave(len(batch))
        logits = network(input_ids=ids[:, shared:], past_key_values=cache, logits_to_keep=positions - shared).logits
    return nn.functional.cross_entropy(logits.float().reshape(len(flat), -1), flat, ignore_index=IGNORED)


def shared_prefix(batch: Sequence[EncodedPair]) -> int:
    """Tokens with which all prompts of the batch begin; each keeps at least one for itself. 0 for a single pair."""
    if len(batch) < 2:
        return 0
    longest = max(0, min(len(pair.ids) - pair.answer_tokens for pair in batch) - 1)
    first = batch[0].ids
    return next((place for place in range(longest) if any(pair.ids[place] != first[place] for pair in batch)), longest)


def _step(
    network: PreTrainedModel, batch: Sequence[EncodedPair], device: torch.device, *, tokens: int = 0
) -> tuple[float, int]:
    """Forward and backward, a part of the batch at a time; gradients of the whole batch's mean are left on what learns.

    Returns (loss, tokens at once). Where these were too many for an accelerator, half as many are tried, down to single rows.
    """
    tokens = tokens or AT_ONCE[device.type]
    while True:
        whole = parts(batch, tokens=tokens)
        try:
            return _in_parts(network, whole, device), tokens
        except torch.OutOfMemoryError:
            if device.type == "cpu" or len(whole) == len(batch):
                raise
        # Not in the handler: the error holds on to what was computed.
        tokens //= 2
        log.warning("memory ran out on the accelerator; going on with %d tokens at once", tokens)
        network.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()


def _in_parts(network: PreTrainedModel, batch_parts: Sequence[Sequence[EncodedPair]], device: torch.device) -> float:
    answer_tokens = sum(pair.answer_tokens for part in batch_parts for pair in part)
    total = 0.0
    for part in batch_parts:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=native_bfloat16(device)):
            loss = batch_loss(network, part, device) * sum(pair.answer_tokens for pair in part) / answer_tokens
        torch.autograd.backward(loss)
        total += float(loss.detach())
    return total


def parts(batch: Sequence[EncodedPair], *, tokens: int) -> list[Sequence[EncodedPair]]:
    """The batch in halves until each reads at most `tokens` tokens, padding counted and a shared beginning once."""
    shared = shared_prefix(batch)
    read = shared + len(batch) * (max(len(pair.ids) for pair in batch) - shared)
    if read <= tokens or len(batch) == 1:
        return [batch]
    middle = len(batch) // 2
    return [*parts(batch[:middle], tokens=tokens), *parts(batch[middle:], tokens=tokens)]


@contextmanager
def generators(seed: int) -> Iterator[torch.device]:
    """The device to train on, with its random generators seeded, and put back afterwards."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield device


@contextmanager
def named_failures() -> Iterator[None]:
    """Raises ModelFailure where memory ran out, on an accelerator or not."""
    remedy = "Lower training.batch_size or training.max_length; the training goes on where it was kept."
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ModelFailure("memory ran out on the accelerator.", subject="training", remedy=remedy) from error
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or "allocate memory" in str(error):
            raise ModelFailure("memory ran out.", subject="training", remedy=remedy) from error
        raise


def _snapshot(
    step: int,
    losses: Sequence[float],
    seconds: float,
    learned: dict[str, nn.Parameter],
    optimiser: torch.optim.Optimizer,
    device: torch.device,
) -> Checkpoint:
    moments = {
        f"{name}/{key}": value for name, parameter in learned.items() for key, value in optimiser.state[parameter].items()
    }
    return Checkpoint(step, tuple(losses), seconds, dict(learned), moments, random_state(device))


def _restore(stored: Checkpoint, learned: dict[str, nn.Parameter], optimiser: torch.optim.Optimizer) -> None:
    with torch.no_grad():
        for name, parameter in learned.items():
            parameter.copy_(stored.weights[name])
    for name, parameter in learned.items():
        keys = [key for key in stored.optimiser if key.rpartition("/")[0] == name]
        optimiser.state[parameter] = {key.rpartition("/")[2]: stored.optimiser[key].to(parameter.device) for key in keys}
    restore_random_state(stored.rng)
