"""Messages drawn as trees of texts, written with any separators: what a parser must give back."""

import string

from hypothesis import strategies as st

from mappings.hl7v2 import Leaf, Place

NAMES = ["PID", "OBX", "NTE", "ZZ1"]
TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"]) | st.just(" "), max_size=6
).map(str.strip)


def leaf_texts(values: st.SearchStrategy) -> st.SearchStrategy:
    """Fields of repetitions of components of subcomponents."""
    components = st.lists(values, min_size=1, max_size=3)
    repetitions = st.lists(components, min_size=1, max_size=3)
    return st.lists(st.lists(repetitions, min_size=1, max_size=2), max_size=4)


@st.composite
def separators(draw) -> str:
    """MSH-1, component, repetition, escape, subcomponent: five different characters."""
    marks = string.punctuation.replace(".", "")
    return "".join(draw(st.permutations(marks))[:5])


def written(tree: list, marks: str) -> str:
    field, component, repetition, escape, part = marks
    names = {field: "F", component: "S", repetition: "R", escape: "E", part: "T"}

    def escaped(text: str) -> str:
        return "".join(f"{escape}{names[c]}{escape}" if c in names else c for c in text)

    def one(repeated: list) -> str:
        return component.join(part.join(map(escaped, parts)) for parts in repeated)

    lines = [
        field.join([name, *(repetition.join(map(one, repeated)) for repeated in fields)])
        for name, fields in tree
    ]
    return "\r".join([f"MSH{field}{component}{repetition}{escape}{part}{field}EPR", *lines])


def leaves(tree: list) -> list[Leaf]:
    counts = dict.fromkeys(NAMES, 0)
    found = []
    for name, fields in tree:
        counts[name] += 1
        for at, repeated in enumerate(fields, start=1):
            for repetition, components in enumerate(repeated, start=1):
                for component, parts in enumerate(components, start=1):
                    for part, text in enumerate(parts, start=1):
                        place = Place(name, counts[name], at, repetition, component, part)
                        found.append(Leaf(place, text))
    return [leaf for leaf in found if leaf.text]


TREES = st.lists(st.tuples(st.sampled_from(NAMES), leaf_texts(TEXT)), max_size=4)
