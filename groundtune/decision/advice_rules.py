"""What practitioners' guides and papers say about choosing, as one table. Data only: `advise` adds it up.

Two axes, after the matrix of OpenAI's guide "Optimizing LLM accuracy": *external data* (what the model would have to know and
does not) and *behaviour* (what it would have to do or sound like and does not). A rule moves the prior on them by -2 to +2
steps, and may forbid or ask for a candidate. The steps are our reading of the sources, not measurements of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Need = Literal["forbid", "prefer", "avoid"]

SOURCES: Mapping[str, str] = {
    "openai": 'OpenAI, guide "Optimizing LLM accuracy" (the matrix of context and model optimisation)',
    "aws": 'AWS Prescriptive Guidance, "Comparing Retrieval Augmented Generation and fine-tuning"',
    "ovadia": "Ovadia et al. 2024, Fine-tuning or retrieval? Comparing knowledge injection in LLMs, arXiv:2312.05934",
    "soudani": "Soudani et al. 2024, Fine tuning vs. RAG for less popular knowledge, arXiv:2403.01432",
    "gekhman": "Gekhman et al. 2024, Does fine-tuning LLMs on new knowledge encourage hallucinations?, arXiv:2405.05904",
    "balaguer": "Balaguer et al. 2024, RAG vs fine-tuning: a case study on agriculture, arXiv:2401.08406",
    "raft": "Zhang et al. 2024, RAFT: adapting language models to domain specific RAG, arXiv:2403.10131",
    "lima": "Zhou et al. 2023, LIMA: less is more for alignment, arXiv:2305.11206",
    "tfew": "Liu et al. 2022, Few-shot parameter-efficient fine-tuning is better and cheaper than ICL, arXiv:2205.05638",
    "dapt": "Gururangan et al. 2020, Don't stop pretraining, arXiv:2004.10964",
    "alce": "Gao et al. 2023, Enabling large language models to generate text with citations, arXiv:2305.14627",
    "multihop": "Tang and Yang 2024, MultiHop-RAG: benchmarking RAG for multi-hop queries, arXiv:2401.15391",
    "arithmetic": "arithmetic of prompt lengths and training tokens, done below",
}


@dataclass(frozen=True, slots=True)
class Rule:
    question: str
    answer: str
    external_data: int
    """Steps on that axis, -2 to +2."""
    behaviour: int
    why: str
    sources: tuple[str, ...]
    candidates: Mapping[str, Need] = field(default_factory=dict)


_NO_RETRIEVAL: Mapping[str, Need] = {"rag": "forbid", "rag_tuned": "forbid"}
_NO_TUNING: Mapping[str, Need] = {"tuned": "forbid", "rag_tuned": "forbid"}
_FRESH: Mapping[str, Need] = {"rag": "prefer", "tuned": "avoid"}
_CITING: Mapping[str, Need] = {"prompt": "forbid", "few_shot": "forbid", "tuned": "forbid"}

RULES: tuple[Rule, ...] = (
    Rule("documents", "yes", 2, 0, "the answers stand in documents that the model has not read", ("openai", "ovadia")),
    Rule(
        "documents", "no", -2, 1, "there is nothing to retrieve: the task is learned from examples", ("openai",), _NO_RETRIEVAL
    ),
    Rule("facts_change", "never", 0, 0, "facts that stay can be learned as well as looked up", ("aws",)),
    Rule("facts_change", "yearly", 0, 0, "a training a year keeps up with them", ("aws",)),
    Rule("facts_change", "monthly", 1, 0, "each change is a sync for retrieval and a training for tuning", ("aws",)),
    Rule("facts_change", "weekly", 1, 0, "each change is a sync for retrieval and a training for tuning", ("aws",), _FRESH),
    Rule("facts_change", "daily", 2, 0, "weights would be out of date the day after their training", ("aws", "ovadia"), _FRESH),
    Rule(
        "facts_change", "hourly", 2, 0, "weights would be out of date within hours of their training", ("aws", "ovadia"), _FRESH
    ),
    Rule(
        "labelled",
        "0",
        0,
        0,
        "nothing to learn from and nothing to measure with",
        ("openai",),
        {**_NO_TUNING, "few_shot": "forbid"},
    ),
    Rule(
        "labelled",
        "few",
        0,
        0,
        "under 50 examples shown in the prompt usually do as much as tuning on them",
        ("openai",),
        {"tuned": "avoid", "rag_tuned": "avoid"},
    ),
    Rule(
        "labelled",
        "hundreds",
        0,
        1,
        "enough to tune on, and tuning on them beats showing a few",
        ("tfew",),
        {"tuned": "prefer"},
    ),
    Rule(
        "labelled", "thousands", 0, 1, "a thousand good examples settle style and format", ("lima", "tfew"), {"tuned": "prefer"}
    ),
    Rule("strictness", "free", 0, -1, "any wording will do, so there is little behaviour to learn", ("openai",)),
    Rule("strictness", "some", 0, 1, "a house style can be shown in a few examples first", ("openai",), {"few_shot": "prefer"}),
    Rule(
        "strictness",
        "strict",
        0,
        2,
        "a fixed format or label set is what tuning learns best",
        ("openai", "lima"),
        {"tuned": "prefer"},
    ),
    Rule("language", "general", 0, -1, "the model speaks the language of the task already", ("openai",)),
    Rule("language", "some", 1, 0, "terms that stand in the documents come with the context", ("balaguer",)),
    Rule(
        "language",
        "specialised",
        1,
        1,
        "text unlike the model's own is learned by tuning; gains add to retrieval's",
        ("dapt", "balaguer"),
        {"rag_tuned": "prefer"},
    ),
    Rule(
        "latency",
        "tight",
        0,
        1,
        "a context of hundreds of tokens is read at every question; weights are not",
        ("arithmetic",),
        {"rag": "avoid", "tuned": "prefer"},
    ),
    Rule("latency", "relaxed", 0, 0, "there is time to read a context", ("arithmetic",)),
    Rule(
        "load",
        "high",
        0,
        1,
        "with many questions shorter prompts repay a training; see the break-even",
        ("arithmetic",),
        {"tuned": "prefer"},
    ),
    Rule("load", "low", 0, 0, "a training would be shared by few questions; see the break-even", ("arithmetic",)),
    Rule("hardware", "none", 0, 0, "weights cannot be tuned on a machine that does not hold them", ("openai",), _NO_TUNING),
    Rule("hardware", "cpu", 0, 0, "small models can be tuned overnight, large ones only asked", ("arithmetic",)),
    Rule("hardware", "gpu", 0, 0, "tuning is minutes to hours", ("arithmetic",)),
    Rule(
        "private",
        "yes",
        0,
        1,
        "text must stay here, so a small model serves; small ones gain most from tuning",
        ("raft",),
        {"rag_tuned": "prefer"},
    ),
    Rule("private", "no", 0, 0, "a large hosted model may be asked; race it against a small tuned one", ("openai",)),
    Rule("citations", "yes", 1, 0, "only what was shown to the model can be cited", ("alce",), _CITING),
    Rule("citations", "no", 0, 0, "no candidate is ruled out", ("alce",)),
    Rule(
        "several_sources",
        "yes",
        1,
        1,
        "all parts must be found and then put together; both are weak untuned",
        ("multihop", "raft"),
        {"rag_tuned": "prefer"},
    ),
    Rule("several_sources", "no", 0, 0, "one passage answers, which is what retrieval does best", ("soudani",)),
    Rule(
        "rare_facts",
        "yes",
        1,
        0,
        "facts seen rarely are learned badly and invite invention",
        ("soudani", "gekhman"),
        {"tuned": "avoid"},
    ),
    Rule("rare_facts", "no", -1, 0, "widely known facts may be in the model already", ("soudani",)),
)
"""Every rule, by question and answer; numbers are sorted into bands by `advise`."""
