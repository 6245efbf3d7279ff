"""Episodes joined to spells of one provider, and spells to continuous spells across providers.

Both work on what is sorted, and hold one person's spells at a time.
"""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from mappings.hes.clean import TRANSFER_METHODS, TRANSFER_PLACES
from mappings.hes.episodes import Episode

_STILL_THERE = frozenset({"8", "9"})
_GAP = timedelta(days=3)


class Spell(NamedTuple):
    """A stay with one provider: its episodes in order, at least one, and the one that ends last."""

    episodes: tuple[Episode, ...]
    last: Episode

    @property
    def first(self) -> Episode:
        """The episode that the spell begins with."""
        return self.episodes[0]


class ContinuousSpell(NamedTuple):
    """A stay across providers: its spells in order, at least one, and the one that ends last."""

    spells: tuple[Spell, ...]
    last: Spell

    @property
    def admitted(self) -> date:
        """The day of admission."""
        return _known(self.spells[0].first.admidate)

    @property
    def discharged(self) -> date | None:
        """The day of the discharge from the last spell, None where it is not known."""
        return self.last.last.disdate


def spells(episodes: Iterable[Episode]) -> Iterator[Spell]:
    """Yield the spells of episodes that lack nothing and are sorted by person and `place`."""
    joined: list[Episode] = []
    for episode in episodes:
        if joined and not _is_same(joined[-1], episode):
            yield _spell(joined)
            joined = []
        joined.append(episode)
    if joined:
        yield _spell(joined)


def continuous(found: Iterable[Spell]) -> Iterator[list[ContinuousSpell]]:
    """Yield each person's continuous spells, in order, of spells that come person by person."""
    for _, theirs in groupby(found, key=lambda spell: spell.first.person):
        listed: list[ContinuousSpell] = []
        joined: list[Spell] = []
        for spell in sorted(theirs, key=_of_person):
            if joined and not _goes_on(joined[-1], spell):
                listed.append(_continuous(joined))
                joined = []
            joined.append(spell)
        yield [*listed, _continuous(joined)]


def _is_same(previous: Episode, episode: Episode) -> bool:
    """Tell whether an episode belongs to the spell of the one before it."""
    if (previous.person, previous.provider) != (episode.person, episode.provider):
        return False
    if episode.admidate == previous.admidate or episode.epistart == previous.epistart:
        return True
    return previous.dismeth in _STILL_THERE and episode.epistart == previous.epiend


def _goes_on(previous: Spell, spell: Spell) -> bool:
    """Tell whether a spell continues the one before it: a transfer, at most three days after."""
    gap = _known(spell.first.epistart) - _known(previous.last.epiend)
    return gap <= _GAP and (
        previous.last.disdest in TRANSFER_PLACES
        or spell.first.admisorc in TRANSFER_PLACES
        or spell.first.admimeth in TRANSFER_METHODS
    )


def _of_person(spell: Spell) -> tuple[date, date, date, str, str]:
    first = spell.first
    return (
        _known(first.admidate), _known(first.epistart), _known(spell.last.epiend),
        first.provider, first.epikey,
    )  # fmt: skip


def _spell(episodes: list[Episode]) -> Spell:
    last = max(reversed(episodes), key=attrgetter("epiend"))
    return Spell(tuple(episodes), last)


def _continuous(joined: list[Spell]) -> ContinuousSpell:
    last = max(reversed(joined), key=lambda spell: _known(spell.last.epiend))
    return ContinuousSpell(tuple(joined), last)


def _known(day: date | None) -> date:
    if day is None:
        raise ValueError("an episode that lacks a date belongs to no spell")
    return day
