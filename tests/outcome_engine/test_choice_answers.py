"""Answers and designs in the shapes of published choice experiments: R's support.CEs.

The tables are made up and small; what they share with the data sets rice, pork, rural and syn.res1 to
syn.res3 is their shape (columns, blocks, opt-out, labels, yes or no), and nothing else.
"""

import numpy as np
import pytest

from fhir_server.__main__ import main
from outcome_engine.choice.answers import read_answers
from outcome_engine.choice.data import read
from outcome_engine.choice.estimation import conditional
from outcome_engine.methods.logistic import logistic
from r4.json import decode

# Unlabelled, two treatments or neither, one block; women told apart (rice, syn.res1).
UNLABELLED = """BLOCK,QES,ALT,ASC,No_Stoma,Visits
1,1,1,1,1,2
1,1,2,1,0,1
1,1,3,0,0,0
1,2,1,1,0,3
1,2,2,1,1,4
1,2,3,0,0,0
"""
# Labelled: at home, at a clinic, in hospital, or none; the attribute is each one's own; two blocks
# (pork, syn.res2).
LABELLED = """BLOCK,QES,ALT,ASC1,ASC2,ASC3,Days1,Days2,Days3
1,1,1,1,0,0,2,0,0
1,1,2,0,1,0,0,3,0
1,1,3,0,0,1,0,0,1
1,1,4,0,0,0,0,0,0
2,1,1,1,0,0,4,0,0
2,1,2,0,1,0,0,1,0
2,1,3,0,0,1,0,0,5
2,1,4,0,0,0,0,0,0
"""
# Would you have it, yes or no (syn.res3), or rather than what is usual (rural: differences from it).
BINARY = """BLOCK,QES,ALT,ASC,Visits,Scar
1,1,1,1,2,0
1,2,1,1,3,1
2,1,1,1,1,1
2,2,1,1,4,0
"""


@pytest.fixture
def table(tmp_path):
    def written(name, text):
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        return file

    return written


def same(one, other):
    assert (one.names, one.alternative) == (other.names, other.alternative)
    for part in ("x", "chosen", "respondent", "task"):
        assert np.array_equal(getattr(one, part), getattr(other, part)), part


def test_two_treatments_or_neither_with_what_differs_between_men_and_women(table):
    answers = table("answers.csv", "ID,BLOCK,q1,q2,F\n7,1,2,1,0\n8,1,3,2,1\n")
    design = table("design.csv", UNLABELLED)
    found = read_answers(answers, design, interactions=[("No_Stoma", "F")])
    long = """group,respondent,task,alternative,chosen,asc,no-stoma,visits,no-stoma-f
all,7,1,1,0,1,1,2,0
all,7,1,2,1,1,0,1,0
all,7,1,3,0,0,0,0,0
all,7,2,1,1,1,0,3,0
all,7,2,2,0,1,1,4,0
all,7,2,3,0,0,0,0,0
all,8,1,1,0,1,1,2,1
all,8,1,2,0,1,0,1,0
all,8,1,3,1,0,0,0,0
all,8,2,1,0,1,0,3,0
all,8,2,2,1,1,1,4,1
all,8,2,3,0,0,0,0,0
"""
    same(found["all"], read(table("long.csv", long))["all"])


def test_labelled_places_in_two_blocks(table):
    answers = table("answers.csv", "ID,BLOCK,q1\n1,2,3\n2,1,4\n")
    found = read_answers(answers, table("design.csv", LABELLED))["all"]
    assert found.names == ("asc1", "asc2", "asc3", "days1", "days2", "days3")
    assert found.alternative == ("1", "2", "3", "4") * 2
    assert found.x[found.chosen].tolist() == [[0, 0, 1, 0, 0, 5], [0] * 6]


def test_yes_or_no_is_a_choice_between_it_and_nothing_by_the_groups_of_a_column(table):
    answers = table("answers.csv", "ID,BLOCK,q1,q2,Region\n1,1,1,0,1\n2,2,0,0,2\n3,1,0,1,1\n")
    found = read_answers(answers, table("design.csv", BINARY), group="Region")
    assert (found["1"].respondents, found["2"].respondents) == (2, 1)
    assert found["2"].alternative == ("1", "none") * 2
    assert found["2"].x.tolist() == [[1, 1, 1], [0, 0, 0], [1, 4, 0], [0, 0, 0]]
    assert found["1"].chosen.tolist() == [True, False, False, True, False, True, True, False]


