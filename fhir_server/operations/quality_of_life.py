"""The operator's licensed quality-of-life instrument, in the slot that the parent surveys keep for it.

https://hl7.org/fhir/uv/sdc/modular.html
"""

from collections.abc import Mapping
from pathlib import Path

import questionnaires
from profiles import validate
from r4.issue import FhirError
from r4.json import Resource, decode
from terminology import Terminology
from terminology.systems import CSOR

SLOT = f"{CSOR}/Questionnaire/survey-quality-of-life"


def forms(file: Path | None, now: str) -> Mapping[str, Resource]:
    """Return the registry's forms with the operator's module in its slot; now: an instant.

    Raises ValueError, with the file's name, for what is no Questionnaire of the slot's url or does not
    fit into the surveys.
    """
    if file is None:
        return questionnaires.forms()
    try:
        module = decode(file.read_bytes())
        if not isinstance(module, dict) or module.get("resourceType") != "Questionnaire":
            raise ValueError("it is no Questionnaire")  # noqa: TRY301 - told with the file's name
        if module.get("url") != SLOT:
            raise ValueError(f"its url is not {SLOT}")  # noqa: TRY301 - told with the file's name
        found = validate(module, Terminology.load(), now=now)
        if errors := [issue for issue in found if issue.is_error]:
            raise FhirError(422, errors)  # noqa: TRY301 - told with the file's name
        return questionnaires.forms_with(module)
    except (ValueError, FhirError) as wrong:
        raise ValueError(f"{file} cannot be the quality-of-life module: {wrong}") from None
