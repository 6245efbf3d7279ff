"""Signed parameter files for tests: a key made here, and the fictitious parameters that are carried."""

from collections.abc import Callable
from copy import deepcopy
from datetime import date
from importlib.resources import files
from typing import Any

import outcome_engine
from outcome_engine.parameter_files.parameter_file import Parameters
from outcome_engine.parameter_files.signature import Signatories, Signatory, made_key, sign
from r4.json import Resource, decode, encode

TSS = "https://csor.example/fhir/Measure/treatment-success-score"
NAME = "treatment-success-score.json"
ILLUSTRATIVE = files("outcome_engine") / "parameters" / "illustrative" / NAME
SIGNED_ON = date(2022, 6, 1)
KEY = made_key()
SIGNATORIES = Signatories(
    [Signatory("Test Signatory", "nobody's", KEY, date(2020, 1, 1), date(2030, 12, 31))]
)

Change = Callable[[dict[str, Any]], object]


def measure() -> Resource:
    return outcome_engine.measures()[TSS]


def body(change: Change = lambda _: None) -> dict[str, Any]:
    """Give the fictitious file without a signature, changed."""
    file: dict[str, Any] = deepcopy(decode(ILLUSTRATIVE.read_bytes()))
    change(file)
    return file


def signed(change: Change = lambda _: None) -> dict[str, Any]:
    """Give the fictitious file, changed and then signed."""
    return sign(body(change), KEY, SIGNED_ON)


def parameters(*contents: bytes | dict[str, Any]) -> Parameters:
    """Give the parameters of these files, which the test's signatory may have signed."""
    known = {
        f"{number}-{NAME}": content if isinstance(content, bytes) else encode(content)
        for number, content in enumerate(contents)
    }
    return Parameters(known, SIGNATORIES)
