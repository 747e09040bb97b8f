"""Scores of estimates: written and read, summed up by groups, compared file by file."""

from dataclasses import replace

import pytest
from test_evaluate_audio import noise

from sepaudio import metrics
from sepaudio.verbs import report, scores
from sepaudio.verbs.scores import Row

HEAD = "file,source,estimate,seconds,silent,genders,sir_db"


def made_up(values, offset=0.0):
    """Two sources of each file, a little apart."""
    return [
        Row(file=f"f{i:02}", source=f"s{s}", figures={"si_snr": v + offset + 0.1 * s, "x": None})
        for i, v in enumerate(values)
        for s in (1, 2)
    ]


def test_csv_gives_back_what_it_took(tmp_path):
    odd = Row(file='odd, "name"', error="went\nwrong", silent="both", genders="f+m", sir_db=-1.5)
    given = [*made_up([1.5, -2.25]), odd]
    path = tmp_path / "scores.csv"
    path.write_text(scores.to_csv(given))
    found = scores.from_csv(path)
    assert [replace(r, figures={}) for r in found] == [replace(r, figures={}) for r in given]
    assert [r.figures["si_snr"] for r in found] == [*(r.figures["si_snr"] for r in given[:4]), None]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,si_snr\na,1\n", "lacks the columns source, estimate, seconds, silent, genders, sir"),
        (f"{HEAD},snr,error\na,,1,1,,,,nan,\n", "line 2: nan is not a f"),
        (f"{HEAD},snr,error\na,,1,1,,,,loud,\n", "line 2: could not con"),
        (f"{HEAD},snr,error\na\n", "line 2: "),
        (None, "does not exist: expected scores"),
    ],
)
def test_other_files_are_no_scores(tmp_path, text, message):
    path = tmp_path / "x.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=message):
        scores.from_csv(path)


def test_the_summary_draws_files_not_sources():
    values = noise(0, 40) * 100
    found = scores.summarise(made_up(values))
    assert list(found["figures"]) == ["si_snr"]
    figure = found["figures"]["si_snr"]
    assert figure["n"] == 80
    assert figure["mean"] == pytest.approx(values.mean() + 0.15, abs=1e-5)
    assert figure["interval"] == pytest.approx(metrics.mean_interval(values + 0.15), abs=1e-4)


def test_ranges_of_sir_meet_without_gap_or_overlap():
    levels = (-5.1, -5, -2.01, -2, 0, 1.99, 2, 5, 5.1, None)
    made = [Row(file=str(x), sir_db=x) for x in levels]
    found = {name: [row.sir_db for row in part] for name, part in scores.groups(made).items()}
    assert found == {
        "SIR < -5 dB": [-5.1],
        "SIR [-5, -2) dB": [-5, -2.01],
        "SIR [-2, 2) dB": [-2, 0, 1.99],
        "SIR [2, 5] dB": [2, 5],
        "SIR > 5 dB": [5.1],
    }
    assert list(scores.groups(made, [0, 3])) == ["SIR < 0 dB", "SIR [0, 3] dB", "SIR > 3 dB"]
    for wrong in ([], [1], [2, 1], [1, 1]):
        with pytest.raises(ValueError, match="expected two or more rising levels"):
            scores.groups(made, wrong)


def test_groups_by_gender_have_figures_of_their_own():
    made = [
        Row(file=str(i), genders=genders, figures={"si_snr": float(i)})
        for i, genders in enumerate(("f+f", "m+m", "f+m", "m+f", ""))
    ]
    found = scores.summarise(made)
    assert found["figures"]["si_snr"]["mean"] == 2
    means = {
        name: (of["files"], of["figures"]["si_snr"]["mean"]) for name, of in found["groups"].items()
    }
    assert means == {"same gender": (2, 0.5), "different gender": (2, 2.5)}


def test_the_table_has_a_line_for_every_group_and_figure():
    def one(sir, before, after, wrong):
        figures = {"si_snr_input": before, "si_snr": after, "si_snr_i": after - before}
        return Row(file=f"{sir}", sir_db=sir, figures={**figures, "wrong": wrong, "leak": None})

    summary = scores.summarise([one(-3, -3, 5, 0.0), one(-3.5, -3.5, 4.5, 1.0)])
    text = report.as_markdown({"two": summary})
    head, _, *lines = (
        [cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()
    )
    assert head == list(report.HEAD)
    figures = ["2", "si_snr", "-3.25", "4.75", "8.00 (8.00 to 8.00)", "50.0 %"]
    assert lines == [["two", "all", *figures], ["two", "SIR [-5, -2) dB", *figures]]
    assert len({len(line) for line in text.splitlines()}) == 1


def test_systems_are_compared_file_by_file():
    values = noise(0, 30).astype(float) * 100
    better = [v + 0.5 + 0.01 * i for i, v in enumerate(values)]
    found = scores.compare(made_up(better), made_up([*values, 1000.0]))  # the last has no partner
    assert list(found) == ["si_snr"]
    assert found["si_snr"].n == 30
    assert found["si_snr"].difference == pytest.approx(0.645)
    assert found["si_snr"].p < 1e-4
    with pytest.raises(ValueError, match="no figure for two files in common"):
        scores.compare(made_up([1.0]), made_up([2.0]))
