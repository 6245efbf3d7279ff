"""The terminology operations at the HTTP door; each of them with GET and POST, but $closure.

https://hl7.org/fhir/R4/terminology-service.html
"""

from fhir_server.context import Context
from fhir_server.operations import closure as closure_operation
from fhir_server.operations import expand as expand_operation
from fhir_server.operations import lookup as lookup_operation
from fhir_server.operations import parameters, validate_code
from fhir_server.operations import subsumes as subsumes_operation
from fhir_server.operations import translate as translate_operation
from fhir_server.operations.parameters import Input, Kinds
from fhir_server.rest.answers import Answer, Asked
from r4.json import encode


async def validate_in_system(context: Context, asked: Asked) -> Answer:
    """CodeSystem/$validate-code and CodeSystem/[id]/$validate-code."""
    given = _given(asked, validate_code.OF_SYSTEM)
    return Answer(encode(validate_code.in_code_system(context, given, _id(asked))))


async def validate_in_set(context: Context, asked: Asked) -> Answer:
    """ValueSet/$validate-code and ValueSet/[id]/$validate-code."""
    given = _given(asked, validate_code.OF_SET)
    return Answer(encode(validate_code.in_value_set(context, given, _id(asked))))


async def expand(context: Context, asked: Asked) -> Answer:
    """ValueSet/$expand and ValueSet/[id]/$expand."""
    given = _given(asked, expand_operation.NAMES, expand_operation.REPEATS)
    return Answer(encode(expand_operation.expand(context, given, _id(asked))))


async def lookup(context: Context, asked: Asked) -> Answer:
    """CodeSystem/$lookup."""
    given = _given(asked, lookup_operation.NAMES, lookup_operation.REPEATS)
    return Answer(encode(lookup_operation.lookup(context, given)))


async def subsumes(context: Context, asked: Asked) -> Answer:
    """CodeSystem/$subsumes and CodeSystem/[id]/$subsumes."""
    given = _given(asked, subsumes_operation.NAMES)
    return Answer(encode(subsumes_operation.subsumes(context, given, _id(asked))))


async def translate(context: Context, asked: Asked) -> Answer:
    """ConceptMap/$translate and ConceptMap/[id]/$translate."""
    given = _given(asked, translate_operation.NAMES)
    return Answer(encode(translate_operation.translate(context, given, _id(asked))))


async def closure(context: Context, asked: Asked) -> Answer:
    """POST $closure."""
    given = _given(asked, closure_operation.NAMES, closure_operation.REPEATS)
    return Answer(encode(await closure_operation.closure(context, given)))


def _given(asked: Asked, kinds: Kinds, repeats: tuple[str, ...] = ()) -> Input:
    body = asked.resource() if asked.raw else None
    return parameters.given(asked.pairs, body, kinds, repeats)


def _id(asked: Asked) -> str | None:
    return asked.parameters.get("id")
