"""Editing the TOML file of clients: one entry at a time, everything else in it as it was."""

import json
import os
import re
import secrets
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fhir_server.access.clients import of_text

_HEADER = re.compile(r"\s*\[\[\s*client\s*\]\]")
_TABLE = re.compile(r"\s*\[\[?\s*[\w\"'-]")

Entry = Mapping[str, Any]


def read(file: Path) -> str:
    """Return the text of a file, empty where there is none yet."""
    return file.read_text() if file.exists() else ""


def tables(text: str) -> list[dict[str, Any]]:
    """Return the entries of a file's text as they are written; raises ValueError where it is no TOML."""
    found = tomllib.loads(text).get("client", [])
    return found if isinstance(found, list) else []


def added(text: str, entry: Entry) -> str:
    """Return a file's text with one more entry at its end."""
    lines = [f"{name} = {_toml(value)}" for name, value in entry.items()]
    before = text.rstrip("\n") + "\n\n" if text.strip() else ""
    return before + "\n".join(["[[client]]", *lines]) + "\n"


def changed(text: str, name: str, changes: Entry) -> str:
    """Return a file's text with keys of one entry changed; a key that is None is taken out.

    Raises ValueError where no client has that name, and where the text is not written so that the entry
    can be told from what is around it.
    """
    before = tables(text)
    numbers = [at for at, each in enumerate(before) if each.get("name") == name]
    if not numbers:
        raise ValueError(f"no client is named {name}; `client list` shows who is.")
    lines = text.splitlines()
    start, end = _block(lines, numbers[0])
    block = lines[start:end]
    for key, value in changes.items():
        block = _set(block, key, value)
    made = "\n".join([*lines[:start], *block, *lines[end:]])
    expected = [dict(each) for each in before]
    of_it = {**expected[numbers[0]], **changes}
    expected[numbers[0]] = {key: value for key, value in of_it.items() if value is not None}
    if _tables_or_none(made) != expected:
        raise ValueError(f"the entry of {name} cannot be changed safely: do it in an editor.")
    return made + "\n"


def _tables_or_none(text: str) -> list[dict[str, Any]] | None:
    try:
        return tables(text)
    except ValueError:
        return None


def _block(lines: list[str], number: int) -> tuple[int, int]:
    """Return the first line of an entry, and the line after its last; what is above the next is not its."""
    starts = [at for at, line in enumerate(lines) if _HEADER.match(line)]
    if number >= len(starts):
        return 0, 0
    start = starts[number]
    end = next((at for at in range(start + 1, len(lines)) if _TABLE.match(lines[at])), len(lines))
    while end > start + 1 and (not lines[end - 1].strip() or lines[end - 1].startswith("#")):
        end -= 1
    return start, end


def _set(block: list[str], key: str, value: Any) -> list[str]:
    """Return the lines of an entry with a key changed, put in at its end, or taken out."""
    new = [] if value is None else [f"{key} = {_toml(value)}"]
    for at, line in enumerate(block):
        if re.match(rf"\s*{key}\s*=", line):
            after = next(
                end
                for end in range(at + 1, len(block) + 1)
                if end == len(block) or _is_whole("\n".join(block[at:end]))
            )
            return [*block[:at], *new, *block[after:]]
    return [*block, *new]


def _is_whole(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _toml(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_toml(each) for each in value) + "]"
    if isinstance(value, dict):
        pairs = ", ".join(f"{json.dumps(name)} = {_toml(each)}" for name, each in value.items())
        return "{ " + pairs + " }"
    return json.dumps(value)


def write(file: Path, text: str) -> None:
    """Put a text in the place of a file, whole or not at all; raises ValueError where it is not valid."""
    of_text(text, file.parent)
    place = file.resolve()
    draft = place.with_name(f"{place.name}.{secrets.token_hex(8)}")
    mode = place.stat().st_mode & 0o777 if place.exists() else 0o600
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
    try:
        with os.fdopen(descriptor, "w") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(place)
    finally:
        draft.unlink(missing_ok=True)
