"""Operative notes and parent surveys as SDC forms: assemble, check, extract, narrate, sign, submit.

https://hl7.org/fhir/uv/sdc/ (4.0)
"""

from questionnaires.amendment import addendum, correct
from questionnaires.assembly import assemble
from questionnaires.carry_over import carry_over
from questionnaires.catalogue import artefacts, forms, forms_with, module
from questionnaires.checking import check
from questionnaires.extraction import Extracted, extract, extracted
from questionnaires.prose import narrative
from questionnaires.signing import sign, submit

__all__ = [
    "Extracted",
    "addendum",
    "artefacts",
    "assemble",
    "carry_over",
    "check",
    "correct",
    "extract",
    "extracted",
    "forms",
    "forms_with",
    "module",
    "narrative",
    "sign",
    "submit",
]
