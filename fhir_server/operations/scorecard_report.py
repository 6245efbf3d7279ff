"""The scorecard as a FHIR TestReport, its scenarios in it as a TestScript.

https://hl7.org/fhir/R4/testreport.html
"""

from datetime import UTC, datetime

from fhir_server.context import instant
from fhir_server.operations.scorecard import Line, Scorecard, State
from fhir_server.operations.scorecard_scenarios import DOOR_NAMES, Way
from r4.json import Resource
from terminology.systems import CSOR

_SCRIPT = "scenarios"
_RESULTS: dict[State, str] = {"passed": "pass", "failed": "fail", "open": "skip"}
_HUNDRED = 100


def report(card: Scorecard, base: str) -> Resource:
    """Return the TestReport of a scorecard; base: the URL of this server's FHIR endpoint."""
    passed, every = card.count("passed"), max(1, len(card.lines))
    return {
        "resourceType": "TestReport",
        "contained": [_script(card, base)],
        "name": f"Scorecard of {card.client.name}",
        "status": "in-progress" if card.count("open") else "completed",
        "testScript": {"reference": f"#{_SCRIPT}"},
        "result": _result(card),
        "score": round(_HUNDRED * passed / every, 1),
        "tester": "CSOR",
        "issued": _instant(card.moment),
        "participant": [
            {"type": "client", "uri": f"{base}#{card.client.name}", "display": card.client.name},
            {"type": "server", "uri": base, "display": "CSOR"},
        ],
        "test": [_test(line) for line in card.lines],
    }


def _result(card: Scorecard) -> str:
    if card.count("failed"):
        return "fail"
    return "pending" if card.count("open") else "pass"


def _test(line: Line) -> Resource:
    told = {"result": _RESULTS[line.state], "message": _said(line)}
    return {
        "name": _name(line),
        "description": line.scenario.title,
        "action": [{"assert": told}],
    }


def _said(line: Line) -> str:
    if line.attempt is None:
        return f"Not yet tried. {line.how}"
    when = f"{_instant(line.attempt.moment)}, by {line.attempt.by}"
    return f"Passed {when}." if line.state == "passed" else f"Failed {when}: {line.message}"


def _script(card: Scorecard, base: str) -> Resource:
    return {
        "resourceType": "TestScript",
        "id": _SCRIPT,
        "url": f"{CSOR}/TestScript/integrator-scenarios",
        "name": "IntegratorScenarios",
        "title": "What an integrator shows before going live",
        "status": "active",
        "description": f"Each test says what a client sends to {base}.",
        "test": [_scripted(line) for line in card.lines],
    }


def _scripted(line: Line) -> Resource:
    way = line.scenario.ways[line.door]
    asserted: Resource = {
        "description": way.how, "direction": "request", **_looked_at(way), "warningOnly": False,
    }  # fmt: skip
    return {
        "name": _name(line),
        "description": line.scenario.title,
        "action": [{"assert": asserted}],
    }


def _looked_at(way: Way) -> Resource:
    """Return what an assertion looks at: what a resource must have, else its type."""
    paths = [path for path in (way.where, *(each.path for each in way.expect)) if path]
    if paths:
        return {"expression": " and ".join(f"({path})" for path in paths)}
    return {"resource": way.stored[0]} if len(way.stored) == 1 else {}


def _name(line: Line) -> str:
    return f"{line.scenario.group}, {DOOR_NAMES[line.door]}: {line.scenario.id}"


def _instant(moment: int) -> str:
    return instant(datetime.fromtimestamp(moment / 1_000_000, UTC))
