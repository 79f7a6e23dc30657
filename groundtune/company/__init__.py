"""A generated company: documents, questions and settings of a firm that does not exist. Knows no other room.

from groundtune.company import Knobs, generate, write

company = generate(seed=3, knobs=Knobs(churn=0.8))
write(company, "team")
"""

from __future__ import annotations

from groundtune.company.asking import Question
from groundtune.company.generate import Company, generate
from groundtune.company.knobs import Knobs
from groundtune.company.render import Document
from groundtune.company.write import write

__all__ = ["Company", "Document", "Knobs", "Question", "generate", "write"]
