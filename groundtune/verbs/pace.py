"""What this machine does with a model in a minute: measured over some seconds of real work, remembered in the cache."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from groundtune.candidates.recipes import candidate_named
from groundtune.config import Config
from groundtune.decision.plan import Pace, measure
from groundtune.errors import GroundtuneError
from groundtune.interfaces import Progress
from groundtune.models import available, load_model
from groundtune.models.weights import cache
from groundtune.store.artefacts import write_whole
from groundtune.store.stages import digest
from groundtune.training.plan import measure_throughput
from groundtune.training.trainer import TRAINERS
from groundtune.types import Tuning
from groundtune.verbs.machine_checks import cores, installed_packages, processor

INSTRUCTIONS_TOKENS = 100
"""Of a prompt, beside the passages: instructions and question."""
ANSWER_TOKENS = 30
TIMED_PAIRS, TIMED_TOKENS = 2, 256
"""Pairs a step, of so many tokens each, in the two steps of training that are timed."""


@dataclass(frozen=True, slots=True)
class MachinePace:
    """What a minute brings, for prompts and answers of the lengths named."""

    model: str
    measured: str
    """UTC, ISO 8601."""
    seconds: float
    """That the measurement took."""
    load: float
    """Processes that wanted a core when it began; more than there are cores means that it came out too slow."""
    prompt_tokens: int
    """A prompt with as many passages as the configuration allows."""
    answer_tokens: int
    answers_per_minute: float
    """In batches, as a race answers."""
    seconds_alone: float
    """Of one answer to one request."""
    examples_per_minute: float | None
    """Examples that a training sees; None where this machine cannot tune this model."""
    pace: Pace


def machine_pace(config: Config, *, measure: bool | None, progress: Progress | None) -> tuple[MachinePace | None, str]:
    """The pace of the configured model, or why there is none. `measure` as in `doctor`; nothing is fetched for it."""
    place, key = cache() / "pace.json", digest(_circumstances(config))
    known = _read(place)
    if measure or (measure is None and key not in known):
        reason = _obstacle(config)
        if reason:
            return None, reason
        try:
            known[key] = _measured(config, progress)
            place.parent.mkdir(parents=True, exist_ok=True)
            write_whole(place, (json.dumps(known, indent=1) + "\n").encode())
        except (GroundtuneError, OSError) as error:
            if key not in known:
                return None, str(error)
    if key not in known:
        return None, "not measured yet; doctor --measure does it"
    return _in_a_minute(config, known[key]), ""


def _in_a_minute(config: Config, row: Mapping[str, Any]) -> MachinePace:
    pace = Pace(**row["pace"])
    prompt = config.retrieval.max_tokens + INSTRUCTIONS_TOKENS
    together = prompt / pace.prompt_tokens_per_second + ANSWER_TOKENS / pace.answer_tokens_per_second
    alone = prompt / pace.single_prompt_tokens_per_second + ANSWER_TOKENS / pace.single_answer_tokens_per_second
    rate = pace.training_tokens_per_second
    return MachinePace(
        model=config.model,
        measured=row["measured"],
        seconds=row["seconds"],
        load=row["load"],
        prompt_tokens=prompt,
        answer_tokens=ANSWER_TOKENS,
        answers_per_minute=60 / together,
        seconds_alone=alone,
        examples_per_minute=60 * rate / (prompt + ANSWER_TOKENS) if rate else None,
        pace=pace,
    )


def _measured(config: Config, progress: Progress | None) -> dict[str, Any]:
    started, load = time.monotonic(), os.getloadavg()[0]

    def show(done: int) -> None:
        if progress is not None:
            progress(f"measure {config.model}", done, 3)

    show(0)
    model = load_model(config.model)
    show(1)
    pace = measure(model, batch_size=config.decision.batch_size)
    show(2)
    if _trainable(config.model):
        tuning = replace(_tuning(config), batch_size=TIMED_PAIRS)
        rate = measure_throughput(config.model, tuning, prompt_tokens=min(TIMED_TOKENS, tuning.max_length // 2))
        pace = replace(pace, training_tokens_per_second=rate)
    show(3)
    return {
        "pace": asdict(pace),
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": time.monotonic() - started,
        "load": load,
        **_circumstances(config),
    }


def _tuning(config: Config) -> Tuning:
    return candidate_named("tuned", config=config).tuning or Tuning()


def _trainable(model: str) -> bool:
    provider = model.partition(":")[0]
    return provider == "fake" or (provider in TRAINERS and all(find_spec(name) for name in ("torch", "peft", "transformers")))


def _obstacle(config: Config) -> str:
    """Why the model is not measured: it is elsewhere, or would have to be fetched first."""
    provider, _, name = config.model.partition(":")
    if provider == "openai":
        return f"{config.model} runs on a server, whose pace is not this machine's"
    if provider == "embedded":
        info = next((info for info in available() if info.name == config.model), None)
        return f"{config.model} is not ready on this machine" if info is not None and not info.installed else ""
    if provider == "hf" and not Path(name).is_dir():
        return f"{config.model} is not in a local folder, and nothing is fetched to measure it"
    return ""


def _circumstances(config: Config) -> dict[str, Any]:
    """All that the pace depends on and that can be told without loading anything."""
    return {
        "model": config.model,
        "batch_size": config.decision.batch_size,
        "rank": config.training.rank,
        "packages": {name: known for extra in ("openvino", "train") for name, known in installed_packages()[extra].items()},
        "machine": [platform.node(), processor(), cores()],
    }


def _read(place: Path) -> dict[str, Any]:
    """What is remembered; nothing where the file is absent or damaged."""
    try:
        rows = json.loads(place.read_text(encoding="utf-8"))
        return {
            key: row
            for key, row in rows.items()
            if Pace(**row["pace"]) and row["measured"] and row["seconds"] + row["load"] >= 0
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
