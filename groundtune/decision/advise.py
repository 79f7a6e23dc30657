"""A prior for those who have no data yet: where they probably stand, what to race, how much to collect. Measures nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from groundtune.candidates.standard import standard_candidate
from groundtune.config import STANDARD, Config
from groundtune.decision.advice_rules import RULES, SOURCES, Rule
from groundtune.errors import UsageError
from groundtune.evaluation.statistics import groups_needed, power

PRIOR = (
    "This is a prior: what guides and papers lead one to expect before anything is measured. It is no verdict; published "
    "results change sign between models. Collect questions and run groundtune decide."
)
EFFECTS = (0.2, 0.15, 0.1, 0.05)
"""Differences in points of the metric for which the number of questions is given."""

FEW, THOUSANDS = 50, 1000
"""Labelled examples below which a prompt usually does as well, and from which tuning settles style."""
ASSUMED_EXAMPLES = 100
"""Labelled examples where nobody said how many."""
TIGHT_SECONDS = 1.0
MANY_QUESTIONS = 1000
"""A day; the break-even says it exactly once costs are known."""

PROMPT_TOKENS, EXAMPLE_TOKENS, TRAINED_TOKENS = 80, 60, 12
ANSWER_TOKENS = {False: 30, True: 8}
"""Assumed lengths: template and question; one shown example; an answer in training; an answer untuned and tuned."""
READ, WRITE, TRAIN = 1576.0, 92.0, 375.0
"""Tokens per second of the embedded 135M model on two cores: reading and writing one request at a time, and tuning."""
CORES = 2

REFRESHES_A_MONTH: Mapping[str, float] = {
    "never": 0.0,
    "yearly": 1 / 12,
    "monthly": 1.0,
    "weekly": 52 / 12,
    "daily": 365 / 12,
    "hourly": 24 * 365 / 12,
}

FactsChange = Literal["never", "yearly", "monthly", "weekly", "daily", "hourly"]
Degree = Literal["free", "some", "strict"]
Language = Literal["general", "some", "specialised"]
Hardware = Literal["none", "cpu", "gpu"]


@dataclass(frozen=True, slots=True)
class Situation:
    """What a team can say without data; None where it was not said, which moves nothing and widens the position."""

    documents: bool | None = None
    """The answers stand in documents."""
    facts_change: FactsChange | None = None
    rare_facts: bool | None = None
    """The facts are private or little known."""
    labelled: int | None = None
    """Questions with answers that exist."""
    strictness: Degree | None = None
    """Of format or style."""
    language: Language | None = None
    latency: float | None = None
    """Seconds that an answer may take."""
    questions_per_day: float | None = None
    hardware: Hardware | None = None
    """What models can run and be tuned on; none means hosted models only."""
    private: bool | None = None
    """Text must not leave the house."""
    citations: bool | None = None
    several_sources: bool | None = None
    """An answer needs more than one passage."""

    def answers(self) -> dict[str, str]:
        """Question -> answer in the bands of the rules; what was not said is absent."""
        found: dict[str, str | None] = {
            "documents": _yes(self.documents),
            "facts_change": self.facts_change,
            "rare_facts": _yes(self.rare_facts),
            "labelled": None if self.labelled is None else _band(self.labelled),
            "strictness": self.strictness,
            "language": self.language,
            "latency": None if self.latency is None else "tight" if self.latency < TIGHT_SECONDS else "relaxed",
            "load": None if self.questions_per_day is None else "high" if self.questions_per_day >= MANY_QUESTIONS else "low",
            "hardware": self.hardware,
            "private": _yes(self.private),
            "citations": _yes(self.citations),
            "several_sources": _yes(self.several_sources),
        }
        return {question: answer for question, answer in found.items() if answer is not None}


@dataclass(frozen=True, slots=True)
class Position:
    """On the matrix, both axes from 0 to 1; low and high are what the unanswered questions could still make of it."""

    external_data: float
    external_data_low: float
    external_data_high: float
    behaviour: float
    behaviour_low: float
    behaviour_high: float
    words: str


@dataclass(frozen=True, slots=True)
class CandidateAdvice:
    name: str
    race: bool
    reasons: tuple[str, ...]
    """For and against, each with its sources."""
    prompt_tokens: int
    per_1000_answers: float
    """At the assumptions that the advice states, in its currency."""
    setup: float
    per_refresh: float
    """What taking in changed facts costs; documents are synced for next to nothing, weights trained again."""
    per_month: float | None
    """None when load or change of facts was not said."""
    current: str
    """What keeps it current, in words."""


@dataclass(frozen=True, slots=True)
class Collect:
    """Questions to collect for one effect, each about another section of the documents."""

    effect: float
    questions: int


@dataclass(frozen=True, slots=True)
class Advice:
    prior: str
    """That this is one."""
    position: Position
    candidates: tuple[CandidateAdvice, ...]
    """Those to race first, by what speaks for them, then those to leave out."""
    collect: tuple[Collect, ...]
    because: tuple[str, ...]
    """Every rule that applied, with its sources."""
    unanswered: tuple[str, ...]
    assumptions: tuple[str, ...]
    currency: str
    sources: tuple[str, ...]


def advise(situation: Situation, *, config: Config | None = None) -> Advice:
    """The prior of this situation. `config` brings prices and the settings of the candidates; by default the default ones.

    Raises UsageError for numbers that make no sense.
    """
    for name in ("labelled", "latency", "questions_per_day"):
        value = getattr(situation, name)
        if value is not None and value < 0:
            raise UsageError("cannot be negative.", subject=name)
    config = config or Config()
    answers = situation.answers()
    applied = [rule for rule in RULES if answers.get(rule.question) == rule.answer]
    position = _position(applied, unanswered=[rule for rule in RULES if rule.question not in answers])
    candidates = [_candidate(name, applied, situation, config) for name in STANDARD]
    points = {name: _points(name, applied) + _fit(name, position) for name in STANDARD}
    ordered = sorted(candidates, key=lambda one: (not one.race, -points[one.name]))
    racing = sum(one.race for one in candidates)
    cited = {source for rule in applied for source in rule.sources}
    questions = dict.fromkeys(rule.question for rule in RULES)
    return Advice(
        prior=PRIOR,
        position=position,
        candidates=tuple(ordered),
        collect=tuple(
            Collect(effect, questions_for(effect, comparisons=max(1, racing * (racing - 1) // 2))) for effect in EFFECTS
        ),
        because=tuple(f"{rule.question} = {rule.answer}: {rule.why} [{', '.join(rule.sources)}]" for rule in applied),
        unanswered=tuple(question for question in questions if question not in answers),
        assumptions=_assumptions(config),
        currency=config.prices.currency,
        sources=tuple(f"{name}: {text}" for name, text in SOURCES.items() if name in cited),
    )


def questions_for(effect: float, *, comparisons: int, chance: float = 0.8) -> int:
    """Fewest independent questions with which a true difference of that size is found with that chance, after Holm."""
    low = groups_needed(comparisons)
    high = low
    while power(effect, groups=high, comparisons=comparisons) < chance:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(effect, groups=middle, comparisons=comparisons) >= chance else (middle, high)
    return high


def _position(applied: Sequence[Rule], *, unanswered: Sequence[Rule]) -> Position:
    """0.5 where nothing speaks; the steps of all questions at their extremes span the axis from 0 to 1."""
    axes: dict[str, tuple[float, float, float]] = {}
    for axis in ("external_data", "behaviour"):
        lowest, highest = _reach(RULES, axis)
        now = sum(getattr(rule, axis) for rule in applied)
        down, up = _reach(unanswered, axis)

        def place(steps: float, lowest: int = lowest, highest: int = highest) -> float:
            return 0.5 + 0.5 * (steps / highest if steps > 0 else -steps / lowest if lowest else 0.0)

        axes[axis] = place(now), place(now + down), place(now + up)
    external, behaviour = axes["external_data"], axes["behaviour"]
    return Position(*external, *behaviour, words=quadrant(external[0], behaviour[0]))


def quadrant(external_data: float, behaviour: float) -> str:
    """The matrix in words."""
    if external_data > 0.5:
        return "retrieval and tuning together" if behaviour > 0.6 else "retrieval first; tune only what it leaves"
    return "tuning first; there is little to look up" if behaviour > 0.6 else "a prompt, perhaps with examples, may do"


def _reach(rules: Sequence[Rule], axis: str) -> tuple[int, int]:
    """Sum over questions of the lowest and of the highest step that an answer makes."""
    steps: dict[str, list[int]] = {}
    for rule in rules:
        steps.setdefault(rule.question, []).append(getattr(rule, axis))
    return sum(min(0, *found, 0) for found in steps.values()), sum(max(0, *found, 0) for found in steps.values())


def _points(name: str, applied: Sequence[Rule]) -> int:
    worth = {"prefer": 1, "avoid": -1, "forbid": 0}
    return sum(worth[rule.candidates[name]] for rule in applied if name in rule.candidates)


def _fit(name: str, position: Position) -> float:
    """How near a candidate's corner of the matrix is."""
    corner = {"prompt": (0, 0), "few_shot": (0, 0.5), "rag": (1, 0), "tuned": (0, 1), "rag_tuned": (1, 1)}[name]
    return 2 * (2 - abs(corner[0] - position.external_data) - abs(corner[1] - position.behaviour))


