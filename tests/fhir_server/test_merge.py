"""An HL7 v2 message says what it knows: what it does not mention stays as it is."""

from fhir_server.interactions.merge import merge

CHILD = {
    "resourceType": "Patient",
    "identifier": [
        {"system": "nhs", "value": "1"},
        {"system": "mrn", "value": "7", "use": "usual"},
    ],
    "extension": [{"url": "ethnic", "valueCode": "A"}],
    "name": [{"family": "Old"}],
    "gender": "male",
}


def test_what_is_not_mentioned_stays_and_what_is_mentioned_replaces() -> None:
    merged = merge(CHILD, {"resourceType": "Patient", "name": [{"family": "New"}]})
    assert merged == {**CHILD, "name": [{"family": "New"}]}


def test_objects_are_merged_element_by_element() -> None:
    spell = {
        "period": {"start": "2020-01-01"},
        "hospitalization": {"admitSource": {"text": "home"}},
    }
    update = {"period": {"end": "2020-01-09"}}
    assert merge(spell, update)["period"] == {"start": "2020-01-01", "end": "2020-01-09"}
    assert merge(spell, update)["hospitalization"] == spell["hospitalization"]


def test_each_identifier_is_kept_once() -> None:
    incoming = {"identifier": [{"system": "mrn", "value": "7"}, {"system": "mrn", "value": "8"}]}
    assert merge(CHILD, incoming)["identifier"] == [
        {"system": "nhs", "value": "1"},
        {"system": "mrn", "value": "7"},
        {"system": "mrn", "value": "8"},
    ]


def test_each_extension_url_is_kept_once() -> None:
    incoming = {
        "extension": [{"url": "ethnic", "valueCode": "B"}, {"url": "birth", "valueCode": "x"}]
    }
    assert merge(CHILD, incoming)["extension"] == incoming["extension"]


def test_links_are_added_once() -> None:
    link = {"type": "replaces", "other": {"reference": "Patient/2"}}
    once = merge(CHILD, {"link": [link]})
    assert merge(once, {"link": [link]})["link"] == [link]


def test_a_deleted_element_goes() -> None:
    assert "gender" not in merge(CHILD, {}, ("gender",))


def test_a_known_date_of_death_is_not_lost_to_a_bare_yes() -> None:
    died = {**CHILD, "deceasedDateTime": "2020-02-01"}
    merged = merge(died, {"deceasedBoolean": True}, ("deceasedDateTime",))
    assert merged["deceasedDateTime"] == "2020-02-01"
    assert "deceasedBoolean" not in merged


def test_nothing_handed_in_is_changed() -> None:
    before = {**CHILD, "name": [dict(CHILD["name"][0])]}
    merge(CHILD, {"name": [{"family": "New"}], "identifier": []}, ("gender",))
    assert before == CHILD
