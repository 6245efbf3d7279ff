"""From a request to an operation, and from its result to an answer.

https://hl7.org/fhir/R4/operations.html
"""

import asyncio

from fhir_server.context import Context
from fhir_server.operations import care_gaps as care_gaps_operation
from fhir_server.operations import collect_data as collect_data_operation
from fhir_server.operations import data_requirements as data_requirements_operation
from fhir_server.operations import evaluate as evaluate_operation
from fhir_server.operations import evaluation_asked, fhir_message, parameters
from fhir_server.operations import extract as extract_operation
from fhir_server.operations import grade as grade_operation
from fhir_server.operations import lastn as lastn_operation
from fhir_server.operations import process_response as process_response_operation
from fhir_server.operations import sign as sign_operation
from fhir_server.operations import stats as stats_operation
from fhir_server.operations import validate as validate_operation
from fhir_server.operations.evaluation_job import accept_evaluation
from fhir_server.rest import bulk, negotiate
from fhir_server.rest.answers import Answer, Asked
from fhir_server.rest.keeping import write
from r4.issue import FhirError, error, operation_outcome
from r4.json import encode
from r4.positions import placed

LONG = 32_768
"""Bytes of a body that takes some milliseconds to validate; a longer one keeps nobody waiting."""


async def validate(context: Context, asked: Asked) -> Answer:
    """POST $validate, on the base, a type or an instance, and GET on an instance.

    What may take long is done in a thread, one at a time, and others are answered meanwhile.
    """
    if 0 < len(asked.raw) <= LONG:
        return _validated(context, asked)
    async with context.validating:
        return await asyncio.to_thread(_validated, context, asked)


def _validated(context: Context, asked: Asked) -> Answer:
    body = asked.resource() if asked.raw else None
    given = validate_operation.asked(body, asked.pairs)
    place = validate_operation.Place(
        asked.type if "type" in asked.parameters else None,
        asked.parameters.get("id"),
        asked.header("if-match"),
        asked.header("if-none-exist"),
    )
    issues = validate_operation.validate(context, place, given)
    if given.resource is not None:
        is_xml = "xml" in negotiate.content_type(asked.request)
        issues = placed(asked.raw, is_xml, issues, inside=given.inside)
    return Answer(encode(operation_outcome(issues)))


async def extract(context: Context, asked: Asked) -> Answer:
    """POST QuestionnaireResponse/$extract."""
    given = parameters.of_resource(asked.resource(), extract_operation.NAMES, "response")
    return Answer(encode(extract_operation.extract(context, given)))


async def sign(context: Context, asked: Asked) -> Answer:
    """POST QuestionnaireResponse/$sign."""
    given = parameters.of_resource(asked.resource(), sign_operation.NAMES)
    return Answer(encode(await sign_operation.sign(context, given)))


async def process_response(context: Context, asked: Asked) -> Answer:
    """POST QuestionnaireResponse/$process-response."""
    names = process_response_operation.NAMES
    given = parameters.of_resource(asked.resource(), names, "response")
    response = parameters.one_of(given, "response", "questionnaire-response")
    stored = await process_response_operation.process_response(context, response)
    return Answer(encode(stored))


async def process_message(context: Context, asked: Asked) -> Answer:
    """POST $process-message, with the message as the body."""
    given = parameters.of_query(asked.pairs, _IN_THE_URL)
    given |= parameters.of_resource(asked.resource(), fhir_message.NAMES, "content")
    target = write(asked.request, asked.raw).target
    answered = await fhir_message.process_message(context, given, asked.raw, target)
    return Answer(answered.content, settles=answered.is_stored)


_IN_THE_URL = {name: kind for name, kind in fhir_message.NAMES.items() if name != "content"}


async def evaluate(context: Context, asked: Asked) -> Answer:
    """GET or POST Measure/$evaluate, at once or later; only a POST stores the reports."""
    given = _evaluation(asked)
    keep = asked.method == "POST"
    if bulk.prefers_later(asked):
        url = f"{context.base_url}/Measure/$evaluate" + (f"?{asked.query}" if asked.query else "")
        return bulk.accepted(context, await accept_evaluation(context, given, url, keep=keep))
    if kind := negotiate.table(asked.request):
        made = await evaluate_operation.table(context, given, kind)
        return Answer(made, headers=_NAMED[kind], media_type=_TYPED[kind])
    return Answer(encode(await evaluate_operation.evaluate(context, given, keep=keep)))


_TYPED = {"text/csv": "text/csv; charset=utf-8; header=present"}
_PARQUET = "application/vnd.apache.parquet"
_TYPED[_PARQUET] = _PARQUET
_NAMED = {
    kind: {"Content-Disposition": f'attachment; filename="outcomes.{suffix}"'}
    for kind, suffix in (("text/csv", "csv"), (_PARQUET, "parquet"))
}


async def evaluate_measure(context: Context, asked: Asked) -> Answer:
    """GET or POST Measure/[id]/$evaluate-measure; only a POST stores the report."""
    given = _evaluation(asked)
    if "id" in asked.parameters:
        given["measureId"] = asked.id
    keep = asked.method == "POST"
    return Answer(encode(await evaluate_operation.evaluate_measure(context, given, keep=keep)))


async def lastn(context: Context, asked: Asked) -> Answer:
    """GET Observation/$lastn."""
    return Answer(lastn_operation.lastn(context, asked.pairs))


async def grade(context: Context, asked: Asked) -> Answer:
    """GET or POST Observation/[id]/$grade."""
    body = asked.resource() if asked.raw else None
    given = parameters.given(asked.pairs, body, grade_operation.NAMES)
    return Answer(encode(grade_operation.grade(context, given, asked.id)))


async def stats(context: Context, asked: Asked) -> Answer:
    """GET or POST Observation/$stats."""
    given = stats_operation.of_query(asked.pairs)
    if asked.raw:
        given += stats_operation.of_resource(asked.resource())
    return Answer(encode(stats_operation.stats(context, given)))


async def collect_data(context: Context, asked: Asked) -> Answer:
    """GET or POST Measure/$collect-data."""
    given = _evaluation(asked, collect_data_operation.NAMES)
    return Answer(encode(await collect_data_operation.collect_data(context, given)))


async def care_gaps(context: Context, asked: Asked) -> Answer:
    """GET or POST Measure/$care-gaps, at once; raises FhirError 400 for `Prefer: respond-async`."""
    given = _evaluation(asked, care_gaps_operation.NAMES)
    if bulk.prefers_later(asked):
        text = (
            "$care-gaps is answered at once: leave out Prefer: respond-async, and name a provider."
        )
        raise FhirError(400, [error("not-supported", text, "http.prefer")])
    return Answer(encode(await care_gaps_operation.care_gaps(context, given)))


async def data_requirements(_context: Context, asked: Asked) -> Answer:
    """GET or POST Measure/$data-requirements and Measure/[id]/$data-requirements."""
    given = _evaluation(asked, data_requirements_operation.NAMES)
    if "id" in asked.parameters:
        given["measureId"] = asked.id
    return Answer(encode(data_requirements_operation.data_requirements(given)))


def _evaluation(asked: Asked, names: parameters.Kinds = evaluation_asked.NAMES) -> parameters.Input:
    body = asked.resource() if asked.raw else None
    return evaluation_asked.given(asked.pairs, body, names)
