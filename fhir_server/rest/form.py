"""A form as a browser or an OAuth client sends it: its pairs, within bounds.

https://url.spec.whatwg.org/#application/x-www-form-urlencoded
"""

from urllib.parse import parse_qsl

from starlette.requests import Request

from r4.issue import FhirError, error

_KIND = "application/x-www-form-urlencoded"
_LARGEST = 64 * 1024
_MOST_FIELDS = 20


async def form(request: Request) -> list[tuple[str, str]]:
    """Read a form; raises FhirError 413 for a large one, 400 for another body."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    raw = bytearray()
    async for piece in request.stream():
        raw += piece
        if len(raw) > _LARGEST:
            raise _refused(f"The form is larger than {_LARGEST} bytes.", "too-long", 413)
    if kind != _KIND:
        raise _refused(f"Send a form: Content-Type {_KIND}.")
    try:
        return parse_qsl(raw.decode("utf-8"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise _refused("The form cannot be read.") from None


def _refused(text: str, code: str = "structure", status: int = 400) -> FhirError:
    return FhirError(status, [error(code, text, "http.body")])
