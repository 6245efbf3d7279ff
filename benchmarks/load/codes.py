"""Codes to be checked by `$validate-code`, each with the answer that is right.

What any R4 server holds; and, of a server that is started here, this project's own value sets and a
synthetic release of SNOMED CT's shape, in which every concept is fictitious.
"""

import asyncio
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from benchmarks import snomed_shaped
from benchmarks.load.driving import Make, Right
from benchmarks.load.serving import ROOT
from benchmarks.load.wire import Connection, Peer

CHECK_GET, CHECK_POST = "$validate-code, GET", "$validate-code, POST"
CONNECTIONS = 32
CONCEPTS = 30_000
"""More concepts than the server remembers of a release: most are asked of the database."""
SNOMED = "http://snomed.info/sct"
_R4 = "http://hl7.org/fhir"
_V3 = "http://terminology.hl7.org/CodeSystem/v3-AdministrativeGender"
_OWN = "https://csor.example/fhir"
_ADMISSION = "https://fhir.hl7.org.uk/CodeSystem/UKCore-AdmissionMethodEngland"


class Question(NamedTuple):
    """A code that is asked for, in a code system or (`value_set`) in a value set; result: the answer."""

    value_set: str | None
    system: str
    code: str
    result: bool
    display: str | None = None


ANYWHERE = (
    Question(None, f"{_R4}/observation-status", "final", True),
    Question(None, f"{_R4}/observation-status", "final", True, "Final"),
    Question(None, f"{_R4}/observation-status", "final", False, "Finished"),
    Question(None, f"{_R4}/observation-status", "finished", False),
    Question(f"{_R4}/ValueSet/observation-status", f"{_R4}/observation-status", "amended", True),
    Question(f"{_R4}/ValueSet/observation-status", f"{_R4}/observation-status", "done", False),
    Question(
        f"{_R4}/ValueSet/administrative-gender", f"{_R4}/administrative-gender", "female", True,
        "Female",
    ),
    Question(f"{_R4}/ValueSet/administrative-gender", _V3, "F", False),
)  # fmt: skip
"""What every server that holds R4's own value sets answers."""
_OURS = (
    Question(f"{_OWN}/ValueSet/birth-sex", _V3, "F", True),
    Question(f"{_OWN}/ValueSet/birth-sex", _V3, "X", False),
    Question(f"{_OWN}/ValueSet/admission-method", _ADMISSION, "21", True),
    Question(f"{_OWN}/ValueSet/admission-method", _ADMISSION, "20", False),
    Question(f"{_OWN}/ValueSet/registry-condition", f"{_OWN}/CodeSystem/condition", "none", False),
    Question(None, f"{_OWN}/CodeSystem/condition", "none", False),
)


def of_release(shape: snomed_shaped.Shape) -> Iterator[Question]:
    """Yield questions about each concept but the first, in turn of another form."""
    above: list[set[int]] = []
    for place, parents in enumerate(shape.parents):
        above.append({place}.union(*(above[parent] for parent in parents)))
        code, term = shape.codes[place], snomed_shaped.term(place)
        ancestor = max(parents, default=place)
        stranger = next(each for each in range(1, place + 2) if each not in above[place])
        yield from (
            (
                Question(None, SNOMED, code, True),
                Question(None, SNOMED, code, True, term),
                Question(None, SNOMED, code, False, f"{term} (another)"),
                Question(None, SNOMED, f"{code}0", False),
                Question(_below(shape.codes[ancestor]), SNOMED, code, True),
                Question(_below(shape.codes[stranger]), SNOMED, code, False)
                if stranger <= place
                else Question(None, SNOMED, code, True),
            )[place % 6],
        )


def _below(code: str) -> str:
    return f"{SNOMED}?fhir_vs=isa/{code}"


def questions(shape: snomed_shaped.Shape | None) -> list[Question]:
    """Return the questions of a load, mixed; without a release, what any server answers.

    Half are about the release, a quarter each about R4's and this project's own.
    """
    if shape is None:
        return list(ANYWHERE)
    listed = list(of_release(shape))
    random.Random(5).shuffle(listed)
    others = itertools.cycle((*ANYWHERE, *_OURS))
    return [each for asked in listed for each in (asked, next(others))]


def load(peer: Peer, asked: list[Question], *, post: bool) -> tuple[Make, Right]:
    """Return a load and its check; made beforehand, so that making is not measured."""
    requests = [(_post if post else _get)(peer, each) for each in asked]
    answers = [each.result for each in asked]
    many = len(asked)

    def right(turn: int, body: bytes) -> bool:
        return is_right(body, result=answers[turn % many])

    return (lambda turn: requests[turn % many]), right


def is_right(body: bytes, *, result: bool) -> bool:
    """Tell whether an answer says so."""
    said = body.partition(b'"valueBoolean"')[2][:8]
    return (b"true" if result else b"false") in said


def _get(peer: Peer, asked: Question) -> bytes:
    pairs = {"code": asked.code}
    if asked.value_set is None:
        pairs["url"] = asked.system
    else:
        pairs |= {"url": asked.value_set, "system": asked.system}
    if asked.display is not None:
        pairs["display"] = asked.display
    query = "&".join(f"{name}={quote(value, '')}" for name, value in pairs.items())
    return peer.get(f"/{_kind(asked)}/$validate-code?{query}")


def _post(peer: Peer, asked: Question) -> bytes:
    coding = {"system": asked.system, "code": asked.code}
    if asked.display is not None:
        coding["display"] = asked.display
    url = asked.system if asked.value_set is None else asked.value_set
    said = [{"name": "url", "valueUri": url}, {"name": "coding", "valueCoding": coding}]
    body = json.dumps({"resourceType": "Parameters", "parameter": said})
    return peer.post(f"/{_kind(asked)}/$validate-code", body.encode())


def _kind(asked: Question) -> str:
    return "CodeSystem" if asked.value_set is None else "ValueSet"


def loaded(database: str, concepts: int = CONCEPTS) -> snomed_shaped.Shape:
    """Load a synthetic release beside the server that serves a database; returns what it holds."""
    with tempfile.TemporaryDirectory() as folder:
        shape = snomed_shaped.write(Path(folder), concepts)
        command = [sys.executable, "-m", "fhir_server", "load-terminology", "snomed", folder]
        command += ["--version", snomed_shaped.MODULE]
        environment = {**os.environ, "CSOR_DATABASE": database}
        subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    return shape


async def seen(peer: Peer, shape: snomed_shaped.Shape) -> None:
    """Wait until the server answers by a release; raises SystemExit where that takes too long."""
    connection = await Connection.to(peer)
    request = _get(peer, Question(None, SNOMED, shape.codes[1], True))
    for _ in range(600):
        answer = await connection.exchange(request)
        if answer.status == 200 and is_right(answer.body, result=True):
            connection.close()
            return
        await asyncio.sleep(0.1)
    raise SystemExit("the release that was loaded is not answered by")
