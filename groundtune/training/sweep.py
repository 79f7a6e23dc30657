"""Short trainings at several learning rates, of which the best-scoring is taken. Knows scores and a budget; no network."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from groundtune.interfaces import Progress
from groundtune.store.stages import digest
from groundtune.training.data import TrainingPair, pairs_digest
from groundtune.training.files import write_file
from groundtune.training.plan import measure_throughput
from groundtune.training.rates import RATES
from groundtune.training.rewards import Reward
from groundtune.training.rows import ENOUGH
from groundtune.training.trainer import train
from groundtune.types import Tuning

TRIED = (1.0, 0.3, 0.1)
"""Parts of the method's own rate that are tried; of equals the first is taken."""

FILE = "sweep.json"

_LETTERS = 4
"""Characters of a token, about."""
_TRAINING = 0.5
"""Share of the time that goes into steps; the rest answers the held-out examples."""


def sweep_rates(
    model: str,
    pairs: Sequence[TrainingPair],
    tuning: Tuning,
    *,
    out: Path,
    seed: int,
    start: Path | None = None,
    reward: Reward | None = None,
    progress: Progress | None = None,
) -> tuple[float, dict[str, Any]]:
    """(the learning rate that scores best after one epoch, the record of what was tried) within `tuning.sweep_minutes`.

    The budget decides beforehand on how many pairs, from this machine's pace, and the choice is kept in `out`, so that what is
    continued does the same work. The scored examples are held out of every trial. Too few pairs are not swept.
    """
    own = RATES[tuning.method]
    if len(pairs) < ENOUGH:
        return own, {"rate": own, "why": f"{len(pairs)} pairs are too few to compare rates on"}
    identity = digest({"pairs": pairs_digest(pairs), "tuning": asdict(tuning), "seed": seed, "model": model})
    record = _stored(out / FILE, identity)
    if record is None:
        number = _affordable(model, pairs, tuning)
        drawn = sorted(pairs, key=lambda pair: hashlib.sha256(f"{seed}:{pair.id}".encode()).digest())[:number]
        record = {"identity": identity, "pairs": sorted(pair.id for pair in drawn), "scores": {}}
        _keep(record, out / FILE)
    if "rate" not in record:
        chosen = set(record["pairs"])
        few = [pair for pair in pairs if pair.id in chosen]
        trial = replace(tuning, epochs=1, early_stop=True, patience=1, sweep_minutes=0.0)
        for part in TRIED:
            rate = float(f"{part * own:.3g}")
            made = train(
                model,
                few,
                replace(trial, learning_rate=rate),
                out=out / f"rate-{rate:g}",
                seed=seed,
                start=start,
                reward=reward,
                progress=progress,
            )
            record["scores"][f"{rate:g}"] = made.details.get("score_epoch_1", 0.0)
        record["rate"] = float(max(record["scores"], key=lambda rate: record["scores"][rate]))
        _keep(record, out / FILE)
        for folder in out.glob("rate-*"):
            shutil.rmtree(folder)
    return record["rate"], {key: record[key] for key in ("rate", "scores")} | {"pairs": len(record["pairs"])}


def _affordable(model: str, pairs: Sequence[TrainingPair], tuning: Tuning) -> int:
    """Pairs of one trial, so that all trials together take the budget; never fewer than can be compared."""
    letters = sum(len(pair.answer) + sum(len(message.content) for message in pair.messages) for pair in pairs)
    tokens = max(1.0, letters / len(pairs) / _LETTERS)
    pace = measure_throughput(model, tuning, prompt_tokens=round(tokens))
    return max(ENOUGH, min(len(pairs), int(tuning.sweep_minutes * 60 * _TRAINING * pace / tokens / len(TRIED))))


def _stored(path: Path, identity: str) -> dict[str, Any] | None:
    """What was decided before for this very sweep."""
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return record if record["identity"] == identity else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _keep(record: dict[str, Any], path: Path) -> None:
    write_file(path, (json.dumps(record, indent=1) + "\n").encode())
