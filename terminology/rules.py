"""Some of the codes of a code system, said by a rule and not by a list: for systems too large to list.

A rule tells of one code whether it is among them, and can list them all.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from terminology.loaded import LoadedSystem

_PAGE = 5000


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """Whether a code is among them; and all of them, each once.

    is_listed: listing them does not take looking at every code of the system.
    """

    system: LoadedSystem
    holds: Callable[[str], bool]
    codes: Callable[[], Iterable[str]]
    is_listed: bool = False

    def is_lacking(self, code: str) -> bool:
        """Tell whether a code may exist although the system, which is not held in full, has it not."""
        return not self.system.is_complete and self.system.concept(code) is None


def every(system: LoadedSystem) -> Rule:
    """Take every code; of those that are not active, none is listed."""
    return Rule(system, lambda code: system.concept(code) is not None, lambda: _all(system))


def _all(system: LoadedSystem) -> Iterator[str]:
    offset = 0
    while True:
        page, _ = system.search("", None, None, offset, _PAGE)
        yield from (concept.code for concept in page)
        if len(page) < _PAGE:
            return
        offset += _PAGE


def those(system: LoadedSystem, accepts: Callable[[str], bool]) -> Rule:
    """Take the codes that a test accepts."""

    def holds(code: str) -> bool:
        return system.concept(code) is not None and accepts(code)

    return Rule(system, holds, lambda: filter(accepts, _all(system)))


def some(system: LoadedSystem, codes: Iterable[str]) -> Rule:
    """Take the codes that are named, as far as there are such codes."""
    named = dict.fromkeys(codes)

    def is_one(code: str) -> bool:
        return code in named and system.concept(code) is not None

    return Rule(system, is_one, lambda: filter(is_one, named), is_listed=True)


def members(system: LoadedSystem, refset: str) -> Rule:
    """Take the codes of a reference set."""
    return Rule(
        system,
        lambda code: system.is_member(refset, code),
        lambda: system.members(refset),
        is_listed=True,
    )


def below(system: LoadedSystem, code: str) -> Rule:
    """Take the codes below a code."""
    return Rule(
        system,
        lambda each: each != code and system.subsumes(code, each),
        lambda: system.descendants(code),
        is_listed=True,
    )


def above(system: LoadedSystem, code: str) -> Rule:
    """Take the codes above a code."""
    return Rule(
        system,
        lambda each: each != code and system.subsumes(each, code),
        lambda: system.ancestors(code),
        is_listed=True,
    )


def children(system: LoadedSystem, code: str) -> Rule:
    """Take the codes directly below a code."""

    def is_child(each: str) -> bool:
        return is_parent(system, code, each)

    return Rule(
        system, is_child, lambda: filter(is_child, system.descendants(code)), is_listed=True
    )


def parents(system: LoadedSystem, code: str) -> Rule:
    """Take the codes directly above a code."""

    def is_above(each: str) -> bool:
        return is_parent(system, each, code)

    return Rule(system, is_above, lambda: filter(is_above, system.ancestors(code)), is_listed=True)


def is_parent(system: LoadedSystem, parent: str, child: str) -> bool:
    """Tell whether a code is above another with none between them."""
    if parent == child or not system.subsumes(parent, child):
        return False
    return not any(
        each != parent and system.subsumes(parent, each) for each in system.ancestors(child)
    )


def either(rules: Sequence[Rule]) -> Rule:
    """Take what any of some rules takes; there is at least one."""
    if len(rules) == 1:
        return rules[0]

    def listed() -> Iterable[str]:
        return dict.fromkeys(chain.from_iterable(rule.codes() for rule in rules))

    return Rule(
        rules[0].system,
        lambda code: any(rule.holds(code) for rule in rules),
        listed,
        is_listed=all(rule.is_listed for rule in rules),
    )


def both(left: Rule, right: Rule) -> Rule:
    """Take what two rules take."""
    first, second = (right, left) if right.is_listed and not left.is_listed else (left, right)
    return Rule(
        left.system,
        lambda code: left.holds(code) and right.holds(code),
        lambda: filter(second.holds, first.codes()),
        is_listed=first.is_listed,
    )


def without(left: Rule, refuses: Callable[[str], bool]) -> Rule:
    """Take what a rule takes and a test does not refuse."""

    def accepts(code: str) -> bool:
        return not refuses(code)

    return Rule(
        left.system,
        lambda code: left.holds(code) and accepts(code),
        lambda: filter(accepts, left.codes()),
        is_listed=left.is_listed,
    )
