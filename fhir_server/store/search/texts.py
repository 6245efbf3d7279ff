r"""Search values as text: separators, and the backslash that makes them ordinary.

https://hl7.org/fhir/R4/search.html#escaping
"""

import re


def split(text: str, separator: str) -> list[str]:
    """Split at a separator that no backslash escapes; the parts keep their escapes."""
    if "\\" not in text:
        return text.split(separator)
    parts = [""]
    for each in re.findall(r"\\.|.", text, re.DOTALL):
        if each == separator:
            parts.append("")
        else:
            parts[-1] += each
    return parts


def unescape(text: str) -> str:
    r"""Undo the escapes of a search value: `\,` `\|` `\$` and `\\`."""
    return re.sub(r"\\([,|$\\])", r"\1", text) if "\\" in text else text


def escape(text: str) -> str:
    r"""Escape what separates values: `,` `|` `$` and the backslash itself."""
    return re.sub(r"([,|$\\])", r"\\\1", text)
