"""A message as the conditions of HL7's tables see it, from one row."""

from collections.abc import Sequence

from mappings.hl7v2.parse import Repetition
from mappings.hl7v2.scope import Here


class RowSource:
    """What a condition or an assignment can ask: a Source, as `mappings.hl7v2.conditions` has it.

    `here` is where the row runs; `value` the repetition at hand and `datatype` its type, in a datatype
    map alone.
    """

    __slots__ = ("datatype", "here", "value")

    def __init__(self, here: Here, datatype: str = "", value: Repetition | None = None) -> None:
        self.here = here
        self.datatype = datatype
        self.value = value

    def values(self, name: str, numbers: tuple[int, ...]) -> Sequence[str]:
        """List a part's value in each repetition, as a Source does.

        A segment without numbers has its name for a value, where the message has the segment.
        """
        if self.value is not None and name in ("", self.datatype):
            return [_part(self.value, numbers)]
        if not name:
            return self.values(self.here.segment.name, (self.here.field,))
        segment = self.here.find(name)
        if segment is None:
            return []
        if not numbers:
            return [segment.name]
        field, *rest = numbers
        return [_part(one, tuple(rest)) for one in segment.field(field).repetitions]


def _part(value: Repetition, numbers: tuple[int, ...]) -> str:
    if not numbers:
        return value.text
    component, *rest = numbers
    return value.subcomponent(component, rest[0]) if rest else value.component(component)
