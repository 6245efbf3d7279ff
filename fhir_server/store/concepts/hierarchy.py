"""Who is above whom, for concepts that have the numbers 0, 1, 2, …: as few arrays of numbers.

A list of lists is two arrays: `ends`, in which list n ends at ends[n] and begins at ends[n - 1] (the
first at 0), and the items of all lists. Numbers are of 32 bits.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

Pair = tuple[int, int]
_SAID = 10_000


@dataclass(frozen=True, slots=True)
class Lists:
    """A list of numbers for each number; each list is sorted."""

    ends: Sequence[int]
    items: Sequence[int]

    def of(self, number: int) -> Sequence[int]:
        """Return the list of a number."""
        return self.items[self.ends[number - 1] if number else 0 : self.ends[number]]

    def holds(self, number: int, item: int) -> bool:
        """Tell whether the list of a number has an item."""
        end = self.ends[number]
        place = bisect_left(self.items, item, self.ends[number - 1] if number else 0, end)
        return place < end and self.items[place] == item


class CircleError(ValueError):
    """A concept is above itself; the message is its number."""


def lists(pairs: Iterable[Pair], many: int) -> Lists:
    """Return, for each of so many numbers, the second members of its pairs, each once."""
    found: list[array[int] | None] = [None] * many
    for number, item in pairs:
        if (listed := found[number]) is None:
            listed = found[number] = array("I")
        listed.append(item)
    ends, items = array("I"), array("I")
    for listed in found:
        if listed is not None:
            items.extend(sorted(set(listed)))
        ends.append(len(items))
    return Lists(ends, items)


def inverse(lists_of: Lists) -> Lists:
    """Return, for each number, those whose lists have it."""
    many = len(lists_of.ends)
    return lists(((item, n) for n in range(many) for item in lists_of.of(n)), many)


def closure(parents: Lists, children: Lists, said: Callable[[int], None] | None = None) -> Lists:
    """Return, for each number, all that is above it; raises CircleError where one is above itself.

    said: told, again and again, how many are done.
    """
    many = len(parents.ends)
    waits_for = [len(parents.of(number)) for number in range(many)]
    ready = [number for number in range(many) if not waits_for[number]]
    above: list[array[int] | None] = [None] * many
    done = 0
    while ready:
        number = ready.pop()
        done += 1
        if said is not None and not done % _SAID:
            said(done)
        direct = parents.of(number)
        if direct:
            found = set(direct)
            for parent in direct:
                found.update(above[parent] or ())
            above[number] = array("I", sorted(found))
        for child in children.of(number):
            waits_for[child] -= 1
            if not waits_for[child]:
                ready.append(child)
    if done < many:
        raise CircleError(next(number for number in range(many) if waits_for[number]))
    return _joined(above)


def _joined(listed: Iterable["array[int] | None"]) -> Lists:
    ends, items = array("I"), array("I")
    for each in listed:
        if each is not None:
            items.extend(each)
        ends.append(len(items))
    return Lists(ends, items)
