"""The forms of the registry, by canonical url."""

from collections.abc import Mapping

from r4 import artefacts
from r4.json import Resource


def forms() -> Mapping[str, Resource]:
    """Map canonical url to Questionnaire, for every form that this package carries."""
    return artefacts.by_url("questionnaires", "Questionnaire")
