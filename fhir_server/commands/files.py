"""Files that an operator names."""

from pathlib import Path

from r4.json import Resource, decode


def json_object(file: Path) -> Resource:
    """Return the JSON object of a file; raises OSError or ValueError where there is none."""
    found = decode(file.read_bytes())
    if not isinstance(found, dict):
        raise ValueError(f"{file} is no JSON object.")  # noqa: TRY004 - what the operator is told
    return found
