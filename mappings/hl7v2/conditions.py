"""The conditions of HL7's v2-to-FHIR tables (`Computable ANTLR`) as closures over a message.

https://build.fhir.org/ig/HL7/v2-to-fhir/mapping_guidelines.html
The published tables say one thing in many ways: `IF` again after `AND`, `VALUE` for `VALUED`, `A OR B
VALUED` for two tests, a bracket that never closes. All that has one meaning is read; the rest is refused.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


class Source(Protocol):
    """What a condition is about: a message seen from one row, at one repetition of its field."""

    def values(self, name: str, numbers: tuple[int, ...]) -> Sequence[str]:
        """List a part's value in each repetition, empty ones as "".

        `name` is a segment with numbers of field, component, subcomponent; a datatype with numbers
        of component, subcomponent of the value at hand; or "" for the value at hand itself.
        """
        ...


Condition = Callable[[Source], bool]
Test = Callable[[Sequence[str], Source], bool]

_TOKEN = re.compile(
    r"\s*(?:"
    r"\"(?P<text>[^\"]*)\"|'(?P<single>[^']*)'"
    r"|(?P<part>[A-Z][A-Z0-9]{1,2}(?:[-.]\d+)+)"
    r"|(?P<word>[A-Za-z][A-Za-z0-9]*(?:\.[Cc][Oo][Uu][Nn][Tt])?)"
    r"|(?P<number>\d+)"
    r"|(?P<sign>[()=<>,])"
    r")"
)
_SEGMENT = re.compile(r"[A-Z][A-Z0-9]{2}\Z")
_GLUED = re.compile(r"\b([A-Z]{2})(\d+)\.(?=NOT\b)")
"""A component and the test after it written as one word: `PL3.NOT VALUED`."""
_NOISE = frozenset({"IF", "IS", "ARE", "AREA", "TO", "DOES"})
_VALUED = frozenset({"VALUED", "VALUE", "EXIST", "EXISTS"})
_EQUAL = frozenset({"EQUALS", "EQUAL", "="})
_COUNT = frozenset({"LST.COUNT", "COUNT"})
_RESERVED = _NOISE | _VALUED | _EQUAL | _COUNT | {"AND", "OR", "NOT", "IN", "EMPTY", "LENGTH"}


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    numbers: tuple[int, ...]


_AT_HAND = _Part("", ())


def condition(text: str) -> Condition:
    """Compile a condition. Raises ValueError where it has no one meaning.

    A comparison is about the first repetition, unless the source shows only one; a count about all.
    """
    reader = _Reader(_tokens(_GLUED.sub(r"\1.\2 ", text)), text)
    found = reader.either()
    if reader.here is not None:
        raise ValueError(f"`{text}` is no condition from `{reader.here.text}` on")
    return found


def _tokens(text: str) -> list[_Token]:
    found, place = [], 0
    while text[place:].strip():
        match = _TOKEN.match(text, place)
        if match is None:
            raise ValueError(f"`{text}` is no condition from `{text[place:].strip()}` on")
        kind = match.lastgroup or ""
        value = match[kind]
        if kind == "word":
            value = value.upper()
        found.append(_Token("text" if kind == "single" else kind, value))
        place = match.end()
    return found


class _Reader:
    """A recursive descent over the tokens; a part without a test waits for the next part's."""

    def __init__(self, tokens: list[_Token], text: str) -> None:
        self.tokens = tokens
        self.text = text
        self.place = 0
        self.part = _AT_HAND

    @property
    def here(self) -> _Token | None:
        return self.tokens[self.place] if self.place < len(self.tokens) else None

    def either(self) -> Condition:
        """Read what `OR` joins."""
        found = [self.every()]
        while self.take("OR"):
            found.append(self.every())
        return found[0] if len(found) == 1 else lambda source: any(one(source) for one in found)

    def every(self) -> Condition:
        """Read what `AND` joins, or nothing at all: an `AND` may be missing between two parts."""
        found = [self.one()]
        while self.take("AND") or (self.here is not None and self.here.kind == "part"):
            found.append(self.one())
        return found[0] if len(found) == 1 else lambda source: all(one(source) for one in found)

    def one(self) -> Condition:
        """Read a bracket, or a part and its tests."""
        self.skip()
        if self.take("("):
            inner = self.either()
            self.take(")")  # where it is missing, the bracket ends with the condition
            return inner
        self.part = self.operand() or self.part
        test = self.test()
        if test is None:
            test = self.ahead()
        found = _about(self.part, test)
        again = self.test(optional=True)
        if again is None:
            return found
        also = _about(self.part, again)
        return lambda source: found(source) and also(source)

    def operand(self) -> _Part | None:
        token = self.here
        if token is None or token.kind not in ("part", "word"):
            return None
        if token.kind == "word" and (token.text in _RESERVED or not _SEGMENT.match(token.text)):
            return None
        self.place += 1
        name, *numbers = re.split(r"[-.]", token.text)
        return _Part(name, tuple(int(number) for number in numbers))

    def ahead(self) -> Test:
        """Find the test of a part that shares the next one's: `A OR B VALUED`."""
        place, part = self.place, self.part
        while self.take("AND") or self.take("OR"):
            self.skip()
            if self.operand() is None:
                break
            test = self.test()
            if test is not None:
                self.place, self.part = place, part
                return test
        raise ValueError(f"`{self.text}` does not say what to test")

    def test(self, *, optional: bool = False) -> Test | None:
        """Read a test; None, and no step taken, where there is none.

        A `NOT` before no test is refused, unless the test is `optional`.
        """
        place = self.place
        self.skip()
        denied = self.take("NOT")
        self.skip()
        found = self.positive()
        if found is not None:
            return _denied(found) if denied else found
        self.place = place
        if denied and not optional:
            raise ValueError(f"`{self.text}` denies nothing")
        return None

    def positive(self) -> Test | None:
        token = self.here
        if token is None:
            return None
        if token.kind == "text":
            self.place += 1
            return _equals(token.text)
        if self.take(*_VALUED):
            return _valued
        if self.take("EMPTY"):
            return _denied(_valued)
        if self.take("IN"):
            return _among(self.texts())
        if self.take(*_EQUAL):
            return self.equal()
        if self.take(*_COUNT):
            return self.compared(lambda values: sum(map(bool, values)))
        if self.take("LENGTH"):
            return self.compared(lambda values: len(values[0]) if values else 0)
        return None

    def equal(self) -> Test:
        self.skip()
        other = self.operand()
        if other is not None:
            return lambda values, source: (
                _first(values) == _first(source.values(other.name, other.numbers))
            )
        return _equals(self.expect("text"))

    def texts(self) -> frozenset[str]:
        if not self.take("("):
            raise ValueError(f"`{self.text}` has no list of values after IN")
        found = {self.expect("text")}
        while self.take(","):
            found.add(self.expect("text"))
        if not self.take(")"):
            raise ValueError(f"`{self.text}` does not close its list of values")
        return frozenset(found)

    def compared(self, measure: Callable[[Sequence[str]], int]) -> Test:
        self.skip()
        more, less = self.take("GREATER", ">"), self.take("LESS", "<")
        self.take("THAN")
        self.take("OR")
        same = self.take(*_EQUAL)
        number = int(self.expect("number"))
        if not (more or less or same):
            raise ValueError(f"`{self.text}` compares a number with nothing")

        def run(values: Sequence[str], _: Source) -> bool:
            found = measure(values)
            return (
                (more and found > number) or (less and found < number) or (same and found == number)
            )

        return run

    def skip(self) -> None:
        while self.take(*_NOISE):
            pass

    def take(self, *texts: str) -> bool:
        token = self.here
        if token is None or token.kind not in ("word", "sign") or token.text not in texts:
            return False
        self.place += 1
        return True

    def expect(self, kind: str) -> str:
        self.skip()
        token = self.here
        if token is None or token.kind != kind:
            raise ValueError(f"`{self.text}` lacks a {kind}")
        self.place += 1
        return token.text


def _about(part: _Part, test: Test) -> Condition:
    return lambda source: test(source.values(part.name, part.numbers), source)


def _first(values: Sequence[str]) -> str:
    return values[0] if values else ""


def _valued(values: Sequence[str], _: Source) -> bool:
    return any(values)


def _equals(text: str) -> Test:
    return lambda values, _: _first(values) == text


def _among(texts: frozenset[str]) -> Test:
    return lambda values, _: _first(values) in texts


def _denied(test: Test) -> Test:
    return lambda values, source: not test(values, source)
