"""A child's score in its report: what a measure of scores adds to it."""

from decimal import Decimal
from fractions import Fraction

from outcome_engine.assessment.assess import ChildOutcome, Known
from outcome_engine.assessment.score_found import ScoreFound
from outcome_engine.extensions import EXTENSION
from outcome_engine.parameter_files.treatment_success_form import UNITS
from r4.json import Resource


def score_of(outcome: ChildOutcome) -> list[Resource]:
    """Build the extensions of a child's score and its attributes; none where the measure has none."""
    score = outcome.score
    assumed = {} if score is None else score.assumed
    found = [] if score is None else [_complex("report-score", _found(score))]
    if outcome.parameters is not None:
        found += [_attribute(known, assumed.get(known.id)) for known in outcome.attributes]
    return found


def _found(score: ScoreFound) -> list[Resource]:
    sure, nearest = score.probabilities, score.nearest
    return [
        {"url": "value", "valueDecimal": score.value},
        {"url": "good", "valueBoolean": score.good},
        {"url": "light", "valueCode": score.light},
        *({"url": f"{cut.name}From", "valueDecimal": cut.at} for cut in score.cuts),
        {"url": "nearest", "valueCode": nearest.name},
        {"url": "distance", "valueDecimal": nearest.distance},
        {"url": "draws", "valueInteger": sure.draws},
        {"url": "seed", "valueInteger": sure.seed},
        {"url": "probabilityGood", "valueDecimal": _share(sure.good)},
        {"url": "probabilityRed", "valueDecimal": _share(sure.red)},
        {"url": "probabilityAmber", "valueDecimal": _share(sure.amber)},
        {"url": "probabilityGreen", "valueDecimal": _share(sure.green)},
        {"url": "undefined", "valueDecimal": _share(sure.undefined)},
    ]


def _share(share: Fraction) -> Decimal:
    return Decimal(share.numerator) / Decimal(share.denominator)


def _attribute(known: Known, assumed: Decimal | None) -> Resource:
    parts: list[Resource] = [
        {"url": "id", "valueCode": known.id},
        {"url": "title", "valueString": known.title},
    ]
    if known.value is not None:
        parts.append({"url": "level", "valueDecimal": Decimal(known.value) / UNITS[known.id]})
    if assumed is not None:
        parts.append({"url": "assumed", "valueDecimal": assumed})
    parts.append({"url": "citation", "valueString": known.citation})
    references = [each.reference for each in known.evidence]
    parts += [{"url": "evidence", "valueReference": {"reference": each}} for each in references]
    return _complex("report-attribute", parts)


def _complex(name: str, parts: list[Resource]) -> Resource:
    return {"url": EXTENSION + name, "extension": parts}
