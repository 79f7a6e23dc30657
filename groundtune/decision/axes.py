"""What can be chosen about retrieval, and the settings that the choices make. Knows keys of groundtune.toml; never measures."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from groundtune.config import Config, Retrieval
from groundtune.decision.halving import Setting
from groundtune.interfaces import Embedder

Choice = Mapping[str, Mapping[str, Any]]
"""Table of groundtune.toml -> key -> value."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One thing that can be chosen; the first option is what the workspace has now."""

    name: str
    options: tuple[tuple[str, Choice], ...]
    """What it is called, and the keys that it sets."""


def axes_of(config: Config, *, embedder: Embedder) -> tuple[Axis, ...]:
    """What is swept for a workspace. Chunks longer than the embedder reads are not tried."""
    chunking, retrieval = config.chunking, config.retrieval
    cuts: list[tuple[str, Choice]] = [("as it is", {})]
    for tokens in (120, 220, 400):
        if tokens <= embedder.max_tokens and (chunking.method, chunking.tokens) != ("recursive", tokens):
            cuts.append((f"recursive {tokens}", {"chunking": {"method": "recursive", "tokens": tokens}}))
    if chunking.method != "parent":
        cuts.append(("parent 120 of 400", {"chunking": {"method": "parent", "tokens": 120, "parent_tokens": 400}}))
    found = [
        Axis("chunking", tuple(cuts)),
        _axis("k", "k", (3, 5, 8), retrieval),
        _axis("fusion", "fusion", ("ranks", "scores"), retrieval),
        _pairs(retrieval),
        _axis("neighbours", "neighbours", (0, 1), retrieval),
        _axis("near duplicates", "near_duplicate", (0.9, 1.0), retrieval),
    ]
    if retrieval.reranker is not None:
        kept: tuple[tuple[str, Choice], ...] = (("as it is", {}), ("without", {"retrieval": {"reranker": None}}))
        found.append(Axis("reranker", kept))
    return tuple(found)


def _axis(name: str, key: str, values: Sequence[float | str], retrieval: Retrieval) -> Axis:
    now = getattr(retrieval, key)
    others = [(str(value), {"retrieval": {key: value}}) for value in values if value != now]
    return Axis(name, ((f"as it is ({now})", {}), *others))


def _pairs(retrieval: Retrieval) -> Axis:
    now = retrieval.text_weight, retrieval.vector_weight
    options: list[tuple[str, Choice]] = [(f"as it is ({now[0]:g} : {now[1]:g})", {})]
    for text, vector in ((1.0, 1.0), (2.0, 1.0), (1.0, 2.0)):
        if text * now[1] != vector * now[0]:
            options.append((f"{text:g} : {vector:g}", {"retrieval": {"text_weight": text, "vector_weight": vector}}))
    return Axis("full text : vectors", tuple(options))


def settings_of(axes: Sequence[Axis]) -> dict[Setting, Choice]:
    """Every combination of options; the first is what is set now."""
    found: dict[Setting, Choice] = {}
    for options in itertools.product(*(axis.options for axis in axes)):
        merged: dict[str, dict[str, Any]] = {}
        for _, choice in options:
            for table, keys in choice.items():
                merged.setdefault(table, {}).update(keys)
        found[tuple(name for name, _ in options)] = merged
    return found


def changed(config: Config, choice: Choice) -> Config:
    """The configuration with these keys. Raises ConfigError as reading the file would."""
    updates = {
        table: type(getattr(config, table)).model_validate(getattr(config, table).model_dump() | dict(keys))
        for table, keys in choice.items()
    }
    return config.model_copy(update=updates)