def _candidate(name: str, applied: Sequence[Rule], situation: Situation, config: Config) -> CandidateAdvice:
    concerned = [rule for rule in applied if name in rule.candidates]
    forbidden = [rule for rule in concerned if rule.candidates[name] == "forbid"]
    word = {"forbid": "rules it out", "prefer": "for", "avoid": "against"}
    reasons = [f"{word[rule.candidates[name]]}: {rule.why} [{', '.join(rule.sources)}]" for rule in concerned]
    if name == "prompt" and not forbidden:
        reasons.append("for: the baseline that everything else must beat, and it costs nothing to try [openai]")
    recipe = standard_candidate(name, config=config)
    shown = config.examples.k * EXAMPLE_TOKENS if recipe.examples else config.retrieval.max_tokens if recipe.context else 0
    tokens, written = PROMPT_TOKENS + shown, ANSWER_TOKENS[recipe.tuning is not None]
    second = CORES * config.prices.core_hour / 3600
    answer = second * (tokens / READ + written / WRITE)
    examples = situation.labelled or ASSUMED_EXAMPLES
    training = second * examples * (tokens + TRAINED_TOKENS) * config.training.epochs / TRAIN if recipe.tuning else 0.0
    refresh = 0.0 if recipe.context else training
    month = None
    if situation.questions_per_day is not None and situation.facts_change is not None:
        month = 365 / 12 * situation.questions_per_day * answer + REFRESHES_A_MONTH[situation.facts_change] * refresh
    return CandidateAdvice(
        name=name,
        race=not forbidden,
        reasons=tuple(reasons),
        prompt_tokens=tokens,
        per_1000_answers=1000 * answer,
        setup=training,
        per_refresh=refresh,
        per_month=month,
        current=_current(
            context=recipe.context is not None, tuned=recipe.tuning is not None, shown=recipe.examples is not None
        ),
    )


