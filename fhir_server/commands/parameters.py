"""`parameters`: make a signatory's key, sign parameter files, and say what is there and why not."""

import argparse
import os
from collections.abc import Callable
from datetime import date
from pathlib import Path

import outcome_engine
from fhir_server.app import clock
from fhir_server.settings import Settings
from outcome_engine import parameter_file, signature
from outcome_engine.definition import several
from outcome_engine.parameter_file import ParameterFile, Parameters, accept
from outcome_engine.signature import Signatories
from outcome_engine.treatment_success import TreatmentSuccessFile
from r4.issue import FhirError
from r4.json import Resource, decode, pretty


def add_arguments(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add the command and its actions; dates are today's unless they are given."""
    top = add("parameters", "Make a key, sign and check files of parameters, or list them.")
    actions = top.add_subparsers(required=True, metavar="action")
    made = actions.add_parser("key", help="make a signatory's key; prints the public entry")
    made.add_argument("file", type=Path, help="where the private key goes, for its owner alone")
    made.add_argument("--name", required=True, help="who signs by it")
    made.add_argument("--role", required=True, help="as what")
    made.add_argument("--valid-from", type=date.fromisoformat, default=None, metavar="DATE")
    made.add_argument("--valid-until", type=date.fromisoformat, required=True, metavar="DATE")
    made.set_defaults(run=lambda given: key(given, _today()))
    signed = actions.add_parser("sign", help="sign a file, in place")
    signed.add_argument("file", type=Path, help="the file of parameters, as JSON")
    signed.add_argument("--key", type=Path, required=True, help="the private key, in PEM")
    signed.set_defaults(run=lambda given: sign(given.file, given.key, _today()))
    checked = actions.add_parser("check", help="say whether a file would be computed with today")
    checked.add_argument("file", type=Path, help="the file of parameters, as JSON")
    checked.set_defaults(run=lambda given: check(Settings(), given.file, _today()))
    listed = actions.add_parser("list", help="list what each measure would be computed with today")
    listed.set_defaults(run=lambda _: show(Settings(), _today()))


def key(given: argparse.Namespace, today: date) -> None:
    """Write a new private key (mode 0600) and print its entry for the file of signatories.

    Raises FileExistsError where the file is there, and ValueError for a validity that is none.
    """
    start = given.valid_from or today
    if given.valid_until < start:
        raise ValueError("--valid-until is before the key is valid")
    made = signature.made_key()
    descriptor = os.open(given.file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(made.as_pem(private=True))
    entry = signature.entry(made, given.name, given.role, start, given.valid_until)
    print(pretty(entry).decode())


def sign(file: Path, private: Path, today: date) -> None:
    """Sign a file as it stands, in place of any signature it has; says nothing of what it holds.

    Raises OSError and ValueError for what cannot be read.
    """
    try:
        held = signature.read_key(private.read_bytes())
    except ValueError as wrong:
        raise ValueError(f"{private}: {wrong}") from None
    done = signature.sign(_resource(file), held, today)
    draft = file.with_name(f"{file.name}.signing")
    draft.write_bytes(pretty(done) + b"\n")
    draft.replace(file)
    print(f"{file}: signed by key {held.thumbprint()} on {today}")
    print(f"{file}: digest {signature.digest(done)}")


def check(settings: Settings, file: Path, today: date) -> int:
    """Print whether a file is accepted, else everything that is wrong with it (exit status 1).

    Raises OSError or ValueError where the file, or that of the signatories, cannot be read.
    """
    content = file.read_bytes()
    signatories = Signatories.load(settings.signatories)
    measure = _measure(content)
    found = accept(str(file), content, TreatmentSuccessFile, measure, signatories, today)
    if isinstance(found, ParameterFile):
        print(f"{file}: accepted. {_said(found)}")
        return 0
    for refusal in found:
        print(f"{file}: refused, {refusal.rule}: it {refusal.text}.")
    return 1


def show(settings: Settings, today: date) -> None:
    """Print for each measure that needs parameters which it has today, or why it is refused."""
    known = parameter_file.known(settings.parameters, settings.signatories)
    for measure in outcome_engine.measures().values():
        if several(measure, "outcome-parameters"):
            print(f"{measure['url']}|{measure['version']}\t{_state(known, measure, today)}")
    for each in known.signatories:
        print(f"signatory\t{each.name}, {each.role}: {each.valid_from} to {each.valid_until}")


def _state(known: Parameters, measure: Resource, today: date) -> str:
    try:
        found = known.of(measure, today.isoformat())
    except FhirError as refusal:
        return f"refused\t{refusal.issues[0].diagnostics}"
    return f"{found.name}\t{_said(found)}" if found else ""


def _said(found: ParameterFile[TreatmentSuccessFile]) -> str:
    signed = found.signed
    fictitious = (
        " FICTITIOUS: whatever is computed from it is illustrative." if found.fictitious else ""
    )
    return (
        f"Version {found.version}, signed on {signed.on} by {signed.signatory} ({signed.role}), valid "
        f"{found.content.valid_from} to {found.content.valid_until}, digest {found.digest}.{fictitious}"
    )


def _measure(content: bytes) -> Resource:
    """Return the measure that a file names, in whatever version; else the first that needs one."""
    needing = [m for m in outcome_engine.measures().values() if several(m, "outcome-parameters")]
    try:
        named = str(decode(content)["measure"]).partition("|")[0]
    except (KeyError, TypeError, ValueError):
        named = ""
    return next((each for each in needing if each["url"] == named), needing[0])


def _resource(file: Path) -> Resource:
    try:
        return parameter_file.read(file.read_bytes())
    except ValueError as wrong:
        raise ValueError(f"{file} is no JSON object: {wrong}") from None


def _today() -> date:
    return clock().date()
