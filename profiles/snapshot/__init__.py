"""Snapshots of StructureDefinitions: what a differential says, over what its base says.

https://hl7.org/fhir/R4/profiling.html#snapshot, https://hl7.org/fhir/R4/elementdefinition.html
"""

from profiles.snapshot.generate import snapshot

__all__ = ["snapshot"]
