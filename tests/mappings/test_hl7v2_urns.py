"""The fullUrl of a resource is the UUID of its name, whatever the name is written in."""

from uuid import NAMESPACE_URL, uuid5

from hypothesis import given
from hypothesis import strategies as st

from mappings.hl7v2.bundle import urn


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_urn_is_the_uuid_of_its_name(name: str) -> None:
    assert urn(name) == uuid5(NAMESPACE_URL, name).urn
