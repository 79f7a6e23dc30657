"""Keys, tokens and passwords in text, by the formats that their issuers gave them. Knows text; asks nobody whether one works.

The detectors of detect-secrets that know a format, without those that measure entropy (prose and ids trip them) and without the
one for public IP addresses, which are no secrets. Some formats that are newer than its last release are added here.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from groundtune.dataset.extra import extra
from groundtune.dataset.spans import Found, disjoint

_LEFT_OUT = ("Base64HighEntropyString", "HexHighEntropyString", "IPPublicDetector", "KeywordDetector")

FORMATS = {
    "Anthropic API key": r"\bsk-ant-[a-z]+\d{2}-[\w-]{80,}",
    "GitHub fine-grained token": r"\bgithub_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}\b",
    "Google API key": r"\bAIza[\w-]{35}(?![\w-])",
    "Hugging Face token": r"\bhf_[A-Za-z]{34}\b",
    "npm token": r"\bnpm_[A-Za-z0-9]{36}\b",
    "OpenAI API key": r"\bsk-(?:proj|svcacct|admin)-[\w-]{40,}",
    "Stripe key": r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{24,}\b",
    "password": r"(?i)\b(?:password|passwd|pwd|passphrase|secret|api[_ -]?key|access[_ -]?token)\s*(?:=|:|:=)\s*"
    r"(?=[\"'`]?[^\s\"'`]*\d)(?P<secret>[\"'`]?[^\s\"'`,;]{6,}[\"'`]?)",
}
"""Kind -> pattern of a secret; where there is a group `secret`, that part. Sources: the issuers' documentation of their tokens.
A password is what stands behind such a word and `=` or `:`, and holds a digit, so that prose about passwords is none."""


def secrets_in(text: str) -> list[Found]:
    """Secrets, in order. Raises MissingExtra."""
    found = []
    for kind, pattern in _patterns().items():
        for match in pattern.finditer(text):
            group = "secret" if "secret" in pattern.groupindex else 0
            found.append(Found(match.start(group), match.end(group), kind, score=0.5 if kind == "password" else 0.9))
    for detector in _detectors():
        for pattern in detector.denylist:
            for match in pattern.finditer(text):
                if any(True for _ in detector.analyze_string(match[0])):  # some check more than their pattern
                    found.append(Found(match.start(), match.end(), detector.secret_type))
    return disjoint(found)


@cache
def _patterns() -> dict[str, re.Pattern[str]]:
    return {kind: re.compile(pattern) for kind, pattern in FORMATS.items()}


@cache
def _detectors() -> tuple[Any, ...]:
    """Detectors by format. A loop over all that the package holds, so that a newer release brings its own."""
    mapping = extra("detect_secrets.core.plugins.util", wanted_by="finding secrets").get_mapping_from_secret_type_to_class()
    kinds = [kind for kind in mapping.values() if kind.__name__ not in _LEFT_OUT and hasattr(kind, "denylist")]
    return tuple(kind() for kind in sorted(kinds, key=lambda kind: str(kind.__name__)))
