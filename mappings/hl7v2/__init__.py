"""HL7 v2 to FHIR: parse a message, map it to a transaction Bundle, acknowledge it.

The tables (`messages/`, `segments/`, `*.csv`) are the mapping; `apply` runs them. See docs/hl7v2.md.
"""

from mappings.hl7v2.ack import AckCode, ack
from mappings.hl7v2.apply import refuse_unsupported, structures, to_bundle
from mappings.hl7v2.batch import Batch, batch, batch_ack
from mappings.hl7v2.errors import ack_code
from mappings.hl7v2.parse import Header, Leaf, Message, Place, Segment, identity, parse
from mappings.hl7v2.scope import MappingContext, Translator

__all__ = [
    "AckCode",
    "Batch",
    "Header",
    "Leaf",
    "MappingContext",
    "Message",
    "Place",
    "Segment",
    "Translator",
    "ack",
    "ack_code",
    "batch",
    "batch_ack",
    "identity",
    "parse",
    "refuse_unsupported",
    "structures",
    "to_bundle",
]
