"""The functions of FHIRPath and FHIR, by the chapters of the specification.

https://hl7.org/fhirpath/N1/#functions, https://hl7.org/fhir/R4/fhirpath.html#functions
"""

from r4.fhirpath.function import Function
from r4.fhirpath.functions import (
    boundaries,
    combining,
    conversion,
    existence,
    fhir,
    filtering,
    math,
    strings,
    subsetting,
    tree,
    utility,
)

FUNCTIONS: dict[str, Function] = (
    existence.FUNCTIONS
    | filtering.FUNCTIONS
    | subsetting.FUNCTIONS
    | combining.FUNCTIONS
    | conversion.FUNCTIONS
    | strings.FUNCTIONS
    | math.FUNCTIONS
    | tree.FUNCTIONS
    | utility.FUNCTIONS
    | boundaries.FUNCTIONS
    | fhir.FUNCTIONS
)
"""Every function but `is`, `as`, `ofType` and `sort`, whose arguments are types and sort keys."""
