"""The summary reports of one measure and period as one table of counts, for secondary suppression.

Parts add up: strata to their group, hospitals to the nation, and within each the children of the
denominator to those excluded, those excepted and those scored.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from outcome_engine.methods.suppression import FAR, Cell, Relation, Table
from outcome_engine.reports.disclosure_places import NATION, PARTS, SCORED, Key, counted, places
from r4.json import Resource


@dataclass(slots=True)
class Counts:
    """The cells by their keys, and what is known of them together."""

    mask_below: int
    round_to: int
    places: dict[Key, int] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)
    relations: list[Relation] = field(default_factory=list)

    def add(self, key: Key | None, cell: Cell) -> int:
        """Add a cell, which has no key where nobody publishes it; returns its position."""
        if key is not None:
            self.places[key] = len(self.cells)
        self.cells.append(cell)
        return len(self.cells) - 1

    def table(self) -> Table:
        """Return what suppression works on."""
        return Table(tuple(self.cells), tuple(self.relations))


def table_of(
    reports: Sequence[tuple[str, Resource]],
    mask_below: int,
    round_to: int,
    *,
    is_nation_published: bool = False,
) -> Counts:
    """Return the table of exact reports of one measure and period, each with its hospital.

    Of a nation that is published already nothing can be masked.
    """
    made = Counts(mask_below, round_to)
    exact: dict[Key, int] = {}
    for hospital, report in reports:
        for key, part in places(report, hospital):
            for kind, count in counted(part).items():
                exact.setdefault(key._replace(kind=kind), count or 0)
    for key, count in exact.items():
        if key.hospital == NATION:
            made.add(key, _national(count, is_fixed=is_nation_published))
        else:
            made.add(key, _ruled(made, count))
    _within(made)
    _strata(made)
    _nation(made)
    return made


def link_earlier(made: Counts, reports: Sequence[tuple[str, Resource]]) -> None:
    """Add what was published before of the same period: nothing that was counted is counted no more."""
    before = Counts(made.mask_below, made.round_to)
    for hospital, report in reports:
        for key, part in places(report, hospital):
            for kind, count in counted(part).items():
                wanted = key._replace(kind=kind)
                if kind != SCORED and wanted in made.places and wanted not in before.places:
                    before.add(wanted, _as_published(before, wanted, count))
    shift = len(made.cells)
    _within(before)
    _strata(before)
    _nation(before)
    made.cells.extend(before.cells)
    for relation in before.relations:
        terms = {at + shift: each for at, each in relation.terms.items()}
        made.relations.append(Relation(terms, relation.least, relation.most))
    for key, at in before.places.items():
        made.relations.append(Relation({made.places[key]: 1, at + shift: -1}, 0, FAR))


def _national(count: int, *, is_fixed: bool) -> Cell:
    # Masked only where nothing of the hospitals' can be: hence behind every count of theirs.
    return Cell(count, (count, count), cost=None if is_fixed else FAR + count)


def _ruled(made: Counts, count: int) -> Cell:
    if 0 < count < made.mask_below:
        hidden = (1, made.mask_below - 1)
        return Cell(count, (count, count), hidden, masked=True)
    return Cell(count, _shown(made, count), cost=count)


def _shown(made: Counts, count: int) -> tuple[int, int]:
    if count == 0:
        return 0, 0
    step = made.round_to
    rounded = (2 * count + step) // (2 * step) * step
    fits = [
        each
        for each in range(max(made.mask_below, rounded - step), rounded + step + 1)
        if (2 * each + step) // (2 * step) * step == rounded
    ]
    return fits[0], fits[-1]


def _as_published(made: Counts, key: Key, count: int | None) -> Cell:
    if count is None:
        return Cell(None, (0, FAR))
    if key.hospital == NATION or count == 0:
        return Cell(None, (count, count))
    step = made.round_to
    return Cell(None, (max(made.mask_below, count - step // 2 - 1), count + step // 2 + 1))


def _within(made: Counts) -> None:
    for key in [each for each in made.places if each.kind == "denominator"]:
        parts = [made.places.get(key._replace(kind=each)) for each in (*PARTS, SCORED)]
        present = [each for each in parts if each is not None]
        whole = made.places[key]
        numerator = made.places.get(key._replace(kind="numerator"))
        if numerator is not None and parts[-1] is not None:
            made.relations.append(Relation({whole: 1, **dict.fromkeys(present, -1)}))
            made.relations.append(Relation({parts[-1]: 1, numerator: -1}, 0, FAR))
        initial = made.places.get(key._replace(kind="initial-population"))
        if initial is not None:
            same = made.cells[initial].count == made.cells[whole].count
            made.relations.append(Relation({initial: 1, whole: -1}, 0, 0 if same else FAR))


def _strata(made: Counts) -> None:
    sums: dict[tuple[Key, str], list[int]] = {}
    for key, at in made.places.items():
        if key.stratifier:
            total = key._replace(stratifier="", stratum="")
            sums.setdefault((total, key.stratifier), []).append(at)
    for (total, _), parts in sums.items():
        if total in made.places:
            _adds_up(made, made.places[total], parts)


def _nation(made: Counts) -> None:
    sums: dict[Key, list[int]] = {}
    for key, at in made.places.items():
        if key.hospital != NATION:
            sums.setdefault(key._replace(hospital=NATION), []).append(at)
    for total, parts in sums.items():
        if total in made.places:
            _adds_up(made, made.places[total], parts)


def _adds_up(made: Counts, whole: int, parts: list[int]) -> None:
    counts = [made.cells[each].count for each in (whole, *parts)]
    # Children of no hospital or stratum stand in the whole alone, and nobody is told how many.
    exact = None not in counts and counts[0] == sum(each or 0 for each in counts[1:])
    made.relations.append(Relation({whole: 1, **dict.fromkeys(parts, -1)}, 0, 0 if exact else FAR))
