"""The model card beside tuned weights: what made them, who may use them, what was measured. Knows figures; holds no text."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from groundtune.access.audience import from_json, spoken
from groundtune.models.licence import licence_of
from groundtune.training.files import write_file

CARD, PAGE = "card.json", "MODEL_CARD.md"


def begin_card(folder: Path, about: Mapping[str, Any]) -> None:
    """Write card.json and MODEL_CARD.md beside weights from what training.json holds. Raises WorkspaceError."""
    _write(folder, _made(about) | {"created": datetime.now(UTC).isoformat(timespec="seconds")})


def amend_card(folder: Path, part: str, content: Any) -> None:
    """Put what was found out later (`forgetting`, `plan`, `measured`) into the card. Raises OSError without weights."""
    _write(folder, {**load_card(folder), part: content})


def load_card(folder: Path) -> dict[str, Any]:
    """The card's data; for weights that were made without one, what training.json tells. Raises OSError without any."""
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        card = None
    if isinstance(card, dict):
        return card
    return _made(json.loads((folder / "training.json").read_text(encoding="utf-8")))


def page(card: Mapping[str, Any]) -> str:
    """MODEL_CARD.md."""
    parts = [
        f"# Tuned weights of {card['base']['model']}",
        _table("What it is", _what(card)),
        _table("What it was trained on", _data(card)),
        _table("Who may use it", {"audience": spoken(from_json(json.dumps(card["audience"])))}),
        "A caller must meet every group above, as it stood at training, and be allowed to read, at the moment of asking, every "
        "document that it was trained on. Weights remember: do not hand them to anybody else.",
        _table("How it was trained", _how(card)),
        _measured(card),
        _forgetting(card),
        _use(card),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


# --- inside -------------------------------------------------------------------------------------------------------------


def _made(about: Mapping[str, Any]) -> dict[str, Any]:
    figures = about["figures"]
    return {
        "base": {"model": about["model"], "digest": about["base"], "licence": licence_of(about["model"])},
        "weights": {"identity": about["identity"], "sha256": figures["digest"]},
        "data": {
            "pairs_sha256": about["pairs_digest"],
            "dataset": about.get("dataset", ""),
            "examples": len(about["examples"]),
            "pairs": figures["pairs"],
            "documents": len(about["documents"]),
            "too_long": len(figures["too_long"]),
        },
        "audience": about["audience"],
        "tuning": about["tuning"],
        "seed": about["seed"],
        "figures": {name: value for name, value in figures.items() if isinstance(value, int | float | str)},
        "machine": {"system": platform.system(), "processor": about["machine"], "cores": os.cpu_count()},
        "versions": about["versions"],
    }


def _write(folder: Path, card: Mapping[str, Any]) -> None:
    write_file(folder / CARD, (json.dumps(card, indent=1, ensure_ascii=False) + "\n").encode())
    write_file(folder / PAGE, page(card).encode())


def _table(heading: str, rows: Mapping[str, object]) -> str:
    lines = [f"| {name} | {value} |" for name, value in rows.items() if value not in ("", None)]
    return "\n".join([f"## {heading}", "", "| | |", "|---|---|", *lines])


def _what(card: Mapping[str, Any]) -> dict[str, object]:
    base = card["base"]
    return {
        "base": f"`{base['model']}`",
        "licence of the base": base["licence"],
        "base, SHA-256": f"`{base['digest']}`",
        "weights, SHA-256": f"`{card['weights']['sha256']}`",
        "made": card.get("created", ""),
    }


def _data(card: Mapping[str, Any]) -> dict[str, object]:
    data = card["data"]
    return {
        "dataset": f"`{data['dataset']}`" if data["dataset"] else "",
        "training pairs, SHA-256": f"`{data['pairs_sha256']}`",
        "examples": data["examples"],
        "pairs trained on": data["pairs"],
        "left out as too long": data["too_long"],
        "documents": data["documents"],
    }


def _how(card: Mapping[str, Any]) -> dict[str, object]:
    figures, machine = card["figures"], card["machine"]
    memory = figures.get("peak_memory_bytes", 0)
    wanted = ("python", "groundtune", "torch", "transformers", "peft", "safetensors")
    return {
        **{name.replace("_", " "): value for name, value in card["tuning"].items()},
        "seed": card["seed"],
        "steps": figures.get("steps", ""),
        "tokens": f"{figures.get('tokens', 0):,}",
        "minutes": f"{figures.get('seconds', 0.0) / 60:.1f}",
        "peak memory": f"{memory / 2**30:.2f} GiB" if memory else "not measured",
        "loss, first and last": f"{figures.get('loss_first', 0.0):.3f}, {figures.get('loss_last', 0.0):.3f}",
        "estimate": _estimate(card.get("plan")),
        "machine": f"{machine['system']} {machine['processor']}, {machine['cores']} cores",
        "versions": ", ".join(f"{name} {card['versions'][name]}" for name in wanted if name in card["versions"]),
    }


def _estimate(plan: Mapping[str, float] | None) -> str:
    if not plan:
        return ""
    estimated, taken = plan["estimated"] / 60, plan["taken"] / 60
    return f"{estimated:.1f} minutes estimated, {taken:.1f} taken: {plan['ratio']:.2f} times the estimate"


def _measured(card: Mapping[str, Any]) -> str:
    rows = card.get("measured") or {}
    if not rows:
        return "## Measured\n\nNo decision has measured these weights."
    lines = [
        f"| {run} | {row['candidate']} | {row['metric']} | {row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}] "
        f"| {row['items']} | {row['weights']} |"
        for run, row in rows.items()
    ]
    note = "A figure of several weights is of all together, each on questions that it was not trained on."
    heading = "| decision | candidate | metric | value [interval] | questions | weights |\n|---|---|---|---|---|---|"
    return "\n".join(["## Measured", "", heading, *lines, "", note])


def _forgetting(card: Mapping[str, Any]) -> str:
    found = card.get("forgetting")
    if not found:
        return "## Forgetting\n\nNot measured."
    rows = {kind: f"{before} of {of} before, {after} after" for kind, (of, before, after) in found["kinds"].items()}
    return f"{_table('Forgetting', rows)}\n\n{found['words']}"


def _use(card: Mapping[str, Any]) -> str:
    return (
        "## How to load it\n\nIn its workspace: `groundtune ask --candidate NAME`. Elsewhere: `groundtune export` "
        "writes a merged Hugging Face folder, a GGUF file or a LoRA folder, with this card. As a library:\n\n"
        "```python\nfrom pathlib import Path\n\nfrom groundtune.models import load_model\n\n"
        f'model = load_model("{card["base"]["model"]}", adapter=Path("FOLDER"))\n```'
    )
