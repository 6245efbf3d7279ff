"""Rows of admitted patient care, read: the heading, quotes, the end, and what is refused and why."""

import io
from datetime import date

import pytest

from mappings.hes.lines import LONGEST
from mappings.hes.rows import Line, heading, read
from mappings.hes.tables import columns, nulls
from r4.issue import FhirError

HEAD = "EPIKEY|EPISTAT|EPISTART|EPIEND|EPIORDER|ADMIDATE|ENCRYPTED_HESID|PROCODE|DISMETH|SITETRET"
ROW = "7|3|2021-02-03|2021-02-05|1|2021-02-03|P1|RTH01|1|RTH02"
OPERATED = "|OPERTN_01|OPDATE_01|OPERTN_02|OPDATE_02|OPERTN_03|OPDATE_03"


def lines(text: str | bytes) -> list[Line]:
    raw = text.encode() if isinstance(text, str) else text
    file = io.BytesIO(raw)
    return list(read(file, heading(file)))


def refusals(*rows: str) -> list[tuple[int, str]]:
    return [(each.number, each.refusal) for each in lines("\n".join([HEAD, *rows]))]


def changed(**values: str) -> str:
    given = dict(zip(HEAD.split("|"), ROW.split("|"), strict=True)) | values
    return "|".join(given.values())


def test_each_of_the_128_columns_is_mapped_or_says_why_not() -> None:
    assert len(columns()) == 128
    for column in columns().values():
        assert column.kind in ("date", "number", "text", "key", "")
        assert bool(column.kind) is not column.comment.startswith("not mapped: "), column
        assert column.kind or not column.becomes


def test_columns_are_known_by_their_names_in_any_order_and_either_case() -> None:
    names, values = HEAD.split("|"), ROW.split("|")
    backwards = "\n".join(["|".join(names[::-1]).lower(), "|".join(values[::-1])])
    (one,), (other,) = lines(f"{HEAD}\n{ROW}"), lines(backwards)
    assert one.episode == other.episode
    assert one.episode is not None
    assert (one.episode.person, one.episode.provider) == ("P1", "RTH")
    assert one.episode.epistart == date(2021, 2, 3)


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_the_last_line_needs_no_end(end: str) -> None:
    text = f"\ufeff{HEAD}\r\n{ROW}\r\n\r\n{ROW}{end}"
    found = lines(text)
    assert [(line.number, line.refusal) for line in found] == [(2, ""), (3, "")]
    assert found[-1].end in (len(text.encode()), len(text.encode()) - 1)


def test_a_value_in_quotes_may_hold_the_separator() -> None:
    (line,) = lines(f"{HEAD}\n{ROW.replace('RTH02', chr(34) + 'a|b ' + chr(34) * 2 + chr(34))}")
    assert line.refusal == ""


def test_reading_goes_on_where_it_was() -> None:
    file = io.BytesIO("\n".join([HEAD, ROW, "bad", ROW, "worse"]).encode())
    head = heading(file)
    everything = list(read(file, head))
    for at, line in enumerate(everything):
        assert list(read(file, head, line.number, line.end)) == everything[at + 1 :]


def test_a_bad_row_is_refused_with_its_number_and_why_and_hinders_no_other() -> None:
    found = refusals(
        ROW, ROW + "|more", changed(EPISTART="03/02/2021"), changed(EPIEND="2021-02-30"),
        changed(EPIORDER="x"), changed(SITETRET='"open'), ROW,
    )  # fmt: skip
    assert found == [
        (2, ""),
        (3, "has 11 fields, the heading has 10"),
        (4, "has something in EPISTART that is no date (YYYY-MM-DD)"),
        (5, "has something in EPIEND that is no date (YYYY-MM-DD)"),
        (6, "has something in EPIORDER that is no number"),
        (7, "has a quote that is not closed, or text after one"),
        (8, ""),
    ]


