"""A whole company from a seed and knobs, as plain data. Knows the order of things; writes no file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from groundtune.company.asking import Question, ask
from groundtune.company.knobs import Knobs
from groundtune.company.names import DESKS, world
from groundtune.company.pages import read_pages
from groundtune.company.render import Document, draw_facts, render
from groundtune.company.style import style

READERS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "handbook": (("staff",),),
    "products": (("staff",),),
    "export": (("staff",),),
    "sales": (("sales", "management"),),
    "service": (("service", "sales"),),
    "works": (("works", "service"),),
    "management": (("staff",), ("management",)),
}
"""Folder -> clauses: a reader holds one principal of each."""


@dataclass(frozen=True, slots=True)
class Company:
    """Everything about one invented firm."""

    name: str
    seed: int
    knobs: Knobs
    documents: tuple[Document, ...]
    """Sorted by path."""
    questions: tuple[Question, ...]
    """Sorted by id."""
    names: tuple[str, ...]
    """Every name of the fiction and every country, the longest first."""


def generate(seed: int = 0, knobs: Knobs | None = None) -> Company:
    """The firm of a seed; the same seed and knobs give the same firm.

    Raises UsageError when the pages hold fewer questions than the knobs ask for.
    """
    knobs = knobs or Knobs()
    fiction = world(seed)
    pages = read_pages(fiction)
    facts = draw_facts(pages, fiction, seed=seed, churn=knobs.churn)
    rendered = {
        page.id: [
            render(page, fiction, facts, seed=seed, edition=edition, readers=READERS)
            for edition in range(len(page.header.get("editions", [""])))
        ]
        for page in pages
    }
    documents: list[Document] = []
    for page in pages:
        editions = rendered[page.id]
        moved = [key for key in page.slots if key in facts.changed]
        for number, edition in enumerate(editions):
            newest = number == len(editions) - 1
            if newest or any(facts.values[key][number] != facts.values[key][number + 1] for key in moved):
                later = None if newest else editions[-1].document.path
                documents.append(replace(edition.document, superseded_by=later))
    questions = ask(
        pages,
        rendered,
        fiction,
        facts,
        seed=seed,
        knobs=knobs,
        style=style(seed, knobs.style),
        groups={folder: READERS[folder][-1] for folder in DESKS},
    )
    return Company(
        name=fiction.names["firm"],
        seed=seed,
        knobs=knobs,
        documents=tuple(sorted(documents, key=lambda document: document.path)),
        questions=questions,
        names=fiction.all(),
    )
