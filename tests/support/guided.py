"""What a fuzzer that is guided by coverage runs: `python -m tests.support.guided -runs=100000`.

It draws resources as the other fuzz tests do, and keeps what takes a path through the code that none
before it took. https://hypothesis.readthedocs.io/en/latest/reference/api.html#external-fuzzers
"""

import sys
from contextlib import suppress
from typing import Any

import atheris

with atheris.instrument_imports(include=["profiles", "questionnaires", "terminology", "r4"]):
    import profiles
    import questionnaires
    from r4 import xml
    from r4.issue import FhirError
    from r4.json import decode
    from terminology import Terminology

from hypothesis import HealthCheck, given, settings

from fhir_server.rest import reading
from tests.questionnaires.support import NOTE, form
from tests.support.mutations import content_of, mutants

TERMINOLOGY = Terminology.load()
FORM = form(NOTE)
NOW = "2026-11-23T09:00:00Z"


@settings(database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(mutants())
def told(sent: Any) -> None:
    """Read, validate and write a resource: each is done, or refused."""
    with suppress(FhirError):
        resource = reading.resource(content_of(sent))
        found = profiles.validate(resource, TERMINOLOGY, now=NOW)
        if resource["resourceType"] == "QuestionnaireResponse" and not found:
            questionnaires.check(FORM, resource, TERMINOLOGY, strict=True)
        if not any(issue.is_error for issue in found):
            assert xml.decode(xml.encode(resource)) == decode(content_of(sent))


if __name__ == "__main__":
    atheris.Setup(sys.argv, told.hypothesis.fuzz_one_input)
    atheris.Fuzz()
