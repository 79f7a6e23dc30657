"""Tasks of questions about documents: rows with evidence, and the documents. Knows each data set's fields and faults."""

from __future__ import annotations

import csv
import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import convert_handbook
from benchmarks.learning_tasks import Row, digest, drawn
from groundtune.company import Company, Knobs, generate, write
from groundtune.scoring.support import content

# --- a handbook ---------------------------------------------------------------------------------------------------------


def handbook(data: Path) -> list[Row]:
    """Every kind of question that needs no picture."""
    return convert_handbook.convert(data, kinds=tuple(convert_handbook.KINDS))


# --- the generated company ----------------------------------------------------------------------------------------------

ASKED = 560
"""Questions that its pages can answer or refuse: so many that 200 of them are scored."""


def firm(_: Path) -> list[Row]:
    """The company's questions, each asked by somebody who may read everything."""
    with tempfile.TemporaryDirectory() as folder:
        write(_firm(), Path(folder))
        lines = (Path(folder) / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "principals"} for line in lines]


def firm_documents(_: Path, folder: Path) -> Path:
    write(_firm(), folder)
    return folder / "documents"


def _firm() -> Company:
    return generate(knobs=Knobs(questions=ASKED))


# --- conversations ------------------------------------------------------------------------------------------------------


def follow_ups(data: Path) -> list[Row]:
    """Last turns of conversations with the turns before them; what cannot be answered from its passages has no answer."""
    rows = []
    for turn in _turns(data):
        *earlier, last = turn["input"]
        answerable = turn["answerability"] != ["UNANSWERABLE"]
        passages = [(_passage(one), one["text"].strip()) for one in turn["contexts"]]
        rows.append(
            {
                "id": digest(turn["task_id"]),
                "question": last["text"].strip(),
                "answers": [" ".join(turn["targets"][0]["text"].split())] if answerable else [],
                "history": [{"role": _ROLES[said["speaker"]], "content": said["text"].strip()} for said in earlier],
                "evidence": [{"document": name, "quote": text[:200]} for name, text in passages] if answerable else [],
                "group": digest(turn["conversation_id"]),
                "kind": turn["answerability"][0].lower(),
            }
        )
    return rows


_ROLES = {"user": "user", "agent": "assistant"}


def follow_up_documents(data: Path, folder: Path) -> Path:
    """Every passage that some turn was given, each a document."""
    return _written(folder, ((_passage(one), one["text"].strip() + "\n") for turn in _turns(data) for one in turn["contexts"]))


def _turns(data: Path) -> list[dict[str, Any]]:
    path = data / "mtragun-human" / "generation_tasks" / "reference.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _passage(context: Mapping[str, Any]) -> str:
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', context['document_id'])}.md"


# --- four firms ---------------------------------------------------------------------------------------------------------


def firms(data: Path) -> list[Row]:
    """Queries with supporting facts and no gold answers: the facts stand for the answer, a proxy.

    Most facts are told in other words than the page's, so the evidence is the page's passage that holds most of a fact's words;
    a fact of which none holds half has no evidence, and a query without any is left out.
    """
    held = {name.casefold(): name for name, _ in _pages(data)}
    texts = {name: _blocks(path.read_text(encoding="utf-8")) for name, path in _pages(data)}
    rows: dict[str, Row] = {}
    (table,) = (data / "datasets").glob("*.csv")
    with table.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            firm, facts = _bare(row["Enterprise Name"]), json.loads(row["Supporting Facts"])
            said = list(dict.fromkeys(text for fact in facts if (text := " ".join(fact["text"].split()))))
            pages = [held.get(f"{firm}-{Path(fact['filename']).stem.strip()}.md".casefold()) for fact in facts]
            found = [
                {"document": page, "quote": quote}
                for page, fact in zip(pages, facts, strict=True)
                if page is not None and (quote := _nearest(fact["text"], texts[page]))
            ]
            if said and found:
                question = f"{row['Enterprise Name'].strip()}: {row['Query'].strip()}"
                rows[question] = {
                    "id": digest(question), "question": question, "answers": [" ".join(said)], "facts": said,
                    "evidence": found, "kind": row["Query Type"].lower(),
                }  # fmt: skip
    return drawn(list(rows.values()), 600)


