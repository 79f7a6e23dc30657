"""What a candidate costs: once, and per thousand answers. Knows prices and measurements, no scores."""

from __future__ import annotations

import os
from collections.abc import Sequence

from groundtune.config import Prices
from groundtune.types import Candidate, Cost, Latency, Usage


def cores() -> int:
    """Cores that local work occupies; a request keeps all of them busy."""
    return os.cpu_count() or 1


def cost_of(
    candidate: Candidate,
    *,
    local: bool,
    latency: Latency | None,
    tokens: Usage,
    training_seconds: Sequence[float],
    prices: Prices,
) -> Cost:
    """Local answers cost core-hours at the mean batch-1 time, hosted ones their tokens; set-up is the mean of one training.

    What already runs costs its configured price, else its tokens. Without a price in `[prices.models]` the figure is 0, its
    basis says so and it is not `known`. Embedding and storage are not counted, nor what set up a system that already runs.
    """
    external = candidate.external
    if external is not None and external.price_per_1000 is not None:
        return Cost(external.price_per_1000, 0.0, prices.currency, "configured price")
    per_second = cores() * prices.core_hour / 3600
    setup = per_second * sum(training_seconds) / len(training_seconds) if training_seconds else 0.0
    if local and external is None:
        answers = 1000 * latency.mean * per_second if latency else 0.0
        basis = f"{cores()} cores at {prices.core_hour} {prices.currency} a core-hour, mean time at batch 1"
        return Cost(answers, setup, prices.currency, basis)
    price = prices.models.get(candidate.model)
    if price is None:
        return Cost(0.0, setup, prices.currency, f"no price for {candidate.model} in [prices.models]", known=False)
    if tokens == Usage():
        return Cost(0.0, setup, prices.currency, f"{candidate.model} reports no usage", known=False)
    answers = (tokens.input_tokens * price.input_per_million + tokens.output_tokens * price.output_per_million) / 1000
    return Cost(answers, setup, prices.currency, "price of tokens")
