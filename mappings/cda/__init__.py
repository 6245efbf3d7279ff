"""CDA operative notes to FHIR: read the document, map it to a transaction Bundle, keep the original.

Header and sections follow C-CDA's Operative Note; `sections.csv` says what each becomes. See docs/cda.md.
http://hl7.org/cda/us/ccda/StructureDefinition/OperativeNote
"""

from mappings.cda.bundle import MEDIA_TYPE, to_bundle
from mappings.cda.document import Note, read

__all__ = ["MEDIA_TYPE", "Note", "read", "to_bundle"]
