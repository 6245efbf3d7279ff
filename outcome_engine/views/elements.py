"""What FHIR's definitions say of an element's cardinality.

https://hl7.org/fhir/R4/elementdefinition.html
"""

from functools import cache

from r4 import definitions


@cache
def repeats(owner: str, key: str) -> bool:
    """Tell whether an element of a type or backbone may stand more than once; a choice stands once."""
    structure = definitions.structure(owner.partition(".")[0]) or {}
    for element in structure.get("snapshot", {}).get("element", ()):
        if element["path"] == f"{owner}.{key}":
            return bool(element["max"] != "1")
    return False
