"""Dates compared in SQL as FHIRPath compares them: as far as both are known, moments by their zone.

https://hl7.org/fhirpath/N1/#comparison
"""

from outcome_engine.views.sql import name

_FULL = len("2018-01-31")
_FORM = "'%Y-%m-%dT%H:%M:%S.%f'"


def compared_dates(operator: str, one: str, other: str) -> str:
    """Write a comparison of two dates as recorded: NULL where what is known of them does not tell."""
    pair = name()
    left, right = f"{pair}.a", f"{pair}.b"
    known = f"least(len({left}), len({right}))"
    prefixes = f"left({left}, {known}) {{}} left({right}, {known})"
    decided = (
        f"CASE WHEN {prefixes.format('<>')} THEN {prefixes.format(operator)} "
        f"WHEN len({left}) = len({right}) THEN {left} {operator} {right} END"
    )
    both = f"{{'a': {_in_utc(one)}, 'b': {_in_utc(other)}}}"
    return f"list_transform([{both}], lambda {pair}: {decided})[1]"


def compared_times(operator: str, one: str, other: str) -> str:
    """Write a comparison of two times of day."""
    return f"(CAST({one} AS TIME) {operator} CAST({other} AS TIME))"


def _in_utc(text: str) -> str:
    moment = f"make_timestamp(epoch_us(CAST({text} AS TIMESTAMPTZ)))"
    return f"CASE WHEN len({text}) > {_FULL} THEN strftime({moment}, {_FORM}) ELSE {text} END"
