"""Segment, field, repetition, leaf: a message as a tree that is split only where somebody looks.

Numbers are those of the standard: fields, repetitions, components and subcomponents from 1.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from mappings.hl7v2.characters import Separators, unescape

DELETE = '""'
"""What a sender writes to say: this had a value and now has none."""

_HEADERS = ("MSH", "FHS", "BHS")


class Place(NamedTuple):
    """Where something stands in a message; `number` counts the segments of that name."""

    segment: str
    number: int
    field: int = 0
    repetition: int = 1
    component: int = 1
    subcomponent: int = 1

    def __str__(self) -> str:
        """Return it as ERR-2 has it, as far as it says something: PID^1^3, PID^1^3^2, PID^1."""
        parts = [self.repetition, self.component, self.subcomponent]
        while parts and parts[-1] == 1:
            parts.pop()
        numbers = [self.number, self.field, *parts] if self.field else [self.number]
        return "^".join((self.segment, *map(str, numbers)))


class Leaf(NamedTuple):
    """One value with its place; `text` is unescaped, never empty, and `""` where it is deleted."""

    place: Place
    text: str


Reads = Callable[[Place], None]


class Repetition:
    """One repetition of a field: components are counted from 1, as in the standard."""

    __slots__ = ("_components", "_separators", "raw")

    def __init__(self, raw: str, separators: Separators) -> None:
        self.raw = raw
        self._separators = separators
        self._components: list[str] | None = None

    def __bool__(self) -> bool:
        if not self.raw:
            return False
        return any(Repetition.subcomponent(self, n + 1, 1) for n in range(self.size))

    @property
    def is_delete(self) -> bool:
        """Tell whether the sender asks for the value to be removed."""
        return self.raw == DELETE

    @property
    def size(self) -> int:
        """Count the components."""
        return len(self._split())

    @property
    def text(self) -> str:
        """Return the whole repetition unescaped, as free text."""
        return "" if self.is_delete else unescape(self.raw, self._separators)

    def component(self, number: int) -> str:
        """Return a component's first subcomponent, unescaped; "" where it is empty or deleted."""
        return self.subcomponent(number, 1)

    def subcomponent(self, number: int, part: int) -> str:
        """Return one subcomponent, unescaped; "" where it is empty, deleted or absent."""
        components = self._split()
        if number > len(components):
            return ""
        raw = components[number - 1]
        if not raw or raw == DELETE:
            return ""
        separator = self._separators.subcomponent
        if separator in raw:
            parts = raw.split(separator)
            raw = parts[part - 1] if part <= len(parts) else ""
        elif part > 1:
            return ""
        return unescape(raw, self._separators)

    def leaves(self) -> Iterator[tuple[int, int, str]]:
        """Yield (component, subcomponent, text) of every leaf that has a value or is deleted."""
        for component, raw in enumerate(self._split(), start=1):
            if raw:
                parts = raw.split(self._separators.subcomponent)
                for number, part in enumerate(parts, start=1):
                    if part and (text := unescape(part, self._separators)):
                        yield component, number, text

    def _split(self) -> list[str]:
        if self._components is None:
            self._components = self.raw.split(self._separators.component)
        return self._components


class Field:
    """One field of a segment: its repetitions, in order."""

    __slots__ = ("_repetitions", "_separators", "raw")

    def __init__(self, raw: str, separators: Separators) -> None:
        self.raw = raw
        self._separators = separators
        self._repetitions: tuple[Repetition, ...] | None = None

    def __bool__(self) -> bool:
        return bool(self.raw)

    @property
    def is_delete(self) -> bool:
        """Tell whether the sender asks for the value to be removed."""
        return self.raw == DELETE

    @property
    def value(self) -> str:
        """Return the first component of the first repetition, unescaped."""
        return self.component(1)

    def component(self, number: int) -> str:
        """Return a component of the first repetition, unescaped."""
        return self.repetitions[0].component(number) if self.raw else ""

    @property
    def repetitions(self) -> tuple[Repetition, ...]:
        """Return every repetition, empty ones too, so that their numbers stay true."""
        if self._repetitions is None:
            separators = self._separators
            parts = self.raw.split(separators.repetition) if self.raw else []
            self._repetitions = tuple([Repetition(part, separators) for part in parts])
        return self._repetitions


