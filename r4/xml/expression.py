"""Where an element of FHIR's XML is, as FHIRPath: `Patient.contact[1].name`.

https://hl7.org/fhir/R4/operationoutcome-definitions.html#OperationOutcome.issue.expression
"""

from typing import Any

from r4.xml.shapes import Shape, Slot, resource_shape, shape, types_by_tag


def local(element: Any) -> str:
    """Return an element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def expression(element: Any) -> str | None:
    """Return the FHIRPath of an element, or of the nearest around it that FHIRPath can name."""
    chain = [element, *element.iterancestors()]
    root = chain.pop()
    steps = [local(root)] if _is_identifier(root) else []
    its_shape = _resource(root)
    for each in reversed(chain):
        slot = its_shape.by_tag.get(each.tag) if its_shape else None
        if slot is not None:
            steps.append(_step(each, slot))
            its_shape = shape(slot.address) if slot.kind == "object" else None
        elif each.tag in types_by_tag():  # in `contained` or `resource`: no step of its own
            its_shape = _resource(each)
        elif _is_identifier(each):
            steps.append(local(each))
            its_shape = None
    return ".".join(steps) or None


def _resource(element: Any) -> Shape | None:
    return resource_shape(types_by_tag().get(element.tag, ""))


def _step(element: Any, slot: Slot) -> str:
    if not slot.repeats:
        return slot.step
    return f"{slot.step}[{sum(1 for _ in element.itersiblings(element.tag, preceding=True))}]"


def _is_identifier(element: Any) -> bool:
    name = local(element)
    return name.isascii() and name.isidentifier()
