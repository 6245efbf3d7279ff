"""Forms in another language: texts that people read are swapped, and nothing that a program reads.

A translation is a TOML file beside the surveys: `parent_surveys/<language>.toml`, English text = text.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from r4.json import Resource

_READ = frozenset({"text", "title", "prefix", "display", "human"})
_ITEMS = ("item", "answerOption", "extension", "valueCoding")


def translated(questionnaire: Resource, texts: Mapping[str, str], language: str) -> Resource:
    """Return a form with the texts that people read in another language, where there is one for them.

    texts: English text to text. linkIds, codes, expressions and conditions stay as they are.
    """
    made = _swapped({**questionnaire, "language": language}, texts)
    assert isinstance(made, dict)  # noqa: S101 - what was given is one
    return made


def translation(language: str) -> Mapping[str, str]:
    """Return the texts of the surveys in a language by their English ones; none where there is no file."""
    texts: Mapping[str, str] = _table(language).get("texts", {})
    return texts


def note(language: str) -> str | None:
    """Return what readers of a translation must know of it, as that nobody has reviewed it."""
    return _table(language).get("note")


def languages() -> tuple[str, ...]:
    """Return the languages that the surveys are written in, English first."""
    named = (each.name for each in (files("questionnaires") / "parent_surveys").iterdir())
    found = sorted(name.removesuffix(".toml") for name in named if name.endswith(".toml"))
    return ("en", *(each for each in found if _table(each).get("texts")))


def in_language(questionnaire: Resource, language: str) -> Resource:
    """Return a survey in a language, in English where there is no translation.

    What must be known of the translation stands before the first page's heading.
    """
    texts = translation(language)
    if not texts:
        return questionnaire
    made = translated(questionnaire, texts, language)
    said = note(language)
    if said is None or not made.get("item"):
        return made
    first, *others = made["item"]
    heading = {**first, "text": f"{said} {first.get('text', '')}".strip()}
    return {**made, "item": [heading, *others]}


def _swapped(node: Any, texts: Mapping[str, str]) -> Any:
    if isinstance(node, list):
        return [_swapped(each, texts) for each in node]
    if not isinstance(node, dict):
        return node
    made = dict(node)
    for name, value in node.items():
        if name in _READ and isinstance(value, str):
            made[name] = texts.get(value, value)
        elif name in _ITEMS:
            made[name] = _swapped(value, texts)
    return made


@cache
def _table(language: str) -> dict[str, Any]:
    file = files("questionnaires") / "parent_surveys" / f"{language}.toml"
    is_named = language.isascii() and language.isalpha()
    return tomllib.loads(file.read_text("utf-8")) if is_named and file.is_file() else {}