def _current(*, context: bool, tuned: bool, shown: bool) -> str:
    if context:
        return "sync the documents" + ("; train again only when their style or the task changes" if tuned else "")
    if tuned:
        return "label what changed and train again"
    return "write the changed examples anew" if shown else "nothing renews what the model knows"


def _assumptions(config: Config) -> tuple[str, ...]:
    return (
        f"a prompt of {PROMPT_TOKENS} tokens, {config.examples.k} examples of {EXAMPLE_TOKENS}, a context of "
        f"{config.retrieval.max_tokens}; answers of {ANSWER_TOKENS[False]} tokens, {ANSWER_TOKENS[True]} once tuned",
        f"the embedded model of 135 million parameters on {CORES} cores at {config.prices.core_hour} {config.prices.currency} "
        f"a core-hour: {READ:g} tokens/s read, {WRITE:g} written, {TRAIN:g} tuned; ten times the size costs about ten times",
        f"{config.training.epochs} epochs over the labelled examples, {ASSUMED_EXAMPLES} where their number was not said",
        "every fifth question is answered right by one of two candidates only; each question is about another section",
    )


def _band(labelled: int) -> str:
    if labelled == 0:
        return "0"
    return "few" if labelled < FEW else "hundreds" if labelled < THOUSANDS else "thousands"


def _yes(value: bool | None) -> str | None:
    return None if value is None else "yes" if value else "no"
