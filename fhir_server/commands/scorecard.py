"""`scorecard`: which scenarios a client has shown, which failed and why, and which are not yet tried."""

import argparse
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from fhir_server.app import context
from fhir_server.context import Context, instant, microseconds
from fhir_server.operations.scorecard import Line, Scorecard, State, scorecard
from fhir_server.operations.scorecard_client import client
from fhir_server.operations.scorecard_scenarios import DOOR_NAMES
from fhir_server.settings import Settings

_WORDS: dict[State, str] = {"passed": "PASSED", "failed": "FAILED", "open": "not yet tried"}


def add_arguments(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add the command."""
    shown = add(
        "scorecard", "Show what a client's traffic has shown, and what is still to be shown."
    )
    shown.add_argument("client", help="its name in the file of clients, or of senders; or `local`")
    shown.add_argument("--json", action="store_true", help="for programs")
    shown.set_defaults(
        run=lambda given: show(Settings(), given.client, as_json=given.json),
    )


def show(settings: Settings, name: str, *, as_json: bool) -> int:
    """Print the scorecard of a client; exit status 1 where a scenario has failed.

    Raises ValueError where nobody has the name.
    """
    found = client(settings, name)
    if found is None:
        raise ValueError(f"no client and no sender is named {name}; `client list` shows who is.")
    made = context(settings)
    try:
        card = scorecard(made.database, found[0], _now(made))
    finally:
        made.database.close()
    if as_json:
        print(json.dumps(_told(card), indent=2))
    else:
        print("\n".join(_lines(card)))
    return int(card.count("failed") > 0)


def _now(made: Context) -> int:
    return microseconds(made.now())


def _lines(card: Scorecard) -> Iterator[str]:
    yield f"Scorecard of {card.client.name}, {_instant(card.moment)}"
    group = ""
    for line in card.lines:
        if line.scenario.group != group:
            group = line.scenario.group
            yield f"\n{group}"
        title = f"{line.scenario.title} ({DOOR_NAMES[line.door]})"
        yield f"  {_WORDS[line.state]:<15}{title}"
        if line.attempt is not None:
            yield f"{'':17}{_instant(line.attempt.moment)} {line.attempt.by}"
        if line.message:
            yield f"{'':17}{line.message}"
    counts = (f"{card.count(state)} {_WORDS[state].lower()}" for state in _WORDS)
    yield f"\n{', '.join(counts)}"


def _told(card: Scorecard) -> dict[str, object]:
    return {
        "client": card.client.name,
        "moment": _instant(card.moment),
        **{state: card.count(state) for state in _WORDS},
        "scenarios": [_scenario(line) for line in card.lines],
    }


def _scenario(line: Line) -> dict[str, object]:
    told: dict[str, object] = {
        "id": line.scenario.id,
        "group": line.scenario.group,
        "title": line.scenario.title,
        "door": line.door,
        "state": line.state,
        "how": line.how,
    }
    if line.attempt is not None:
        told |= {"when": _instant(line.attempt.moment), "by": line.attempt.by}
    if line.state == "failed":
        told["message"] = line.message
    return told


def _instant(moment: int) -> str:
    return instant(datetime.fromtimestamp(moment / 1_000_000, UTC))
