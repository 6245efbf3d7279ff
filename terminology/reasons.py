"""What is said of a code that is wrong, or cannot be checked: sentences that say what to do."""

from terminology.grammars import GRAMMARS
from terminology.systems import LOADED_AS
from terminology.verdict import Reason, Verdict

_SAID: dict[Reason, str] = {
    "unknown-value-set": (
        "{code} cannot be checked: the value set, or one that it takes codes from, is not known here."
        " Ask the operator to load the package that has it."
    ),
    "unknown-system": (
        "{code} cannot be checked: the code system {system} is not known here. Check its uri, or ask the"
        " operator to load the package that has it."
    ),
    "not-loaded": (
        "{code} cannot be checked: {system} is not loaded, or not in full or in this version. Ask the"
        " operator to load it (python -m fhir_server {how})."
    ),
    "unknown-code": "{code} does not exist in this code system{why}.",
    "inactive": "{code} is no longer active: send the code that has taken its place.",
    "wrong-display": "The display is not a term of {code}; its display is {display!r}.",
    "not-in-set": "{code} is not one of the codes asked for.",
    "unsupported-filter": (
        "{code} cannot be checked: the value set has a filter that is not understood here."
    ),
}


def said(verdict: Verdict) -> str:
    """Say in a sentence what is wrong with a code, or why it cannot be told; "" where nothing is."""
    if not verdict.reason:
        return ""
    system = verdict.system or "(no system)"
    kind = LOADED_AS.get(system)
    return _SAID[verdict.reason].format(
        code=f"{system}|{verdict.code}",
        system=system,
        display=verdict.display,
        how=f"load-terminology {kind}" if kind else "load, with a package that has it",
        why=_why(system, verdict) if verdict.reason == "unknown-code" else "",
    )


def _why(system: str, verdict: Verdict) -> str:
    if system in GRAMMARS:
        return f": {GRAMMARS[system].problem(verdict.code)}"
    return f", version {verdict.version}" if verdict.version else ""
