"""The tasks of the benchmark of deciding: where their rows come from, how they are asked and measured. Runs nothing."""

from __future__ import annotations

from functools import partial

from benchmarks import learning
from benchmarks.deciding import queries, readings, texts
from benchmarks.deciding.situations import SITUATIONS
from benchmarks.learning import TASKS
from benchmarks.learning_tasks import LearningTask, handbook_documents

UNTUNED, TUNED = ("prompt", "few_shot", "rag"), ("tuned", "rag_tuned")
NEED_DOCUMENTS = ("rag", "rag_tuned")

SHARED = ("viggo", "intents", "geo", "wikisplit", "xquad")
"""Tasks of the benchmark of learning, whose trainings are used again."""


def tasks() -> dict[str, LearningTask]:
    """Every task by name, in the order in which they are run. Raises NotFound where the data are not here."""
    shared = learning.tasks()
    known = {**{name: shared[name] for name in SHARED}, **{task.name: task for task in _own()}}
    return {name: known[name] for name in SITUATIONS}


def applicable(task: str) -> tuple[str, ...]:
    """The standard candidates that the task can have, those that take no training first."""
    return tuple(name for name in (*UNTUNED, *TUNED) if SITUATIONS[task].documents or name not in NEED_DOCUMENTS)


EPOCHS = {"[training]": "epochs = 2"}
SHORT = {**EPOCHS, "[retrieval]": "k = 2", "[chunking]": "tokens = 120"}
"""Contexts that a small model reads in a second."""


def _own() -> tuple[LearningTask, ...]:
    database = TASKS / "defog" / "database"
    return (
        LearningTask(
            "handbook_qa", "f1", readings.handbook, "kb_gitlab_handbook", documents=handbook_documents,
            test=1000, train=1000, folds=2, settings=SHORT, max_new_tokens=24,
        ),
        LearningTask(
            "firm_qa", "f1", readings.firm, "", documents=readings.firm_documents, train=100, settings=SHORT, max_new_tokens=24,
        ),
        LearningTask(
            "follow_ups", "rouge_l", readings.follow_ups, "qa_mtrag", documents=readings.follow_up_documents,
            train=48, settings=SHORT, max_new_tokens=96,
            instruction="Answer the last message of the conversation in one to three sentences.",
        ),
        LearningTask(
            "firms", "fact_words", readings.firms, "kb_rag_multi_corpus", documents=readings.firms_documents,
            train=84, settings=SHORT, max_new_tokens=96, instruction="Say everything that answers the question.",
        ),
        LearningTask(
            "pubmedqa", "exact_match", readings.abstracts, "qa_pubmedqa", documents=readings.abstract_documents,
            train=100, settings=SHORT, max_new_tokens=8, instruction="Answer the question with yes, no or maybe.",
        ),
        LearningTask(
            "covidqa", "f1", readings.house_style, "qa_covidqa", documents=readings.paper_documents,
            train=90, settings=SHORT, max_new_tokens=64,
            instruction="Answer as in: Finding: bats. Paper: The first four words of its title",
        ),
        LearningTask(
            "defog", "sql_execution", partial(queries.rows, folder=database), "sql_defog",
            test=1000, train=1000, folds=2, max_new_tokens=128,
            settings={**EPOCHS, "[scoring]": f'database = "{(database / queries.FILE).resolve()}"'},
            instruction="Write the SQLite query that answers the question.",
        ),
        LearningTask(
            "e2e", "chrf", texts.descriptions, "fmt_e2e_nlg", settings=EPOCHS, max_new_tokens=64,
            instruction="Describe the restaurant in one or two sentences that say everything.",
        ),
        LearningTask(
            "copy", "exact_match", texts.copied, "fmt_e2e_nlg", settings=EPOCHS, max_new_tokens=80,
            instruction="Repeat the input exactly as it is.",
        ),
        LearningTask(
            "shuffled", "label_accuracy", texts.permuted, "cs_bitext_intents", settings=EPOCHS, max_new_tokens=16,
        ),
        LearningTask(
            "unknowable", "exact_match", texts.unknowable, "cs_bitext_intents", settings=EPOCHS, max_new_tokens=8,
            instruction="Give the ticket number.",
        ),
    )  # fmt: skip
