"""A message as a tree of leaves: written with any separators, walked over, watched while read."""

from hypothesis import given, settings

from mappings.hl7v2 import MappingContext, parse, to_bundle
from mappings.hl7v2.leaves import DELETE, Place
from tests.mappings.messages import CONTEXT, SEGMENTS
from tests.mappings.trees import TREES, leaves, separators, written

MSH = "MSH|^~\\&|EPR|RTH|CSOR|CSOR|202505060930||ADT^A01|42|P|2.4"
RAW = "\r".join(SEGMENTS.values()).encode()


@settings(max_examples=150, deadline=None)
@given(TREES, separators())
def test_what_was_written_is_what_is_walked_over(tree, marks):
    message = parse(written(tree, marks).encode())
    walked = list(message.walk())
    assert [leaf.text for leaf in walked[:3]] == [marks[0], marks[1:], "EPR"]
    assert walked[3:] == leaves(tree)


@settings(max_examples=100, deadline=None)
@given(TREES, separators())
def test_each_leaf_is_found_by_its_numbers_and_its_reading_is_told(tree, marks):
    reads: list[Place] = []
    message = parse(written(tree, marks).encode(), reads=reads.append)
    expected = leaves(tree)
    for place, text in expected:
        segment = message.segments(place.segment)[place.number - 1]
        value = segment.field(place.field).repetitions[place.repetition - 1]
        if text != DELETE:
            assert value.subcomponent(place.component, place.subcomponent) == text
    assert reads == [leaf.place for leaf in expected if leaf.text != DELETE]


def test_a_deleted_leaf_is_walked_over_as_such():
    message = parse(MSH.encode() + b'\rPID|""|a^""&b')
    assert [leaf for leaf in message.walk() if leaf.place.segment == "PID"] == [
        (Place("PID", 1, 1), DELETE),
        (Place("PID", 1, 2, 1, 1), "a"),
        (Place("PID", 1, 2, 1, 2, 1), DELETE),
        (Place("PID", 1, 2, 1, 2, 2), "b"),
    ]


def test_a_place_is_written_as_err_2_has_it():
    assert str(Place("PID", 1)) == "PID^1"
    assert str(Place("PID", 1, 7)) == "PID^1^7"
    assert str(Place("PID", 1, 3, 2)) == "PID^1^3^2"
    assert str(Place("PID", 1, 3, 1, 4, 2)) == "PID^1^3^1^4^2"


def test_whole_text_reads_every_leaf_of_the_repetition_and_asking_what_is_there_reads_none():
    reads: list[Place] = []
    obx = parse(MSH.encode() + b"\rOBX|1|TX|a^b~c", reads=reads.append).segments("OBX")[0]
    first, second = obx.field(3).repetitions
    assert (bool(first), first.size, first.is_delete, obx.text(3)) == (True, 2, False, "a^b~c")
    assert not reads
    assert first.text == "a^b"
    assert second.component(1) == "c"
    assert [str(place) for place in reads] == ["OBX^1^3", "OBX^1^3^1^2", "OBX^1^3^2"]


def test_a_watched_message_is_mapped_to_the_same_bundle_and_tells_what_it_took():
    reads: list[Place] = []
    watched = to_bundle(parse(RAW, reads=reads.append), MappingContext(CONTEXT.terminology))
    assert watched == to_bundle(parse(RAW), CONTEXT)
    places = {leaf.place for leaf in parse(RAW).walk()}
    assert set(reads) <= places
    assert {Place("PID", 1, 3), Place("PID", 1, 5, 1, 2), Place("MSH", 1, 4)} <= set(reads)
    assert Place("PID", 1, 1) not in reads
