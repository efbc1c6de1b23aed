import runpy
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest
from small_data import small_splits

from jaxmnist.plots.momentum_map import figures
from jaxmnist.studies import momentum_map as study
from jaxmnist.studies.momentum_map_report import ALPHA, best_lengths, compare, conclusions, on_the_line

SCRIPT = Path(__file__).parent.parent / "notebooks" / "momentum_map.py"
PLAN = study.Map({16: 1, 512: 1}, (0.5, 0.9), (0.5, 1.0, 2.0), 4, 20)
TINY = study.Map({8: 1}, (0.9,), (1.0, 4.0), 1, 2)


def steps_of(factors, noise=0.01, plan=PLAN):
    """A map where SGD needs 1,000 steps at length 1, twice as many at a half and never gets there at 2.

    The others need as many times a factor, by (batch size, method, μ) if not 1.
    """
    random = np.random.default_rng(0)
    steps = np.empty((len(plan.epochs), len(study.methods(plan)), len(plan.lengths), plan.seeds, 2))
    for batch, batch_size in enumerate(plan.epochs):
        for row, (method, momentum) in enumerate(study.methods(plan)):
            factor = factors.get((batch_size, method, momentum), 1.0)
            varied = factor * np.exp(noise * random.standard_normal((3, plan.seeds, 1)))
            steps[batch, row] = np.array([2_000, 1_000, np.inf])[:, None, None] * varied
    return study.Result(plan, steps)


