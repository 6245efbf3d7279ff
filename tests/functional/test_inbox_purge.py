"""A purge finds a child's messages whatever door they came by, and however they were written."""

import pytest

from fhir_server.operations.arrivals import carries
from fhir_server.store.belonging import Child
from fhir_server.store.inbox import Message
from tests.support.feed import NHS, admit

WREN, LARK = "9990000018", "9990000026"
DOORS = ("mllp", "hl7v2", "file")
XML = (
    '<?xml version="1.0"?><ADT_A01 xmlns="urn:hl7-org:v2xml"><MSH><MSH.1>|</MSH.1><MSH.2>^~\\&amp;</MSH.2>'
    "<MSH.3><HD.1>PAS</HD.1></MSH.3><MSH.4><HD.1>RTH</HD.1></MSH.4>"
    "<MSH.7><TS.1>202001031015</TS.1></MSH.7><MSH.9><MSG.1>ADT</MSG.1><MSG.2>A08</MSG.2></MSH.9>"
    "<MSH.10>1</MSH.10><MSH.12><VID.1>2.4</VID.1></MSH.12></MSH>"
    "<PID><PID.3><CX.1>{number}</CX.1><CX.4><HD.1>NHS</HD.1></CX.4></PID.3>"
    "<PID.5><XPN.1><FN.1>Testchild-Wren</FN.1></XPN.1></PID.5></PID></ADT_A01>"
)
CHILD = Child(frozenset(), frozenset({(NHS, WREN)}), {})


def message(raw: bytes, door: str = "mllp") -> Message:
    return Message(1, 1, door, "PAS|RTH", "1", "", "", raw, "processed")


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "written", [admit("1", "{number}").decode(), XML, admit("1", "{number}").decode() + "PID\r"],
    ids=["pipes", "xml", "odd"],
)  # fmt: skip
def test_it_is_found_and_that_of_another_child_is_not(door: str, written: str) -> None:
    theirs, others = (
        written.replace("{number}", number).replace("M{number}", "M1").encode()
        for number in (WREN, LARK)
    )
    assert carries(message(theirs, door), CHILD)
    assert not carries(message(others, door), CHILD)


@pytest.mark.parametrize(
    "number", ["999 000 0018", "999-000-0018", "\\X39\\990000018", "&#57;990000018"]
)
def test_a_number_is_found_however_it_is_written(number: str) -> None:
    raw = XML.replace("{number}", number) if "&#" in number else admit("1", number).decode()
    assert carries(message(raw.encode()), CHILD)


@pytest.mark.parametrize(
    "raw", [f"PID|1||{WREN}^^^NHS\r", f"MSH|\rMRG|{WREN}\r", f"<ADT><PID.3>{WREN}</PID.3>"]
)
def test_what_cannot_be_read_is_found_where_it_holds_the_number(raw: str) -> None:
    assert carries(message(raw.encode()), CHILD)
    assert not carries(message(raw.replace(WREN, LARK).encode()), CHILD)


def test_the_number_in_another_place_is_not_the_child() -> None:
    raw = admit(WREN, LARK)
    assert WREN.encode() in raw
    assert not carries(message(raw), CHILD)
