"""What OBX-5 holds of a document: embedded (ED) or elsewhere (RP), as an Attachment.

HL7 v2.4 §2.9.16 (ED) and §2.9.35 (RP); https://hl7.org/fhir/R4/datatypes.html#Attachment.
"""

import base64
import binascii
import hashlib
import re

from mappings.hl7v2.errors import DATA_TYPE, REQUIRED, TOO_LONG
from mappings.hl7v2.parse import Repetition
from mappings.hl7v2.scope import Here
from r4.json import Resource

LARGEST = 16 * 1024 * 1024
"""Most bytes that one part of a document may have; as base64 a third more."""

_MEDIA_TYPE = re.compile(
    r"(?:application|audio|image|message|model|multipart|text|video)/[a-z0-9.+-]+\Z", re.ASCII
)
_UNKNOWN = "application/octet-stream"
"""FHIR demands a media type of data (its constraint att-1), whether the sender names one or not."""
_URL = re.compile(r"(?:https?|ftps?|urn):\S+\Z")


def attachment(value: Repetition, kind: str, here: Here) -> Resource | None:
    """Return the Attachment of a repetition of OBX-5 whose type, OBX-2, is ED or RP.

    ED: type, subtype, encoding (Base64 where none is named, Hex or A) and data. RP: an absolute URL,
    which is not fetched, type and subtype. What cannot be read is reported where `here` points.
    """
    if kind == "RP":
        return _pointer(value, here)
    data = _decoded(value, here)
    return None if data is None else inline(data, _media_type(value, 2, here), here)


def inline(data: bytes, media_type: str, here: Here) -> Resource | None:
    """Return an Attachment that holds these bytes, with their size and hash; report too many."""
    if len(data) > LARGEST:
        text = f"This part of the document has {len(data)} bytes; at most {LARGEST} are taken."
        here.fail(TOO_LONG, text)
        return None
    digest = hashlib.sha1(data, usedforsecurity=False).digest()
    return {
        "contentType": media_type,
        "data": base64.b64encode(data).decode(),
        "size": len(data),
        "hash": base64.b64encode(digest).decode(),
    }


def miss(here: Here) -> None:
    """Report that OBX-5 holds no content."""
    here.fail(REQUIRED, "OBX-5, the content of the document, is missing.")


def _decoded(value: Repetition, here: Here) -> bytes | None:
    # senders of PDF leave the encoding out: what they send is Base64
    encoding, text = value.component(4).upper() or "BASE64", value.component(5)
    try:
        if encoding == "BASE64":
            found = base64.b64decode("".join(text.split()), validate=True)
        elif encoding == "HEX":
            found = bytes.fromhex(text)
        elif encoding == "A":
            found = text.encode()
        else:
            text = f"OBX-5.4 `{value.component(4)}` is no encoding; send Base64, Hex or A."
            here.fail(DATA_TYPE, text)
            return None
    except (binascii.Error, ValueError):
        text = f"OBX-5.5 is not {encoding.capitalize()}, by OBX-5.4 (Base64 where that is empty)."
        here.fail(DATA_TYPE, text)
        return None
    if not found:
        miss(here)
    return found or None


def _pointer(value: Repetition, here: Here) -> Resource | None:
    url = value.component(1)
    if not _URL.match(url):
        here.fail(DATA_TYPE, "OBX-5.1, where the document is, must be an absolute URL.")
        return None
    return {"contentType": _media_type(value, 3, here), "url": url}


def _media_type(value: Repetition, first: int, here: Here) -> str:
    """Return the media type: as it stands, by a word for it, or as sent in two parts (image, webp)."""
    main, sub = value.component(first), value.component(first + 1)
    for text in (sub.lower(), main.lower()):
        if _MEDIA_TYPE.match(text):
            return text
    sent = f"{main}/{sub}".lower()
    return _word(sub, here) or (_MEDIA_TYPE.match(sent) and sent) or _word(main, here) or _UNKNOWN


def _word(text: str, here: Here) -> str | None:
    known = here.translate("MediaType", text.upper()) if text else None
    return str(known["code"]) if known else None