def test_a_row_that_is_no_text_or_too_long_is_refused() -> None:
    long = b"x" * (2 * LONGEST)
    found = lines(b"\n".join([HEAD.encode(), b"\xff|", long, ROW.encode()]))
    said = [(line.number, line.refusal) for line in found]
    assert said == [(2, "is not UTF-8"), (3, f"is longer than {LONGEST} bytes"), (4, "")]


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (HEAD.replace("EPIKEY|", ""), "lacks EPIKEY"),
        (HEAD.replace("PROCODE|", ""), "lacks PROCODE or PROCODE5"),
        (HEAD.replace("ENCRYPTED_HESID", "X"), "lacks ENCRYPTED_HESID or TOKEN_PERSON_ID"),
        (HEAD + "|epikey", "names a column twice: EPIKEY"),
        (HEAD.replace("|", ","), "lacks EPIKEY"),
        ('"open', "is no heading"),
    ],
)
def test_a_heading_that_cannot_be_gone_by_is_refused(head: str, why: str) -> None:
    with pytest.raises(FhirError, match=why):
        heading(io.BytesIO(head.encode()))


def test_the_column_of_persons_may_have_another_name() -> None:
    file = io.BytesIO(f"{HEAD.replace('ENCRYPTED_HESID', 'Newnhsno')}\n{ROW}".encode())
    (line,) = read(file, heading(file, "NEWNHSNO"))
    assert line.episode is not None
    assert line.episode.person == "P1"


@pytest.mark.parametrize("day", ["1800-01-01", "1801-01-01", "1600-01-01", "1582-10-15", ""])
def test_some_dates_mean_that_none_is_known(day: str) -> None:
    (line,) = lines(f"{HEAD}\n{changed(EPIEND=day)}")
    assert line.episode is not None
    assert (line.episode.epiend, line.episode.lacks) == (None, "no EPIEND")


def test_what_means_not_known_is_said_for_each_column() -> None:
    assert nulls("ADMIMETH") == {"", "98", "99"}
    assert nulls("OPERTN_24") == {"", "-", "&", "X997", "X998", "X999"}
    assert nulls("DIAG_20") == {"", "R69X", "R69X3", "R69X6", "R69X8"}
    assert nulls("PROCODE") == {"", "89997", "89999"}
    assert "1800-01-01" in nulls("OPDATE_01")


def test_the_method_of_discharge_stays_as_it_was_sent() -> None:
    """The rule of spells asks whether it is 8 or 9."""
    (line,) = lines(f"{HEAD}\n{changed(DISMETH='9')}")
    assert line.episode is not None
    assert line.episode.dismeth == "9"


@pytest.mark.parametrize(
    ("order", "method", "source", "filled"),
    [
        ("1", "11", "19", True), ("2", "11", "19", False), ("", "11", "19", False),
        ("1", "2B", "19", False), ("1", "81", "19", False), ("1", "21", "52", False),
    ],
)  # fmt: skip
def test_a_missing_admission_is_the_start_of_a_first_episode_that_is_no_transfer(
    order: str, method: str, source: str, filled: bool
) -> None:
    row = changed(ADMIDATE="", EPIORDER=order) + f"|{method}|{source}"
    (line,) = lines(f"{HEAD}|ADMIMETH|ADMISORC\n{row}")
    assert line.episode is not None
    assert line.episode.admidate == (date(2021, 2, 3) if filled else None)


def test_an_operation_has_its_own_day_and_a_day_alone_says_nothing() -> None:
    text = f"{HEAD}{OPERATED}\n{ROW}|H411|2021-02-03|-|2021-02-04|T301|1801-01-01"
    (line,) = lines(text)
    assert line.episode is not None
    assert line.episode.operations == (("H411", date(2021, 2, 3)), ("T301", None))


@pytest.mark.parametrize(
    ("values", "lacks"),
    [
        ({"EPISTAT": "1"}, "unfinished"), ({"ENCRYPTED_HESID": ""}, "no person"),
        ({"PROCODE": "89999"}, "no PROCODE"), ({"EPIKEY": ""}, "no EPIKEY"),
        ({"EPISTART": ""}, "no EPISTART"), ({}, ""),
    ],
)  # fmt: skip
def test_an_episode_says_why_it_belongs_to_no_spell(values: dict[str, str], lacks: str) -> None:
    (line,) = lines(f"{HEAD}\n{changed(**values)}")
    assert line.episode is not None
    assert line.episode.lacks == lacks
