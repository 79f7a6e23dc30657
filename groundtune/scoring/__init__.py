"""Per-item metrics, also used as rewards and for early stopping. A metric sees an example and an answer and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType

from groundtune.errors import UsageError
from groundtune.interfaces import Metric
from groundtune.scoring.abstention import abstention
from groundtune.scoring.citations import citation_precision, citation_recall
from groundtune.scoring.labels import label_accuracy, macro_f1
from groundtune.scoring.overlap import chrf, rouge_l, rouge_lsum
from groundtune.scoring.settings import NOTHING_SET, Settings
from groundtune.scoring.sql import sql_execution
from groundtune.scoring.structure import json_schema, json_valid, slot_f1, structure_exact
from groundtune.scoring.support import claims_supported, fact_words, facts_recall
from groundtune.scoring.text import contains, exact_match, f1
from groundtune.types import Answer, Example

METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "abstention": abstention,
        "chrf": chrf,
        "citation_precision": citation_precision,
        "citation_recall": citation_recall,
        "claims_supported": claims_supported,
        "contains": contains,
        "exact_match": exact_match,
        "f1": f1,
        "fact_words": fact_words,
        "facts_recall": facts_recall,
        "json_valid": json_valid,
        "label_accuracy": label_accuracy,
        "rouge_l": rouge_l,
        "rouge_lsum": rouge_lsum,
        "slot_f1": slot_f1,
        "structure_exact": structure_exact,
    }
)
"""Every per-item metric that needs no setting, by the name that the configuration and the reports use."""

METRICS_WITH_SETTINGS: Mapping[str, Callable[[Settings], Metric]] = MappingProxyType(
    {"json_schema": json_schema, "sql_execution": sql_execution}
)
"""Every per-item metric that is made from settings."""

SET_METRICS: Mapping[str, Callable[[Sequence[Example], Sequence[Answer]], float]] = MappingProxyType({"macro_f1": macro_f1})
"""Figures of a whole set of answers. They have no score an item, so nothing paired can be tested on them."""


def metric(name: str, *, settings: Settings = NOTHING_SET) -> Metric:
    """The metric of that name. Raises UsageError, with the nearest name, for one that does not exist or has no score an item.

    A metric that needs settings is bound to them here. Raises ConfigError when they are missing or name nothing usable.
    """
    if name in METRICS:
        return METRICS[name]
    if name in METRICS_WITH_SETTINGS:
        return METRICS_WITH_SETTINGS[name](settings)
    known = sorted({*METRICS, *METRICS_WITH_SETTINGS})
    if name in SET_METRICS:
        raise UsageError(
            "this is a figure of a whole set; a race compares items.",
            subject=name,
            remedy="Choose label_accuracy; macro_f1 is reported beside it.",
        )
    near = get_close_matches(name, known, n=1)
    raise UsageError(
        "there is no such metric.",
        subject=name,
        remedy=f"Did you mean {near[0]!r}?" if near else f"Metrics: {', '.join(known)}.",
    )
