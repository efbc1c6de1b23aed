import numpy as np
import pytest
from scipy.stats import binomtest
from small_map import PLAN, steps_of

from jaxmnist.studies import momentum_map as study
from jaxmnist.studies.momentum_map_report import ALPHA, best_lengths, compare, conclusions, on_the_line, ratios


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
    table = {tuple(words[:2]): words[2:] for words in map(str.split, ratios(result).splitlines())}
    assert float(table["512", "0.9"][0]) == pytest.approx(2, rel=0.03)  # SGD's steps / momentum's
    assert float(table["512", "0.9"][2]) == pytest.approx(0.5, rel=0.03)  # momentum's / Nesterov's
    assert len(table) == 1 + 2 * 2
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


def test_too_few_seeds_decide_nothing():
    few = PLAN._replace(seeds=10)
    (line,) = conclusions(steps_of({(512, "momentum", 0.9): 0.5}, plan=few))
    assert line.startswith("6 seeds decide nothing")


def test_a_line_that_noise_hides_is_undecided():
    answers = [line.split(":")[0] for line in conclusions(steps_of({}))]
    assert answers[3] == "H4 not refuted"
    answers = [line.split(":")[0] for line in conclusions(steps_of({}, noise=0.1))]
    assert answers[3] == "H4 undecided"