def test_the_networks_are_those_that_were_written_down():
    text = SCRIPT.with_suffix(".md").read_text()
    plan, rows = study.FULL, study.methods(study.FULL)
    settings = len(plan.epochs) * len(rows) * len(plan.lengths)
    assert f"{settings} settings and {settings * plan.seeds:,} networks" in text
    for number in (study.EXAMPLES, study.EXAMPLES // study.FOLDS * (study.FOLDS - 1), *plan.momenta):
        assert f"{number:,}" in text
    assert ", ".join(f"{batch_size} ({epochs})" for batch_size, epochs in plan.epochs.items()) in text
    assert (plan.lengths[0], plan.lengths[-1], len(plan.lengths)) == (0.125, 16.0, 15)
    np.testing.assert_allclose(np.diff(np.log2(plan.lengths)), 0.5)
    learnt = study.EXAMPLES // study.FOLDS * (study.FOLDS - 1)
    for batch_size in plan.epochs:  # every part is 1,024 examples, and nothing is left over
        assert study.steps_of_a_part(learnt // batch_size) * batch_size == 1_024
        assert learnt % batch_size == 0


def test_steps_are_interpolated_between_the_middles_of_parts():
    course = np.full((4, 2, 50), 2.5)  # two epochs of 100 steps, parts of two: middles 1, 3, 5, …
    course[0, 0, 3:] = 0.3  # from 2.5 at 5 to 0.3 at 7
    course[1, 1, 0:] = 0.2  # from 2.5 at 99 to 0.2 at 101
    course[2, 0, 0:] = 0.3  # at once
    course[3, 0, 1:] = np.nan
    steps = study.steps_to_thresholds(course, 100)
    np.testing.assert_allclose(steps[0], [5 + 2 * 2.1 / 2.2, np.inf])
    np.testing.assert_allclose(steps[1], [99 + 2 * 2.1 / 2.3, 99 + 2 * 2.25 / 2.3])
    np.testing.assert_allclose(steps[2], [1, np.inf])
    assert np.isinf(steps[3]).all()


def test_learning_rates_are_the_lengths_times_one_minus_momentum():
    asked = study.grid_of(TINY, study.examples(small_splits().train))
    rates = [(config.optimizer, config.learning_rate, config.momentum) for config in asked.configs]
    both = [(method, rate, 0.9) for method in ("momentum", "nesterov") for rate in (0.1, 0.4)]
    assert rates == [("sgd", 1.0, 0.0), ("sgd", 4.0, 0.0), *both]


def test_the_best_length_is_chosen_by_seeds_that_are_not_tested():
    result = steps_of({})
    assert np.all(np.array(best_lengths(result)) == 1)
    result.steps[0, 0, 0, : PLAN.tuning_seeds] = 10
    result.steps[0, 0, 0, PLAN.tuning_seeds :] = 1e6
    assert best_lengths(result)[0][0] == 0
    assert [one.verdict for one in compare(result)[:4]] == ["fewer", "fewer", "fewer", "undecided"]
    result.steps[..., : PLAN.tuning_seeds, :] = 7  # what chose decides no test
    assert compare(result)[0].ratio[1] > 100


def test_the_tests_find_what_is_there_and_nothing_else():
    twice, slightly = (512, "momentum", 0.9), (16, "nesterov", 0.5)
    result = steps_of({twice: 0.5, slightly: 1.2})
    found = {(one.batch_size, one.method, one.momentum, one.other): one for one in compare(result)}
    assert len(found) == 2 * (4 + 2)
    assert found[(*twice, "sgd")].verdict == "fewer"
    assert found[(*twice, "sgd")].ratio[1] == pytest.approx(2, rel=0.02)
    assert found[(*slightly, "sgd")].verdict == found[(*slightly, "momentum")].verdict == "more"
    assert found[512, "nesterov", 0.9, "momentum"].verdict == "more"
    named = {(*twice, "sgd"), (*slightly, "sgd"), (*slightly, "momentum"), (512, "nesterov", 0.9, "momentum")}
    assert {one.verdict for where, one in found.items() if where not in named} == {"undecided"}
    lines = {(one.batch_size, one.method, one.momentum): one.verdict for one in on_the_line(result)}
    assert {where for where, verdict in lines.items() if verdict == "not shown"} == {twice, slightly}
    answers = [line.split(":")[0] for line in conclusions(result)]
    assert answers == ["H1 not refuted", "H2 not refuted", "H3 REFUTED", "H4 REFUTED"]
    assert [line.split(":")[0] for line in conclusions(steps_of({(16, "momentum", 0.5): 0.8}))][:2] == [
        "H1 REFUTED",
        "H2 REFUTED",
    ]


def test_p_values_are_those_of_scipy_corrected_by_holm():
    result = steps_of({(16, "momentum", 0.5): 0.985, (512, "nesterov", 0.9): 0.98})
    found = compare(result)
    raw = []
    for one in found:
        batch, rows = list(PLAN.epochs).index(one.batch_size), study.methods(PLAN)
        other = rows.index((one.other, 0.0 if one.other == "sgd" else one.momentum))
        ours, theirs = (result.steps[batch, row, 1, 4:, 0] for row in (rows.index((one.method, one.momentum)), other))
        raw.append(binomtest(int((ours < theirs).sum()), 16).pvalue)
    # Holm: the k-th smallest of m p-values times m − k + 1, and none smaller than the one before
    expected = np.empty(len(raw))
    largest = 0.0
    for place, index in enumerate(np.argsort(raw)):
        largest = max(largest, (len(raw) - place) * raw[index])
        expected[index] = min(1, largest)
    np.testing.assert_allclose([one.p_value for one in found], expected)
    assert 0 < sum(one.p_value <= ALPHA for one in found) < len(found)


def test_the_table_is_read_back_and_another_maps_is_refused():
    result = steps_of({})
    again = study.from_csv(study.to_csv(result), PLAN)
    np.testing.assert_array_equal(again.steps, result.steps.round())
    with pytest.raises(ValueError, match="another map"):
        study.from_csv(study.to_csv(result), study.REDUCED)


def test_the_figure_has_a_curve_for_every_momentum_beside_sgds():
    result = steps_of({(512, "momentum", 0.9): 0.5})
    figure = figures(result, "digits")["momentum_map.png"]
    assert len(figure.axes) == 4
    by_label = {line.get_label(): line.get_ydata() for line in figure.axes[1].lines}
    assert by_label["μ = 0.9"][1] == pytest.approx(by_label["SGD"][1] / 2, rel=0.02)
    assert np.isnan(by_label["SGD"][2])


def test_the_script_keeps_each_group_and_writes_table_figure_and_verdicts(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(study, "REDUCED", TINY)
    monkeypatch.setattr("jaxmnist.sources.load", small_splits)
    main = runpy.run_path(str(SCRIPT))["main"]
    main(["--reduced", "--run-dir", str(tmp_path)])
    first = capsys.readouterr().out
    written = {path: path.read_bytes() for path in (tmp_path / "momentum_map.csv", tmp_path / "momentum_map.png")}
    (tmp_path / "groups" / "000001.safetensors").unlink()
    main(["--reduced", "--run-dir", str(tmp_path)])
    second = capsys.readouterr().out
    assert "mnist: 2 of 3 groups are finished" in second
    assert second.count("group ") == 1
    assert {path: path.read_bytes() for path in written} == written
    assert "1 seeds decide nothing in 3 tests" in first
