"""`mappings check` tells what HL7's own tables hold, and fails where a row is not accounted for."""

from fhir_server.__main__ import main
from tests.support.v2_tables import segment, write


def test_good_tables_are_counted_by_kind(tmp_path, capsys):
    write(tmp_path, "segments", "ZZ1[Patient]", [segment("ZZ1-1", "birthDate")])
    assert main(["mappings", "check", str(tmp_path)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[1].startswith("segments: 1 rows, 1 compile, 0 decided, 0 left out, 0 errata")
    assert told[1].endswith(" 0 not accounted for")
    assert told[4].endswith("decisions of this release are about no row of these tables:")


def test_a_row_that_cannot_run_is_named_with_its_line_and_fails_the_check(tmp_path, capsys):
    rows = [segment("ZZ1-1", "birthDate"), segment("ZZ1-2", "bornOn")]
    write(tmp_path, "segments", "ZZ1[Patient]", rows)
    assert main(["mappings", "check", str(tmp_path)]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[1].endswith("1 not accounted for")
    at = told.index("not accounted for:") + 1
    assert told[at].startswith("  segments/ZZ1[Patient], line 4 (ZZ1-2) bornOn: bornOn: R4 has no")


def test_a_place_without_tables_is_an_error(tmp_path, capsys):
    assert main(["mappings", "check", str(tmp_path)]) == 1
    assert "has no tables in" in capsys.readouterr().err
    assert main(["mappings", "check", str(tmp_path / "absent.tgz")]) == 1
    assert "absent.tgz" in capsys.readouterr().err


def test_the_official_archive_is_good_and_each_erratum_says_why(library, capsys):
    assert main(["mappings", "check", str(library / "v2-to-fhir-1.0.0-mappings.tgz")]) == 0
    told = capsys.readouterr().out.splitlines()
    assert "46 errata (4.4 %), 0 not accounted for" in told[1]
    first, last = told.index("errata:"), told.index("left out:")
    assert last - first - 1 == 7 + 46 + 20 + 21
    assert all(line.endswith(".") for line in told[first + 1 : last])
    assert not any("about no row" in line for line in told)
