"""The extensions of a Bundle entry's request by which a mapping asks the registry for a merge.

What they mean: `fhir_server.interactions.entries`, which reads them; `mappings` writes them.
"""

from terminology.systems import CSOR

MERGE = f"{CSOR}/StructureDefinition/merge"
MERGE_DELETE = f"{CSOR}/StructureDefinition/merge-delete"
MERGE_EVENT = f"{CSOR}/StructureDefinition/merge-event"
MERGE_RECORDED = f"{CSOR}/StructureDefinition/merge-recorded"
MERGE_VISIT = f"{CSOR}/StructureDefinition/merge-visit"
REQUEST_KIND = f"{CSOR}/StructureDefinition/request-kind"
