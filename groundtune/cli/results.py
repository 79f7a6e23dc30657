"""Tables of results from plain data. Knows the shape of report.json, computes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from groundtune.cli import output


def candidates(reports: Sequence[Mapping[str, Any]], *, metric: str | None = None) -> str:
    """One row a candidate: its metrics (the primary one first, with its interval), latency and cost."""
    found = dict.fromkeys(name for report in reports for name in report["metrics"])
    names = sorted(found, key=lambda name: name != metric)
    currency = next((report["cost"]["currency"] for report in reports if report.get("cost")), "")
    several = len({_model(report) for report in reports}) > 1
    rows, absent = [], []
    for report in reports:
        name = report["name"] if "name" in report else report["candidate"]["name"]
        if report.get("not_applicable"):
            why = report["not_applicable"]
            absent.append(f"{name}: {why if why.startswith('left out') else f'not applicable: {why}'}")
            continue
        latency, cost = report.get("latency"), report.get("cost")
        rows.append(
            (
                name,
                _model(report) if several else "",
                *(_score(report, name, interval=name == metric) for name in names),
                f"{latency['p50']:.2f}" if latency else "",
                f"{latency['p95']:.2f}" if latency else "",
                (f"{cost['per_1000_answers']:.4f}" if cost.get("known", True) else "unknown") if cost else "",
            )
        )
    headings = ("candidate", "model", *names, "p50 s", "p95 s", f"{currency}/1000")
    filled = [column for column in range(len(headings)) if column == 0 or any(row[column] for row in rows)]
    grid = output.table([headings[column] for column in filled], [[row[column] for column in filled] for row in rows])
    excluded = [f"{report['name']}: excluded: {report['excluded']}" for report in reports if report.get("excluded")]
    return "\n".join([grid, *excluded, *absent])


def _model(report: Mapping[str, Any]) -> str:
    found: str = report.get("candidate", report).get("model", "")
    return found


def _score(report: Mapping[str, Any], name: str, *, interval: bool) -> str:
    if name not in report["metrics"]:
        return ""
    value = f"{report['metrics'][name]:.3f}"
    bounds = (report.get("intervals") or {}).get(name)
    return f"{value} [{bounds['low']:.3f}, {bounds['high']:.3f}]" if interval and bounds else value


def verdict(found: Mapping[str, Any]) -> str:
    """The verdict, its winner or provisional choice, and the reason."""
    choice = f"winner: {found['winner']}" if found["winner"] else "winner: none"
    if not found["winner"] and found["provisional"]:
        choice += f" (provisional choice: {found['provisional']})"
    lines = [f"verdict: {found['kind']}", choice, f"reason: {found['reason']}"]
    if found.get("further_questions"):
        lines.append(f"further questions needed: about {found['further_questions']}")
    return "\n".join(lines)


def training_plans(plans: Sequence[Mapping[str, Any]]) -> str:
    """One row a candidate, what the questions allow to be seen, and how far earlier estimates were off."""
    rows = [
        (
            one["candidate"],
            f"{one['pairs']:,}",
            f"{one['tokens']:,}",
            f"{one['steps']:,}",
            f"{one['seconds'] / 60:.1f}",
            f"{one['memory_bytes'] / 2**30:.1f}" if one["memory_bytes"] else "unknown",
        )
        for one in plans
    ]
    lines = [output.table(("to train", "pairs", "tokens", "steps", "minutes", "peak GiB"), rows)]
    for one in plans:
        if one["too_long"]:
            lines.append(f"{one['candidate']}: {one['too_long']} pairs are longer than training.max_length and are left out")
        if one["first_seconds"]:
            minutes = f"{one['first_seconds'] / 60:.1f} minutes"
            lines.append(f"{one['candidate']}: {minutes} before that, for the weights that it starts from or its learning rate")
        lines += [f"{one['candidate']}: {one['warning']}"] if one["warning"] else []
    first = plans[0]
    lines.append(
        f"{first['items']} questions in {first['groups']} independent groups ({first['scheme']}) show a difference of "
        f"{first['mde']:.3f} or more between two candidates with 80 % power"
    )
    for early in first["earlier"]:
        minutes = f"{early['estimated'] / 60:.1f} minutes estimated, {early['taken'] / 60:.1f} taken"
        lines.append(f"before: weights {early['weights']}: {minutes}, {early['ratio']:.2f} times the estimate")
    return "\n".join(lines)


def plan(planned: Mapping[str, Any]) -> str:
    """Minutes per stage and candidate, what a budget left out, and what the questions allow to be seen."""
    kinds = [kind for kind in ("train", "answer", "probe", "latency") if any(one["name"] == kind for one in planned["stages"])]
    names = tuple(dict.fromkeys(stage["candidate"] for stage in planned["stages"]))
    currency = planned["currency"]

    def row(label: str, chosen: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
        parts = ([stage["seconds"] for stage in chosen if stage["name"] == kind] for kind in kinds)
        minutes = (f"{sum(part) / 60:.1f}" if part else "" for part in parts)
        total, money = sum(stage["seconds"] for stage in chosen), sum(stage["money"] for stage in chosen)
        return (label, *minutes, f"{total / 60:.1f}", f"{money:.4f}")

    rows = [row(name, [stage for stage in planned["stages"] if stage["candidate"] == name]) for name in names]
    headings = ("planned minutes", *kinds, "in all", currency)
    lines = [
        f"plan: {planned['items']} questions in {planned['groups']} independent groups, {planned['scheme']}",
        output.table(headings, [*rows, row("in all", planned["stages"])]),
        *(f"left out: {left['candidate']}: {left['reason']}" for left in planned["left_out"]),
        f"smallest difference that would be found with 80 % power: {planned['mde']:.3f}; "
        f"smallest p-value that {planned['groups']} groups can reach: {planned['smallest_p']:.2g}",
        *(f"note: {note}" for note in planned["notes"]),
    ]
    return "\n".join(lines)
