"""Microseconds to validate one resource, beside fhir.resources (R4B) building its model.

`python -m benchmarks validate`. fhir.resources looks at structure, types, cardinality and formats;
the ratio that compares like with like is that of the structural pass. Each round runs all of them, so
that what else the machine does slows them alike; the fastest round counts.
"""

from collections.abc import Callable
from functools import partial

from fhir.resources.R4B import get_fhir_model_class

from benchmarks import records
from benchmarks.timing import fastest
from profiles.compile import Checks
from profiles.findings import Run
from profiles.shelf import Shelf
from profiles.validate import Options, own_structures, validate
from questionnaires import checking
from r4.json import Resource, encode
from terminology import Terminology

TERMINOLOGY = Terminology.load()
ERRORS, ALL = Options(warnings=False), Options()
STRUCTURE = Checks(Shelf(TERMINOLOGY, own_structures(), False), None, structure_only=True)

CASES = {
    "Patient": records.PATIENT,
    "Observation": records.OBSERVATION,
    "Observation, R4 bodyweight": records.WEIGHT,
    "Observation, CSOR profile": records.BIRTH_WEIGHT,
    "Procedure": records.PROCEDURE,
    "QuestionnaireResponse, 100": records.RESPONSE,
}
"""A profile is that of meta.profile, with those it is derived from and those it imposes."""

FORM = "the response with its form"
TARGETS = {"Observation, CSOR profile": 300.0, FORM: 3000.0}
"""The most microseconds that everything may take."""
RATIO = 10.0
"""How many times as fast as fhir.resources the structural pass is to be."""


def main() -> None:
    """Print the microseconds of each resource, the ratios, and what is missed."""
    print(f"{'microseconds, and how many times':<28}{'structure':>16}{'errors':>16}{'all':>16}")
    print(f"{'as fast as fhir.resources':<28}{'':>48}{'R4B':>10}{'bytes':>8}")
    missed = []
    for name, resource in CASES.items():
        found = fastest(ways(resource))
        theirs = found.pop("R4B")
        cells = "".join(f"{ours:10.1f}{theirs / ours:6.1f}" for ours in found.values())
        print(f"{name:28}{cells}{theirs:10.1f}{len(encode(resource)):8,}", flush=True)
        if theirs / found["structure"] < RATIO:
            missed.append(f"{name}: structure {theirs / found['structure']:.1f} x, not {RATIO:g}")
        missed += late(name, found["all"])
    answered = fastest({FORM: with_its_form})[FORM]
    print(f"{FORM:28}{'':32}{answered:10.1f}")
    missed += late(FORM, answered)
    print(f"missed: {'; '.join(missed) or 'nothing'}")


def ways(resource: Resource) -> dict[str, Callable[[], object]]:
    """Return what is measured of a resource; SystemExit where one of them finds an error in it."""
    for options in (ERRORS, ALL):
        if wrong := [i for i in validate(resource, TERMINOLOGY, options=options) if i.is_error]:
            raise SystemExit(f"{resource['resourceType']} is not valid: {wrong}")
    model = get_fhir_model_class(resource["resourceType"])
    return {
        "structure": partial(structure, resource),
        "errors": partial(validate, resource, TERMINOLOGY, options=ERRORS),
        "all": partial(validate, resource, TERMINOLOGY, options=ALL),
        "R4B": partial(model.model_validate, resource),
    }


def structure(resource: Resource) -> object:
    """Check what fhir.resources checks."""
    run = Run(resource, resource)
    STRUCTURE.resource(resource, (None, resource["resourceType"], None), run)
    return run.issues


def with_its_form() -> object:
    """Check a response as FHIR, and then against the form that it answers."""
    found = validate(records.RESPONSE, TERMINOLOGY, options=ALL)
    found += checking.check(records.QUESTIONNAIRE, records.RESPONSE, TERMINOLOGY, strict=True)
    if found:
        raise SystemExit(f"the response is not valid: {found}")
    return found


def late(name: str, microseconds: float) -> list[str]:
    """Say of everything that takes longer than it may."""
    most = TARGETS.get(name)
    if most is None or microseconds <= most:
        return []
    return [f"{name}: {microseconds:.0f} microseconds, not {most:g}"]


if __name__ == "__main__":
    main()
