"""FHIR XML to our JSON dicts and back, nothing lost: decimals, ids, extensions, narratives.

https://hl7.org/fhir/R4/xml.html, https://hl7.org/fhir/R4/json.html
"""

from r4.xml.reader import decode
from r4.xml.writer import encode

__all__ = ["decode", "encode"]
