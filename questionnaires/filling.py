"""Walk a form along a response that is being filled: its questions, in order, that are enabled.

Groups and questions that the response does not hold yet are put into it; what stays empty of these
is taken out again at the end.
https://hl7.org/fhir/uv/sdc/populate.html
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from questionnaires.elements import Item, has_content
from questionnaires.enablement import is_enabled
from questionnaires.expressions import Focus, Scope, of_item
from r4.issue import FhirError, error
from r4.json import Resource

MOST_ITEMS = 5000
"""Most items that are put into a response: groups that repeat in groups may ask for any number."""

Declare = Callable[[Resource | Item, Focus, Scope], Scope]
"""From a form or item, what it stands for and a scope to the scope with its own variables."""

Repetitions = Callable[[Item, Focus, Scope], list[dict[str, Any]]]
"""From a group that is not there yet to the variables of each repetition that it is to have."""

Tell = Callable[[Resource | Item, FhirError], None]
"""What is told that an expression of a form or item failed."""


class Place(NamedTuple):
    """A question where a response stands.

    above: the pairs of a definition and an item that hold it, the outermost first.
    """

    definition: Item
    item: Item
    scope: Scope
    above: tuple[tuple[Item, Item], ...]


_Containers = tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Filling:
    """A response that is being filled; it is changed in place."""

    declare: Declare
    tell: Tell
    repetitions: Repetitions | None = None
    """Without, a group that is not there is put in once, unless it is the author's to repeat it."""
    made: dict[int, Item] = field(default_factory=dict)
    """What was put into the response, by the identity of the item."""
    _bound: dict[int, dict[str, Any]] = field(default_factory=dict)

    def places(self, scope: Scope) -> Iterator[Place]:
        """Yield the enabled questions of the form; what is answered at one counts for the next.

        An expression that says whether an item is enabled, and fails, leaves the item out.
        """
        form, response = scope.questionnaire, scope.response
        top = self.declare(form, Focus(response), scope)
        yield from self._places(form.get("item", []), (response,), top, ())

    def _places(
        self,
        definitions: Sequence[Item],
        containers: _Containers,
        scope: Scope,
        above: tuple[tuple[Item, Item], ...],
    ) -> Iterator[Place]:
        for definition in definitions:
            if definition["type"] == "display" or not self._enabled(definition, containers, scope):
                continue
            for item in self._items(definition, containers[-1], scope):
                inner = self._within(definition, item, scope)
                if definition["type"] != "group":
                    yield Place(definition, item, inner, above)
                lower = (*above, (definition, item))
                for holder in _holders(definition, item):
                    yield from self._places(definition["item"], (*containers, holder), inner, lower)

    def _items(self, definition: Item, container: dict[str, Any], scope: Scope) -> list[Item]:
        held: list[Item] = container.setdefault("item", [])
        if found := [item for item in held if item.get("linkId") == definition["linkId"]]:
            return found
        for bound in self._variables(definition, Focus(container), scope):
            if len(self.made) >= MOST_ITEMS:
                text = f"The form would hold more than {MOST_ITEMS} items: narrow what its groups repeat for"
                raise FhirError(422, [error("too-costly", text, "Questionnaire", "populate")])
            item = {"linkId": definition["linkId"]}
            if "text" in definition:
                item["text"] = definition["text"]
            self.made[id(item)] = item
            self._bound[id(item)] = bound
            found.append(item)
        held += found
        return found

    def _variables(self, definition: Item, focus: Focus, scope: Scope) -> list[dict[str, Any]]:
        """Return the variables of each item that is put in for a definition."""
        if definition["type"] != "group":
            return [{}]
        if self.repetitions is None:
            return [] if definition.get("repeats") else [{}]
        return self.repetitions(definition, focus, scope)

    def tidy(self, scope: Scope) -> None:
        """Put the items into the form's order, and take out what was put in and is empty or disabled."""
        form, response = scope.questionnaire, scope.response
        definitions = form.get("item", [])
        is_settled = False
        while not is_settled:  # an answer that is taken out may rule out others
            top = self.declare(form, Focus(response), scope)
            is_settled = not self._ruled_out(definitions, (response,), top)
        self._tidy(definitions, response)

    def _ruled_out(
        self, definitions: Sequence[Item], containers: _Containers, scope: Scope
    ) -> bool:
        """Take out what was put in and is disabled; tells whether an answer went with it."""
        gone = False
        for definition in definitions:
            held = containers[-1].get("item", [])
            found = [item for item in held if item.get("linkId") == definition["linkId"]]
            if found and not self._enabled(definition, containers, scope):
                out = [item for item in found if id(item) in self.made]
                held[:] = [item for item in held if not any(item is each for each in out)]
                gone = gone or any(map(has_content, out))
                continue
            for item in found:
                inner = self._within(definition, item, scope)
                for holder in _holders(definition, item):
                    lower = (*containers, holder)
                    gone = self._ruled_out(definition["item"], lower, inner) or gone
        return gone

    def _within(self, definition: Item, item: Item, scope: Scope) -> Scope:
        bound = self._bound.get(id(item), {})
        return self.declare(definition, of_item(item), scope.having(**bound, qitem=definition))

    def _enabled(self, definition: Item, containers: _Containers, scope: Scope) -> bool:
        try:
            return is_enabled(definition, containers, scope)
        except FhirError as failed:
            self.tell(definition, failed)
            return False

    def _tidy(self, definitions: Sequence[Item], container: dict[str, Any]) -> None:
        order = {each["linkId"]: at for at, each in enumerate(definitions)}
        by_id = {each["linkId"]: each for each in definitions}
        kept = [item for item in container.get("item", ())
                if id(item) not in self.made or has_content(item)]  # fmt: skip
        kept.sort(key=lambda item: order.get(item.get("linkId", ""), len(order)))
        container.pop("item", None)
        if kept:
            container["item"] = kept
        for item in kept:
            if (definition := by_id.get(item.get("linkId", ""))) is not None:
                for holder in _holders(definition, item):
                    self._tidy(definition["item"], holder)


def _holders(definition: Item, item: Item) -> list[dict[str, Any]]:
    """Return what holds an item's items: a group does itself, a question by its answers."""
    if not definition.get("item"):
        return []
    return [item] if definition["type"] == "group" else list(item.get("answer", ()))
