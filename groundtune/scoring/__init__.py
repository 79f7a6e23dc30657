"""Per-item metrics, also used as rewards and for early stopping. A metric sees an example and an answer and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType

from groundtune.errors import UsageError
from groundtune.interfaces import Metric
from groundtune.scoring.abstention import abstention
from groundtune.scoring.citations import citation_precision, citation_recall
from groundtune.scoring.labels import label_accuracy
from groundtune.scoring.structure import json_valid
from groundtune.scoring.text import contains, exact_match, f1

METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "abstention": abstention,
        "citation_precision": citation_precision,
        "citation_recall": citation_recall,
        "contains": contains,
        "exact_match": exact_match,
        "f1": f1,
        "json_valid": json_valid,
        "label_accuracy": label_accuracy,
    }
)
"""Every per-item metric by the name that the configuration and the reports use."""


def metric(name: str) -> Metric:
    """The metric of that name. Raises UsageError, with the nearest name, for one that does not exist."""
    if name in METRICS:
        return METRICS[name]
    near = get_close_matches(name, METRICS, n=1)
    raise UsageError(
        "there is no such metric.",
        subject=name,
        remedy=f"Did you mean {near[0]!r}?" if near else f"Metrics: {', '.join(sorted(METRICS))}.",
    )
