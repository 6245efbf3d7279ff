"""How far a Group is from whole hospitals: what its summary, beside theirs, would tell of the difference."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence

from outcome_engine.assessment.assess import ChildOutcome
from outcome_engine.reports.groups import STRATA, is_measured
from r4.issue import FhirError, error

_Part = Callable[[ChildOutcome], Hashable]


def _hospital(outcome: ChildOutcome) -> Hashable:
    return outcome.hospital


def _strata(outcome: ChildOutcome) -> Hashable:
    return tuple(stratum(outcome) for stratum in STRATA.values())


def refuse_near(
    members: Sequence[ChildOutcome], everyone: Sequence[ChildOutcome], least: int
) -> None:
    """Raise FhirError 422 where a Group's summary would tell of fewer than so many children.

    everyone are the children of all hospitals, members among them.
    """
    if not _is_far(members, everyone, least, _hospital):
        text = (
            f"A summary of this Group would tell of fewer than {least} children: it has no more, or "
            "differs by no more from what hospitals report. Ask for a larger Group, or for its children's "
            "own reports."
        )
        raise FhirError(422, [error("business-rule", text, "Parameters.parameter('subject')")])


def far_strata(
    codes: Iterable[str],
    members: Sequence[ChildOutcome],
    everyone: Sequence[ChildOutcome],
    least: int,
) -> tuple[str, ...]:
    """Return the stratifiers of whose every stratum the same is true as of the Group."""
    return tuple(code for code in codes if _are_far(code, members, everyone, least, _hospital))


def far_means(
    codes: Iterable[str],
    members: Sequence[ChildOutcome],
    everyone: Sequence[ChildOutcome],
    least: int,
) -> tuple[str, ...]:
    """Return the stratifiers of whose every stratum the mean may leave, empty for that of the whole.

    Means are exact, and hospitals' strata have them: what the Group must be far from are any of these
    taken together, and by the children who are measured.
    """
    inside, whole = ([e for e in each if is_measured(e)] for each in (members, everyone))
    is_whole_far = _is_far(inside, whole, least, _strata)
    far = [code for code in codes if _are_far(code, inside, whole, least, _strata)]
    return ("", *far) if is_whole_far else tuple(far)


def _are_far(
    code: str,
    members: Sequence[ChildOutcome],
    everyone: Sequence[ChildOutcome],
    least: int,
    part: _Part,
) -> bool:
    stratum = STRATA[code]
    return all(
        _is_far(
            [each for each in members if stratum(each) == value],
            [each for each in everyone if stratum(each) == value],
            least,
            part,
        )
        for value in {stratum(each) for each in members}
    )


def _is_far(
    members: Sequence[ChildOutcome], everyone: Sequence[ChildOutcome], least: int, part: _Part
) -> bool:
    """Tell whether members are nobody, or so many away from any parts of everyone together."""
    inside = Counter(map(part, members))
    whole = Counter(map(part, everyone))
    apart = sum(min(count, whole[each] - count) for each, count in inside.items())
    return not members or apart >= least
