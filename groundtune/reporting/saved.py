"""What a frugal race left undone and why, in sentences. Knows the section `race` of report.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def saved(report: Mapping[str, Any]) -> tuple[str, ...]:
    """One sentence each; none for a race that was meant to be exhaustive, and for a report from before there was a choice."""
    race = report.get("race")
    if race is None or (race["kind"] == "exhaustive" and not race["why"]):
        return ()
    if race["kind"] == "exhaustive":
        return (f"The race was exhaustive: {race['why']}.",)
    looks = ", ".join(str(look["questions"]) for look in race["looks"])
    done, whole = race["work"]["done"], race["work"]["exhaustive"]
    winner = report["decision"]["winner"]
    part = next((one["learned"] for one in race["candidates"] if one["name"] == winner and one["learned"]), 1)
    told = f"It holds for weights from {_share(part)} of the training pairs; groundtune train {winner} makes those from all."
    return (
        race["ended"] or "Nothing was decided before the last look.",
        *((told,) if part < 1 else ()),
        f"Looks were planned after {looks} questions.",
        f"Done: {done['core_minutes']:.1f} of the {whole['core_minutes']:.1f} core-minutes planned for the exhaustive race "
        f"({100 * done['core_minutes'] / max(whole['core_minutes'], 1e-9):.0f} %), {done['trainings']:.3g} of "
        f"{whole['trainings']:.3g} trainings, {done['answers']:,} of {whole['answers']:,} answers.",
        *(_stopped(one) for one in race["candidates"] if one["why"]),
    )


def _stopped(one: Mapping[str, Any]) -> str:
    learned = f" with {_share(one['learned'])} of its training pairs" if one["learned"] and one["learned"] < 1 else ""
    answered = f" stopped after {one['questions']} questions{learned}" if one["questions"] else ""
    return f"{one['name']}{answered}: {one['why']}."


def _share(value: float) -> str:
    return f"1/{round(1 / value)}"
