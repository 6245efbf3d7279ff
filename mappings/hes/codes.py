"""The OPCS-4 codes of the registry's measures, as HES writes them: without the dot."""

from mappings.hes.outcomes import Codes
from r4 import artefacts
from terminology import systems

_PLANNED = frozenset({"Y703", "Y711", "H154", "G753"})
"""First and later stages of a staged operation, closure of a colostomy and of an ileostomy."""


def of_measures() -> Codes:
    """Return the codes by the registry's value sets; a further index operation is a reoperation too."""
    index = _listed("hirschsprung-pull-through")
    return Codes(index, index | _listed("unplanned-reoperation"), _PLANNED)


def _listed(name: str) -> frozenset[str]:
    """Return the OPCS-4 codes of a value set of ours."""
    found = artefacts.by_url("terminology", "ValueSet")[f"{systems.CSOR}/ValueSet/{name}"]
    return frozenset(
        concept["code"].replace(".", "")
        for include in found["compose"]["include"]
        if include["system"] == systems.OPCS_4
        for concept in include["concept"]
    )
