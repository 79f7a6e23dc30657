"""Citations against located evidence. Knows documents' ids and character spans; never a document's text.

A citation is right when its span overlaps the span of an evidence quote in the same document; an evidence quote is found when
any of its pieces is overlapped by a citation (the span form of the citation precision and recall of Gao et al. 2023,
"Enabling Large Language Models to Generate Text with Citations", which judges support by a language model instead).
"""

from __future__ import annotations

from groundtune.types import Answer, Citation, Evidence, Example


def citation_precision(example: Example, answer: Answer) -> float | None:
    """Share of the citations that are right; 0 without any. None without located evidence or when it abstained."""
    evidence = _located(example)
    if not evidence or answer.abstained:
        return None
    if not answer.citations:
        return 0.0
    return sum(any(_supports(cited, one) for one in evidence) for cited in answer.citations) / len(answer.citations)


def citation_recall(example: Example, answer: Answer) -> float | None:
    """Share of the evidence quotes that are cited, 0 when it abstained; None for an item without located evidence."""
    evidence = _located(example)
    if not evidence:
        return None
    return sum(any(_supports(cited, one) for cited in answer.citations) for one in evidence) / len(evidence)


def _located(example: Example) -> list[Evidence]:
    return [one for one in example.evidence if one.spans] if example.answers else []


def _supports(cited: Citation, evidence: Evidence) -> bool:
    return cited.document == evidence.document and any(cited.start < end and start < cited.end for start, end in evidence.spans)