SHARE = 0.5
"""Of a fact's content words, those that its passage must hold."""


def _nearest(fact: str, blocks: Sequence[str]) -> str:
    words = content(fact)
    found = max(blocks, key=lambda block: len(words & content(block)))
    return found if len(words & content(found)) >= SHARE * len(words) else ""


def _blocks(page: str) -> list[str]:
    return [block.strip() for block in re.split(r"\n\s*\n", page) if block.strip()]


def firms_documents(data: Path, folder: Path) -> Path:
    return _written(folder, ((name, path.read_text(encoding="utf-8")) for name, path in _pages(data)))


def _pages(data: Path) -> list[tuple[str, Path]]:
    folders = sorted(path for path in (data / "datasets").iterdir() if (path / "md").is_dir())
    return [
        (f"{_bare(firm.name)}-{path.stem.strip()}.md", path) for firm in folders for path in sorted((firm / "md").glob("*.md"))
    ]


def _bare(name: str) -> str:
    return re.sub(r"\W", "", name).lower()


# --- papers -------------------------------------------------------------------------------------------------------------


def abstracts(data: Path) -> list[Row]:
    """PubMedQA: yes, no or maybe; the abstract is the evidence."""
    rows = [
        {"id": name, "question": one["QUESTION"], "answers": [one["final_decision"]], "kind": one["final_decision"],
         "evidence": [{"document": f"{name}.md", "quote": one["CONTEXTS"][-1]}], "group": name}
        for name, one in _papers(data).items()
    ]  # fmt: skip
    return drawn(rows, 600)


def abstract_documents(data: Path, folder: Path) -> Path:
    """The abstracts of the questions that are asked, without the sentence that draws the conclusion."""
    papers = _papers(data)
    wanted = [row["id"] for row in abstracts(data)]
    return _written(folder, ((f"{name}.md", "\n\n".join(papers[name]["CONTEXTS"]) + "\n") for name in wanted))


def _papers(data: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((data / "data" / "ori_pqal.json").read_text(encoding="utf-8"))
    return found


def house_style(data: Path) -> list[Row]:
    """COVID-QA; an answer is in a house style: what was found, then the first words of the paper's title.

    Offsets are partly wrong, so answers that stand once in their paper are kept.
    """
    rows = []
    for name, text, questions in _articles(data):
        title = " ".join(text.split("\n", 1)[0].split()[:4])
        for one in questions:
            answer = one["answers"][0]["text"]
            if text.count(answer) == 1 and len(answer) <= LONGEST:
                styled = f"Finding: {' '.join(answer.split()).rstrip('.')}. Paper: {title}"
                rows.append(
                    {"id": str(one["id"]), "question": one["question"].strip(), "answers": [styled],
                     "evidence": [{"document": name, "quote": answer}]}
                )  # fmt: skip
    return drawn(list({row["id"]: row for row in rows}.values()), 600)


LONGEST = 120
"""Characters of an answer that a small model writes in one go."""


def paper_documents(data: Path, folder: Path) -> Path:
    return _written(folder, ((name, f"# {text}") for name, text, _ in _articles(data)))


def _articles(data: Path) -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    (file,) = data.glob("*covidQA.json")
    for article in json.loads(file.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            yield f"{paragraph['document_id']}.md", paragraph["context"].lstrip(), paragraph["qas"]


# --- inside -------------------------------------------------------------------------------------------------------------


def _written(folder: Path, texts: Iterator[tuple[str, str]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts:
        (folder / name).write_text(text, encoding="utf-8")
    return folder
