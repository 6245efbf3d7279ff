"""Slices: which of an element's values belong to which, and what then holds for them.

https://hl7.org/fhir/R4/profiling.html#slicing
"""

from collections.abc import Callable
from dataclasses import dataclass

from profiles.discriminators import Discriminator
from profiles.findings import Path, Run
from profiles.items import Item

ItemCheck = Callable[[Item, Run], None]
"""What looks at one value and reports what it finds."""

Group = Callable[[list[Item], Path, Run], None]
"""What looks at all values of an element, at the path of what they stand in."""


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice: its name, how often it stands, what tells its values, what holds for them."""

    name: str
    min: int
    max: str
    discriminators: tuple[Discriminator, ...]
    check: ItemCheck | None
    inner: Group | None

    @property
    def wants(self) -> str:
        """Say what its values have."""
        return " and ".join(each.wants for each in self.discriminators)

    def score(self, item: Item, run: Run) -> int:
        """Return how many of the discriminators a value does not meet."""
        return sum(not each.fits(item, run) for each in self.discriminators)


@dataclass(frozen=True, slots=True)
class Slicing:
    """The slices of one element, and what is said of them together."""

    element: str
    rules: str
    is_ordered: bool
    slices: tuple[Slice, ...]

    def __call__(self, found: list[Item], path: Path, run: Run) -> None:
        """Check all values of the element."""
        members: list[list[Item]] = [[] for _ in self.slices]
        last, stray = -1, False
        for item in found:
            number = self._number(item, run)
            if number is None:
                stray = True
                if self.rules == "closed":
                    self._refuse(item, run)
                continue
            members[number].append(item)
            if stray and self.rules == "openAtEnd":
                self._misplaced(item, number, "the values that no slice has come last", run)
            elif self.is_ordered and number < last:
                self._misplaced(item, number, f"it comes before {self.slices[last].name}", run)
            last = max(last, number)
        for each, items in zip(self.slices, members, strict=True):
            self._count(each, items, path, run)
            if each.check is not None:
                for item in items:
                    each.check(item, run)
            if each.inner is not None:
                each.inner(items, path, run)

    def _number(self, item: Item, run: Run) -> int | None:
        for number, each in enumerate(self.slices):
            if all(one.fits(item, run) for one in each.discriminators):
                return number
        return None

    def _refuse(self, item: Item, run: Run) -> None:
        said = f"{self.element} takes only values of its slices."
        if self.slices:
            nearest = min(self.slices, key=lambda each: each.score(item, run))
            said += f" The nearest is {nearest.name}: it wants {nearest.wants}."
        run.report("error", "structure", said, item.path, "slice-closed")

    def _misplaced(self, item: Item, number: int, order: str, run: Run) -> None:
        said = f"This value of {self.element} is of the slice {self.slices[number].name}: {order}."
        run.report("error", "structure", said, item.path, "slice-order")

    def _count(self, each: Slice, items: list[Item], path: Path, run: Run) -> None:
        place: Path = (path, self.element, None)
        if len(items) < each.min:
            often = "" if each.min == 1 else f" {each.min} times, and stands {len(items)} times"
            said = f"The slice {each.name} of {self.element} is required{often}: add one with {each.wants}."
            run.report("error", "required", said, place, "slice-cardinality")
        elif each.max != "*" and len(items) > int(each.max):
            allowed = "is not allowed" if each.max == "0" else f"may stand {each.max} times at most"
            said = f"The slice {each.name} of {self.element} ({each.wants}) {allowed}: leave the others out."
            where = items[int(each.max)].path
            run.report("error", "structure", said, where, "slice-cardinality")
