"""String manipulation.

https://hl7.org/fhirpath/N1/#string-manipulation
"""

import base64
import binascii
import html
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from r4.fhirpath.errors import EvaluationError
from r4.fhirpath.function import Function, of_text
from r4.fhirpath.scope import Code, Scope, Step
from r4.fhirpath.values import EMPTY, singleton, system
from r4.json import decode, encode


def _substring(text: str, start: int, length: int | None = None) -> str | None:
    if not 0 <= start < len(text):
        return None
    return text[start:] if length is None else text[start : start + max(0, length)]


def _matches(text: str, pattern: str) -> bool:
    return _regex(pattern).search(text) is not None


def _matches_full(text: str, pattern: str) -> bool:
    return _regex(pattern).fullmatch(text) is not None


def _replace_matches(text: str, pattern: str, substitution: str) -> str:
    if pattern == "":
        return text
    template = substitution.replace("\\", r"\\")
    template = re.sub(r"\$(\d+)", r"\\g<\1>", template)
    try:
        return _regex(pattern).sub(re.sub(r"\$\{(\w+)\}", r"\\g<\1>", template), text)
    except (re.error, IndexError) as problem:
        raise EvaluationError(f"the substitution `{substitution}`: {problem}") from problem


@lru_cache(maxsize=1024)
def _regex(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(re.sub(r"\(\?<(?=\w)", "(?P<", pattern), re.DOTALL)
    except re.error as problem:
        raise EvaluationError(f"the regular expression `{pattern}`: {problem}") from problem


def _split(text: str, separator: str) -> list[Any]:
    return list(text.split(separator) if separator else text)


def _join(separator: Code | None = None) -> Step:
    def step(scope: Scope, items: list[Any]) -> list[Any]:
        between = singleton(separator.evaluate(scope), "a separator") if separator else ""
        texts = [text for item in items if (text := system(item)) is not None]
        if not texts and not scope.environment.joins_nothing:
            return EMPTY
        if not all(isinstance(text, str) for text in (*texts, between)):
            raise EvaluationError("join() needs strings")
        return [between.join(texts)]

    return step


def _encoded(text: str, form: str) -> str | None:
    return _coded(_ENCODERS, text, form)


def _decoded(text: str, form: str) -> str | None:
    try:
        return _coded(_DECODERS, text, form)
    except (binascii.Error, ValueError) as problem:
        raise EvaluationError(f"`{text}` is not {form}") from problem


def _escaped(text: str, form: str) -> str | None:
    return _coded(_ESCAPERS, text, form)


def _unescaped(text: str, form: str) -> str | None:
    return _coded(_UNESCAPERS, text, form)


def _coded(coders: dict[str, Callable[[str], str]], text: str, form: str) -> str | None:
    coder = coders.get(form)
    return None if coder is None else coder(text)


def _unescape_json(text: str) -> str:
    try:
        return str(decode(f'"{text}"'))
    except ValueError:  # already unescaped: a bare quote ends no string here
        return text


_ENCODERS: dict[str, Callable[[str], str]] = {
    "hex": lambda text: text.encode().hex(),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "urlbase64": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
}
_DECODERS: dict[str, Callable[[str], str]] = {
    "hex": lambda text: bytes.fromhex(text).decode(),
    "base64": lambda text: base64.b64decode(text, validate=True).decode(),
    "urlbase64": lambda text: base64.urlsafe_b64decode(text).decode(),
}
_ESCAPERS: dict[str, Callable[[str], str]] = {
    "html": html.escape,
    "json": lambda text: encode(text).decode()[1:-1],
}
_UNESCAPERS: dict[str, Callable[[str], str]] = {"html": html.unescape, "json": _unescape_json}

FUNCTIONS = {
    "indexOf": of_text(str.find, str),
    "lastIndexOf": of_text(str.rfind, str),
    "substring": of_text(_substring, int, int, minimum=1),
    "startsWith": of_text(str.startswith, str),
    "endsWith": of_text(str.endswith, str),
    "contains": of_text(lambda text, part: part in text, str),
    "upper": of_text(str.upper),
    "lower": of_text(str.lower),
    "replace": of_text(str.replace, str, str),
    "matches": of_text(_matches, str),
    "matchesFull": of_text(_matches_full, str),
    "replaceMatches": of_text(_replace_matches, str, str),
    "length": of_text(len),
    "toChars": of_text(list),
    "trim": of_text(str.strip),
    "split": of_text(_split, str),
    "join": Function(_join, 0, 1),
    "encode": of_text(_encoded, str),
    "decode": of_text(_decoded, str),
    "escape": of_text(_escaped, str),
    "unescape": of_text(_unescaped, str),
}
