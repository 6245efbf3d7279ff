"""Our population is that of npm's @aehrc/sdc-populate, answer for answer, on our forms and the guide's."""

import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

from questionnaires import forms
from questionnaires.population import populate
from r4.json import Resource, decode, encode
from tests.questionnaires import test_note_prefill as epr
from tests.questionnaires import test_population_of_the_guide as guide
from tests.support.npm import install, run

DIFFERENT = tomllib.loads(
    (Path(__file__).parent / "population_differences.toml").read_text(encoding="utf-8")
)
GUIDES = (
    "questionnaire-sdc-test-fhirpath-prepop-initialexpression",
    "questionnaire-sdc-test-fhirpath-prepop-candexpr",
    "questionnaire-sdc-test-fhirpath-prepop-source-query",
    "demographics",
    "questionnaire-sdc-profile-example-weight-height-tracking-panel",
    "questionnaire-sdc-test-initialvalue",
    "questionnaire-sdc-test-initialvalue-multiple",
)
Answers = list[tuple[str, Any]]


def own(form: Resource) -> Resource:
    """A child with their stay, an operation that was ordered, and the form's own diagnosis."""
    known = (epr.ORDER, epr.BLOOD_TEST, epr.ASA_2)
    code = epr.ICD_10_OF.get(form["id"], "Q79.3")
    held = [*known, epr.condition(code, "confirmed")]
    found = {kind: [each for each in held if each["resourceType"] == kind]
             for kind in {each["resourceType"] for each in held}}  # fmt: skip
    return {
        "form": form,
        "patient": epr.PATIENT,
        "user": {"id": "u1", **epr.SURGEON},
        "encounter": {"id": "e1", **epr.STAY},
        "found": found,
    }


def of_guide(library: Path, name: str) -> Resource:
    """A form of the guide, the percent signs mended that were lost in its publication."""
    mended = encode(guide.guide_form(library, name)).replace(b"%37patient", b"%patient")
    return {
        "form": decode(mended),
        "patient": guide.CHILD,
        "user": guide.SURGEON,
        "found": guide.FOUND,
    }


def ours(case: Resource) -> Answers:
    declared = encode(case["form"].get("extension", []))
    contexts = {name: [case[name]] for name in ("patient", "user", "encounter")
                if f'"{name}"'.encode() in declared}  # fmt: skip
    made = populate(
        case["form"],
        subject={"reference": f"Patient/{case['patient']['id']}"},
        contexts=contexts,
        find=lambda query: case["found"].get(query.partition("?")[0], []),
        now=datetime.now().astimezone().isoformat(timespec="milliseconds"),  # as the library says
    )
    return guide.answers(made.response)


def theirs(cases: list[Resource], folder: Path) -> list[Answers | None]:
    """What the library makes of each case; None where it makes nothing."""
    install()
    (folder / "cases.json").write_bytes(encode(cases))
    result = run("node", ["populate.cjs", str(folder / "cases.json")], 120)
    assert result.returncode == 0, result.stderr
    return [None if each is None else guide.answers(each) for each in decode(result.stdout)]


def compared(cases: list[Resource], folder: Path) -> int:
    """Assert that both answer alike but for what is listed; return how many answers are compared."""
    count = 0
    for case, made in zip(cases, theirs(cases, folder), strict=True):
        name, answers = case["form"]["id"], ours(case)
        if name in DIFFERENT["form"]:
            assert made is None, f"{name}: the reason in the list no longer holds"
            continue
        missing = {link_id for link_id, _ in answers} - {link_id for link_id, _ in made or ()}
        assert missing <= set(DIFFERENT["question"]), name
        same = [each for each in answers if each[0] not in missing]
        assert made == same, name
        count += len(same)
    return count


def test_our_forms_are_filled_in_as_the_library_fills_them_in(tmp_path: Path) -> None:
    assert compared([own(form) for form in forms().values()], tmp_path) > 90


def test_the_guides_forms_are_filled_in_as_the_library_fills_them_in(
    library: Path, tmp_path: Path
) -> None:
    assert compared([of_guide(library, name) for name in GUIDES], tmp_path) > 15
