"""FHIRPath for FHIR R4: read once, compiled to Python closures, cached.

https://hl7.org/fhirpath/N1/, https://hl7.org/fhir/R4/fhirpath.html
"""

from r4.fhirpath.compiled import Compiled, compile, evaluate, is_true
from r4.fhirpath.scope import Environment

__all__ = ["Compiled", "Environment", "compile", "evaluate", "is_true"]
