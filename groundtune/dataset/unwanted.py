"""The checks for what must not be learned: secrets and personal data. Knows examples; the detectors know text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from groundtune.dataset.findings import Change, Finding, Gate, Step, without
from groundtune.dataset.names import LIKELY
from groundtune.dataset.personal import SURE, personal_data
from groundtune.dataset.secrets import secrets_in
from groundtune.dataset.spans import replaced
from groundtune.types import Example, Message


def texts_of(example: Example) -> dict[str, str]:
    """Every text of an example by the name of its part."""
    return {
        "question": example.question,
        **{f"answers[{place}]": text for place, text in enumerate(example.answers)},
        **{f"history[{place}]": message.content for place, message in enumerate(example.history)},
        **{f"facts[{place}]": text for place, text in enumerate(example.facts)},
        **{f"evidence[{place}]": evidence.quote for place, evidence in enumerate(example.evidence)},
    }


def _with_texts(example: Example, texts: Mapping[str, str]) -> Example:
    return replace(
        example,
        question=texts["question"],
        answers=tuple(texts[f"answers[{place}]"] for place in range(len(example.answers))),
        history=tuple(Message(message.role, texts[f"history[{place}]"]) for place, message in enumerate(example.history)),
        facts=tuple(texts[f"facts[{place}]"] for place in range(len(example.facts))),
        evidence=tuple(
            replace(evidence, quote=texts[f"evidence[{place}]"]) if texts[f"evidence[{place}]"] != evidence.quote else evidence
            for place, evidence in enumerate(example.evidence)
        ),
    )


def secrets(examples: Sequence[Example], gate: Gate) -> Step:
    reasons = {}
    for example in examples:
        found = {part: sorted({one.kind for one in secrets_in(text)}) for part, text in texts_of(example).items()}
        reasons[example.id] = "; ".join(f"{part} holds: {', '.join(kinds)}" for part, kinds in found.items() if kinds)
    return without(examples, "secrets", reasons, gate)


def personal(examples: Sequence[Example], gate: Gate) -> Step:
    parts = [(example.id, part, text) for example in examples for part, text in texts_of(example).items()]
    changes: defaultdict[str, list[Change]] = defaultdict(list)
    texts: defaultdict[str, dict[str, str]] = defaultdict(dict)
    sure = LIKELY if gate.names == "likely" else SURE
    found = personal_data([text for _, _, text in parts], kinds=gate.personal_kinds, sure=sure)
    for (example_id, part, text), spans in zip(parts, found, strict=True):
        texts[example_id][part] = replaced(text, spans)
        if spans:
            changes[example_id].append(Change(part, tuple((one.start, one.end, one.kind) for one in spans)))
    reasons = {
        one: "; ".join(f"{change.part} holds: {', '.join(sorted({kind for *_, kind in change.spans}))}" for change in made)
        for one, made in changes.items()
    }
    if gate.personal == "drop":
        return without(examples, "personal", reasons, gate)
    kept, findings = [], []
    for example in examples:
        leave = ("personal", example.id) in gate.leave
        if example.id in changes:
            action: Literal["left", "changed"] = "left" if leave else "changed"
            findings.append(
                Finding("personal", example.id, example.origin, action, reasons[example.id], tuple(changes[example.id]))
            )
        kept.append(example if leave or example.id not in changes else _with_texts(example, texts[example.id]))
    return kept, findings