class Segment:
    """One segment: its name, its number among those of that name, its fields."""

    __slots__ = ("_fields", "_seen", "_separators", "name", "number", "raw")

    def __init__(self, raw: str, name: str, number: int, separators: Separators) -> None:
        self.raw = raw
        self.name = name
        self.number = number
        self._separators = separators
        self._fields: list[str] | None = None
        self._seen: dict[int, Field] = {}

    def field(self, number: int) -> Field:
        """Return a field by its number in the standard; an absent one is empty."""
        found = self._seen.get(number)
        if found is None:
            found = self._seen[number] = Field(self.text(number), self._separators)
        return found

    def value(self, number: int) -> str:
        """Return the first component of a field's first repetition, unescaped."""
        text = self.text(number)
        return text if not text or text.isalnum() else self.field(number).component(1)

    def text(self, number: int) -> str:
        """Return a field's text as sent, which counts as no read; "" where it is absent."""
        fields = self._fields
        if fields is None:
            fields = self._split()
        return fields[number] if number < len(fields) else ""

    @property
    def size(self) -> int:
        """Return the number of the last field."""
        return len(self._fields if self._fields is not None else self._split()) - 1

    def leaves(self) -> Iterator[Leaf]:
        """Yield every leaf that has a value or is deleted, in order; this counts as no read."""
        separators = self._separators
        for number in range(1, self.size + 1):
            text = self.text(number)
            if not text:
                continue
            if number in (1, 2) and self.name in _HEADERS:
                yield Leaf(Place(self.name, self.number, number), text)
                continue
            for repetition, raw in enumerate(text.split(separators.repetition), start=1):
                for component, part, value in Repetition(raw, separators).leaves():
                    place = Place(self.name, self.number, number, repetition, component, part)
                    yield Leaf(place, value)

    def _split(self) -> list[str]:
        fields = self.raw.split(self._separators.field)
        if self.name in _HEADERS:  # the first field is the separator, the second is never escaped
            fields = [self.name, self._separators.field, *fields[1:]]
        self._fields = fields
        return fields


class WatchedRepetition(Repetition):
    """A repetition that tells which of its leaves are read."""

    __slots__ = ("_place", "_reads")

    def __init__(self, raw: str, separators: Separators, place: Place, reads: Reads) -> None:
        super().__init__(raw, separators)
        self._place = place
        self._reads = reads

    @property
    def text(self) -> str:
        """Return the whole repetition unescaped, as free text: every leaf is read."""
        for component, part, _ in self.leaves():
            self._read(component, part)
        return unescape(self.raw, self._separators) if self.raw != DELETE else ""

    def subcomponent(self, number: int, part: int) -> str:
        """Return one subcomponent, unescaped; "" where it is empty, deleted or absent."""
        found = super().subcomponent(number, part)
        if found:
            self._read(number, part)
        return found

    def _read(self, component: int, part: int) -> None:
        self._reads(self._place._replace(component=component, subcomponent=part))


class WatchedField(Field):
    """A field that tells which of its leaves are read."""

    __slots__ = ("_place", "_reads")

    def __init__(self, raw: str, separators: Separators, place: Place, reads: Reads) -> None:
        super().__init__(raw, separators)
        self._place = place
        self._reads = reads

    @property
    def repetitions(self) -> tuple[Repetition, ...]:
        """Return every repetition, empty ones too, so that their numbers stay true."""
        if self._repetitions is None:
            self._repetitions = tuple(
                WatchedRepetition(
                    found.raw,
                    self._separators,
                    self._place._replace(repetition=number),
                    self._reads,
                )
                for number, found in enumerate(super().repetitions, start=1)
            )
        return self._repetitions


class WatchedSegment(Segment):
    """A segment that tells which of its leaves are read: `reads` is called with their places."""

    __slots__ = ("_reads",)

    def __init__(
        self, raw: str, name: str, number: int, separators: Separators, reads: Reads
    ) -> None:
        super().__init__(raw, name, number, separators)
        self._reads = reads

    def value(self, number: int) -> str:
        """Return the first component of a field's first repetition, unescaped."""
        return self.field(number).component(1)

    def field(self, number: int) -> Field:
        """Return a field by its number in the standard; an absent one is empty."""
        found = self._seen.get(number)
        if found is None:
            place = Place(self.name, self.number, number)
            found = WatchedField(self.text(number), self._separators, place, self._reads)
            self._seen[number] = found
        return found
