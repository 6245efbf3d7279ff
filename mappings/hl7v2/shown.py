"""Which of the leaves that a function has read show in the value that it gave.

A function reads more than it writes: the authority of a number decides its system, a type code the
shape of a value. What is written can be seen in the value, or was translated into it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from mappings.hl7v2.elements import Slot
from mappings.hl7v2.leaves import Place
from mappings.hl7v2.trace import Put

_ASIDE = re.compile(r"[\W_]")
_NO_DIGIT = re.compile(r"\D")
_WORD = re.compile(r"\w+")
_SHORT = 3
"""What is shorter than this shows only where it is a word: letters are everywhere."""


def shown(put: Put, sources: Iterable[Place], texts: Mapping[Place, str]) -> list[Place]:
    """List the sources that show in a value; all of them where it cannot be told."""
    listed = list(sources)
    if len(listed) <= 1:
        return listed
    exact = set(_strings(put.value))
    strings = [each.casefold() for each in exact]
    seen = _Seen(
        translated={
            code
            for code, found in put.translated.items()
            if found & exact or isinstance(put.value, bool)
        },
        letters=[_ASIDE.sub("", each) for each in strings],
        digits=[_NO_DIGIT.sub("", each) for each in strings],
        words={word for each in strings for word in _WORD.findall(each)},
    )
    found = [place for place in listed if seen.has(texts[place])]
    return found or listed


class _Seen(NamedTuple):
    translated: set[str]
    letters: list[str]
    digits: list[str]
    words: set[str]

    def has(self, text: str) -> bool:
        if text in self.translated:
            return True
        plain = _ASIDE.sub("", text).casefold()
        if len(plain) < _SHORT:
            return text.casefold() in self.words or plain in self.letters
        if plain.isdecimal():
            return any(plain in each for each in self.digits)
        return any(plain in each or _is_within(each, plain) for each in self.letters)


def _is_within(string: str, plain: str) -> bool:
    """Tell whether a string is what is left of a text: a number without the letter before it."""
    return len(string) >= _SHORT and string in plain


def _strings(value: Any) -> Iterator[str]:
    """Yield every primitive in a value as a string, those of a resource of its own too."""
    if isinstance(value, Slot):
        value = value.resource
    if isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)
    elif isinstance(value, (str, int, Decimal)):
        yield str(value)
