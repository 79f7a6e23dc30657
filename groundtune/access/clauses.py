"""Which of many audiences a caller belongs to, by clause instead of one by one. Knows ids and audiences; knows no database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set

from groundtune.types import Audience


class ClauseIndex:
    """Audiences by id, added once each; the work of a look-up grows with the clauses that the caller meets, not with all."""

    def __init__(self) -> None:
        self.newest = 0
        """Largest id added."""
        self._numbers: dict[frozenset[str], int] = {}
        self._clauses_with: dict[str, list[int]] = {}
        self._audiences_with: list[list[int]] = []
        self._needed: dict[int, int] = {}
        self._denied_to: dict[str, list[int]] = {}

    def add(self, number: int, audience: Audience) -> None:
        self.newest = max(self.newest, number)
        self._needed[number] = len(audience.clauses)
        for clause in audience.clauses:
            known = self._numbers.get(clause)
            if known is None:
                known = self._numbers[clause] = len(self._audiences_with)
                self._audiences_with.append([])
                for principal in clause:
                    self._clauses_with.setdefault(principal, []).append(known)
            self._audiences_with[known].append(number)
        for principal in audience.denied:
            self._denied_to.setdefault(principal, []).append(number)

    def allowed(self, principals: Set[str]) -> frozenset[int]:
        """Ids of the audiences all of whose clauses hold one of `principals`, and whose denied hold none."""
        met = {clause for principal in principals for clause in self._clauses_with.get(principal, ())}
        counts: Counter[int] = Counter()
        for clause in met:
            counts.update(self._audiences_with[clause])
        ids = {number for number, count in counts.items() if count == self._needed[number]}
        for principal in principals:
            ids.difference_update(self._denied_to.get(principal, ()))
        return frozenset(ids)
