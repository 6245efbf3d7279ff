"""The notes' examples and what they yield.

`python -m tests.questionnaires.goldens` writes each `<case>.extract.json` from `<case>.response.json`.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from questionnaires import extract
from questionnaires.reference import notes
from r4.json import Resource, decode, encode
from tests.questionnaires.support import EXAMPLES, ids


def responses() -> Iterator[Path]:
    """Yield the file of each example response to an operative note."""
    for id in notes():
        yield from sorted((EXAMPLES / id).glob("*.response.json"))


def golden(path: Path) -> Path:
    """Return where the extraction of an example stands."""
    return path.with_name(path.name.replace(".response.", ".extract."))


def extraction(response: Resource) -> Resource:
    """Return what a response yields, with ids in order."""
    id = response["questionnaire"].partition("|")[0].rpartition("/")[2]
    return decode(encode(extract(notes()[id], response, new_id=ids())))


if __name__ == "__main__":
    for path in responses():
        made = json.loads(encode(extraction(decode(path.read_bytes()))))
        golden(path).write_text(
            json.dumps(made, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