def test_weights_from_yes_or_no_are_those_of_a_logistic_regression(table):
    # As support.CEs estimates rural and syn.res3: by `glm`, of the yes.
    rng = np.random.default_rng(3)
    shown = np.column_stack([np.ones(9), rng.integers(0, 6, 9), rng.integers(0, 2, 9)])
    said = rng.random((60, 9)) < 1 / (1 + np.exp(-shown @ [0.8, -0.5, -0.7]))
    questions = [f"1,{at + 1},1,{','.join(map(str, row))}" for at, row in enumerate(shown)]
    people = [f"{at},1,{','.join(str(int(one)) for one in row)}" for at, row in enumerate(said)]
    design = table("design.csv", "\n".join(["BLOCK,QES,ALT,ASC,Visits,Scar", *questions]))
    columns = ",".join(f"q{number}" for number in range(1, 10))
    answers = table("answers.csv", "\n".join([f"ID,BLOCK,{columns}", *people]))
    found = conditional(read_answers(answers, design)["all"])
    expected = logistic(np.tile(shown, (60, 1)), said.ravel().astype(float))
    assert found.coefficients == pytest.approx(expected.coefficients, abs=1e-7)
    assert np.sqrt(np.diag(found.model_covariance)) == pytest.approx(
        expected.standard_errors, rel=1e-5
    )


@pytest.mark.parametrize("unanswered", ["", "NA"])
def test_a_question_that_was_not_answered_is_left_out(table, unanswered):
    answers = table("answers.csv", f"ID,BLOCK,q1,q2\n1,1,{unanswered},1\n2,1,3,2\n")
    found = read_answers(answers, table("design.csv", UNLABELLED))["all"]
    assert (found.respondents, found.tasks) == (2, 3)


@pytest.mark.parametrize(
    ("answers", "design", "message"),
    [
        ("ID,q1\n1,1\n", BINARY, "answers.csv has no column BLOCK"),
        ("ID,BLOCK\n1,1\n", BINARY, "has no column q1"),
        ("ID,BLOCK,q1\n1,1,2\n", BINARY, "line 2: q1 is '2', no alternative"),
        ("ID,BLOCK,q1\n1,1,0\n", UNLABELLED, "line 2: q1 is '0', no alternative"),
        ("ID,BLOCK,q1\n1,3,1\n", BINARY, "line 2: the design has no question 1 of block 3"),
        ("ID,BLOCK,q1,q3\n1,1,1,1\n", BINARY, "line 2: the design has no question 3 of block 1"),
        ("ID,BLOCK,q1\n1,1,1\n1,2,1\n", BINARY, "line 3: respondent 1 stands twice"),
        ("ID,BLOCK,q1\n1,1\n", BINARY, "line 2: there are not as many fields as columns"),
        ("ID,BLOCK,q1\n1,1,1\n", "QES,ALT,Visits\n1,1,2\n", "design.csv has no column BLOCK"),
        ("ID,BLOCK,q1\n1,1,1\n", "BLOCK,QES,ALT,Visits\n1,1,1,few\n", "line 2: Visits is 'few'"),
        ("ID,BLOCK,q1\n1,1,1\n", "BLOCK,QES,ALT,A_b,a.B\n1,1,1,1,1\n", "two columns are one"),
        (
            "ID,BLOCK,q1\n1,1,1\n",
            "BLOCK,QES,ALT,Visits\n1,1,1,1\n1,1,1,2\n",
            "line 3: alternative 1",
        ),
    ],
)
def test_a_fault_of_either_table_is_refused_by_line(table, answers, design, message):
    given = table("answers.csv", answers), table("design.csv", design)
    with pytest.raises(ValueError, match=message):
        read_answers(*given)


@pytest.mark.parametrize(
    ("interaction", "message"),
    [
        (("Stoma", "F"), "design.csv has no column Stoma"),
        (("ASC", "G"), "answers.csv has no column G"),
        (("ASC", "F"), "line 2: F is 'yes', not a number"),
    ],
)
def test_an_interaction_of_what_is_not_there_is_refused(table, interaction, message):
    given = table("answers.csv", "ID,BLOCK,q1,F\n1,1,1,yes\n"), table("design.csv", UNLABELLED)
    with pytest.raises(ValueError, match=message):
        read_answers(*given, interactions=[interaction])


def test_the_command_estimates_answers_to_a_design(table, tmp_path, capsys):
    answers = "ID,BLOCK,q1,q2,F,Who\n" + "".join(
        f"{person},1,{1 + person % 3},{1 + person // 3 % 3},{person % 2},public\n"
        for person in range(24)
    )
    output = tmp_path / "estimates.json"
    given = ["choice", "estimate", str(table("answers.csv", answers)), "--output", str(output)]
    assert main([*given, "--group-column", "Who"]) == 1
    assert "are of answers to a --design" in capsys.readouterr().err
    design = ["--design", str(table("design.csv", UNLABELLED)), "--interaction", "No_Stoma=F"]
    assert main([*given, *design, "--group-column", "Who"]) == 0
    assert "public: conditional logit; 48 tasks of 24 respondents" in capsys.readouterr().out
    (written,) = decode(output.read_bytes())["estimates"]
    names = [each["name"] for each in written["coefficients"]]
    assert names == ["asc", "no-stoma", "visits", "no-stoma-f"]
