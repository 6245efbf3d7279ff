"""`parameters`: make a signatory's key, sign parameter files, and say what is there and why not."""

import argparse
import os
from collections.abc import Callable, Mapping
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

import outcome_engine
from fhir_server.app import clock
from fhir_server.settings import Settings
from outcome_engine.case_mix.model import CaseMixModel
from outcome_engine.extensions import several
from outcome_engine.parameter_files import parameter_file, signature
from outcome_engine.parameter_files.form import Form
from outcome_engine.parameter_files.parameter_file import ParameterFile, Parameters, accept
from outcome_engine.parameter_files.signature import Signatories
from outcome_engine.parameter_files.treatment_success import TreatmentSuccessFile
from r4.issue import FhirError
from r4.json import Resource, pretty
from terminology.systems import CSOR

FORMS: Mapping[str, type[Form]] = {
    "treatment-success-score": TreatmentSuccessFile,
    "case-mix-model": CaseMixModel,
}
"""The kinds of file, each with its form."""
_TREATMENT_SUCCESS = f"{CSOR}/Measure/treatment-success-score"


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


def illustrate(folder: Path, today: date, *models: Path) -> tuple[Path, Path]:
    """Sign the fictitious parameters, and models, by a key made for it; returns folder and signatories.

    For demonstrations: the key is made anew and kept nowhere, and signs for one day alone. Raises
    ValueError for a model that does not say that it is fictitious.
    """
    made = signature.made_key()
    place = folder / "parameters"
    place.mkdir(parents=True, exist_ok=True)
    for file in (*(files("outcome_engine") / "parameters" / "illustrative").iterdir(), *models):
        content = parameter_file.read(file.read_bytes())
        if content.get("fictitious") is not True:
            raise ValueError(
                f"{file.name} does not say that it is fictitious: it is not signed here"
            )
        signed = signature.sign(content, made, today)
        (place / file.name).write_bytes(pretty(signed) + b"\n")
    who = signature.entry(made, "The demonstration itself", "signs what is made up", today, today)
    known = folder / "signatories.json"
    known.write_bytes(pretty({"keys": [who]}) + b"\n")
    return place, known


def check(settings: Settings, file: Path, today: date) -> int:
    """Print whether a file is accepted, else everything that is wrong with it (exit status 1).

    Raises OSError or ValueError where the file, or that of the signatories, cannot be read.
    """
    content = file.read_bytes()
    signatories = Signatories.load(settings.signatories)
    form, measure = _meant(content)
    found = accept(str(file), content, form, measure, signatories, today)
    if isinstance(found, ParameterFile):
        print(f"{file}: accepted. {_said(found)}")
        return 0
    for refusal in found:
        print(f"{file}: refused, {refusal.rule}: it {refusal.text}.")
    return 1


def show(settings: Settings, today: date) -> None:
    """Print what each measure is computed with today, or why that is refused; and who may sign."""
    known = parameter_file.known(settings.parameters, settings.signatories)
    for measure in outcome_engine.measures().values():
        name = f"{measure['url']}|{measure['version']}"
        for kind, form in FORMS.items():
            needs = form is TreatmentSuccessFile and several(measure, "outcome-parameters")
            if state := _state(known, form, measure, today):
                print(f"{name}\t{kind}\t{state}")
            elif needs:
                print(f"{name}\t{kind}\tabsent: the measure is refused")
    for each in known.signatories:
        print(f"signatory\t{each.name}, {each.role}: {each.valid_from} to {each.valid_until}")


def _state(known: Parameters, form: type[Form], measure: Resource, today: date) -> str:
    try:
        found = known.of_kind(form, measure, today.isoformat())
    except FhirError as refusal:
        return f"refused\t{' '.join(issue.diagnostics for issue in refusal.issues)}"
    return f"{found.name}\t{_said(found)}" if found else ""


def _said(found: ParameterFile[Any]) -> str:
    signed = found.signed
    fictitious = (
        " FICTITIOUS: whatever is computed from it is illustrative." if found.fictitious else ""
    )
    return (
        f"Version {found.version}, signed on {signed.on} by {signed.signatory} ({signed.role}), valid "
        f"{found.content.valid_from} to {found.content.valid_until}, digest {found.digest}.{fictitious}"
    )


def _meant(content: bytes) -> tuple[type[Form], Resource]:
    """Return the form of the kind that a file says it is, and the measure that it names.

    Where it says neither, those of the Treatment Success Score, by which it is then refused.
    """
    try:
        given = parameter_file.read(content)
    except ValueError:
        given = {}
    named = str(given.get("measure", "")).partition("|")[0]
    form = FORMS.get(str(given.get("kind")), TreatmentSuccessFile)
    measures = outcome_engine.measures()
    return form, measures.get(named, measures[_TREATMENT_SUCCESS])


def _resource(file: Path) -> Resource:
    try:
        return parameter_file.read(file.read_bytes())
    except ValueError as wrong:
        raise ValueError(f"{file} is no JSON object: {wrong}") from None


def _today() -> date:
    return clock().date()
