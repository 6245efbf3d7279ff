"""HL7 v2 over TCP: frames on plain and TLS connections, each message answered in its turn.

HL7 MLLP release 1: `0B message 1C 0D`. What a message means is not known here.
"""

from fhir_server.mllp.framing import Counts, Deframer, Frame
from fhir_server.mllp.listener import MEBIBYTE, Handle, Limits, Server, serve
from fhir_server.mllp.tls import Files, context, renew

__all__ = [
    "MEBIBYTE",
    "Counts",
    "Deframer",
    "Files",
    "Frame",
    "Handle",
    "Limits",
    "Server",
    "context",
    "renew",
    "serve",
]
