"""FHIR JSON to Python and back, decimals kept exactly.

https://hl7.org/fhir/R4/json.html
"""

from decimal import Decimal
from typing import Any

import msgspec

Resource = dict[str, Any]
"""A resource in memory is its JSON: dicts, lists, str, bool, int and Decimal."""

_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")


def decode(text: bytes | str) -> Any:
    """Parse JSON text; a number with a fraction or an exponent becomes a Decimal, digits kept.

    Raises ValueError when the text is not JSON, saying where.
    """
    return _decoder.decode(text)


def encode(value: Any) -> bytes:
    """Write a value as compact UTF-8 JSON; a Decimal is written with the digits it was read with."""
    return _encoder.encode(value)


def pretty(value: Any) -> bytes:
    """Write a value as indented UTF-8 JSON, for people."""
    return msgspec.json.format(encode(value), indent=2)
