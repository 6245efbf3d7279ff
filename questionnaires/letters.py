"""What is written to parents: short, and without a word of the child or the condition.

A message is read by whoever holds the phone. The texts are in `parent_surveys/letters.<language>.toml`.
"""

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import NamedTuple

KINDS = ("invitation", "reminder", "another")
_LAST_DAY = re.compile(r"[^.\n]*\{until\}[^.]*\. ")


class Letter(NamedTuple):
    """A message: its subject, and its text with a place for the link, `{link}`."""

    subject: str
    text: str


def letter(kind: str, language: str, until: str | None) -> Letter:
    """Return a message of a kind, in English where there is none in a language.

    until: a date; with None, the sentence of the last day is left out.
    """
    table = _letters(language) or _letters("en")
    text = table[kind]["text"].strip()
    if until is None:
        text = _LAST_DAY.sub("", text)
    else:
        text = text.replace("{until}", "/".join(reversed(until[:10].split("-"))))
    return Letter(table[kind]["subject"], text)


@cache
def _letters(language: str) -> dict[str, dict[str, str]]:
    file = files("questionnaires") / "parent_surveys" / f"letters.{language}.toml"
    return tomllib.loads(file.read_text("utf-8")) if file.is_file() else {}
