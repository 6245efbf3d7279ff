"""HL7 v2 to FHIR: parse a message, map it to a transaction Bundle, acknowledge it.

The tables (`messages/`, `segments/`, `*.csv`) are the mapping; `apply` runs them. See docs/hl7v2.md.
"""

from mappings.hl7v2.accounting import Ignored
from mappings.hl7v2.ack import AckCode, ack
from mappings.hl7v2.apply import own, refuse_unsupported, structures, to_bundle
from mappings.hl7v2.batch import Batch, batch, batch_ack
from mappings.hl7v2.errors import ack_code
from mappings.hl7v2.explain import Conversion, Written, explain
from mappings.hl7v2.origin import Origin, origin
from mappings.hl7v2.parse import Header, Leaf, Message, Place, Segment, identity, parse
from mappings.hl7v2.scope import Engine, MappingContext
from mappings.hl7v2.sites import Translator
from mappings.hl7v2.told import tells_who, told

__all__ = [
    "AckCode",
    "Batch",
    "Conversion",
    "Engine",
    "Header",
    "Ignored",
    "Leaf",
    "MappingContext",
    "Message",
    "Origin",
    "Place",
    "Segment",
    "Translator",
    "Written",
    "ack",
    "ack_code",
    "batch",
    "batch_ack",
    "explain",
    "identity",
    "origin",
    "own",
    "parse",
    "refuse_unsupported",
    "structures",
    "tells_who",
    "to_bundle",
    "told",
]
