"""Whether a resource is what the FHIR R4 definitions say, and where not, as a list of issues.

https://hl7.org/fhir/R4/validation.html
"""

from typing import Any

from profiles.compile import checks
from profiles.findings import Path, Run, TooManyFindingsError
from r4.issue import Issue
from r4.json import Resource
from terminology import Terminology


def validate(
    resource: Resource, terminology: Terminology, *, now: str | None = None
) -> list[Issue]:
    """Validate a resource against the base definitions of its type; an empty list says all is well.

    Structure, cardinality, primitive values, choices, contained and embedded resources, required
    and extensible bindings, reference targets, invariants, and the registry's rule on NHS numbers.
    Each issue carries a FHIRPath expression and the id of its rule. `now` is what now() answers.
    """
    run = Run(resource, resource, now)
    path: Path = (None, _type_name(resource), None)
    try:
        checks(terminology).resource(resource, path, run)
    except TooManyFindingsError:
        pass
    except RecursionError:
        run.issues.append(
            Issue("error", "too-costly", "The resource is nested too deeply.", path[1], "depth")
        )
    return run.issues


def _type_name(resource: Any) -> str:
    name = resource.get("resourceType") if isinstance(resource, dict) else None
    return name if isinstance(name, str) else "Resource"
