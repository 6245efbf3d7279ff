"""Operative notes and parent surveys as SDC forms: check, extract, narrate, sign, submit.

https://hl7.org/fhir/uv/sdc/ (4.0)
"""

from questionnaires.catalogue import forms
from questionnaires.checking import check
from questionnaires.extraction import extract
from questionnaires.prose import narrative
from questionnaires.signing import sign, submit

__all__ = ["check", "extract", "forms", "narrative", "sign", "submit"]
