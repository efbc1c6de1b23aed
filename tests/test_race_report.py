import numpy as np
import pytest

from jaxmnist.studies.methods import METHODS, Settings
from jaxmnist.studies.race import Outcome, Result
from jaxmnist.studies.race_report import assess, at_edge, conclusions, report

SEEDS = 16


def outcome(rate, reached, examples=32, seconds=1e-3):
    """An outcome in which seed s reaches each threshold after its steps + s."""
    steps = np.array(reached, float) + np.arange(SEEDS)[:, None]
    return Outcome(rate, 10 * np.arange(200), examples, seconds, np.ones((SEEDS, 200)), steps)


@pytest.fixture
def result():
    """Gradient descent needs as many steps as SGD, Nesterov's method half; nobody reaches the last threshold."""
    best = {
        "gd": outcome(3.2, [100, 200, np.inf], 3_000, np.nan),
        "sgd": outcome(3.2, [100, 200, np.inf]),
        "momentum": outcome(0.2, [300, 650, np.inf]),
        "nesterov": outcome(0.2, [150, 500, np.inf]),
    }
    same = {"sgd": outcome(0.2, [900, np.inf, np.inf]), "momentum": best["momentum"], "nesterov": best["nesterov"]}
    scores = {method: {0.2: 0.5, 3.2: 0.6, 6.4: 0.7} for method in METHODS}
    examples = {"racing": 3_000, "measured": 1_000, "validation": 1_000}
    return Result(Settings(thresholds=(0.6, 0.4, 0.1)), examples, scores, best, same)


def test_every_claim_is_tested_at_every_threshold(result):
    sgd, momentum, nesterov = assess(result)
    assert [finding.outcome for finding in sgd[1]] == ["yes", "yes", "unclear"]
    assert sgd[1][0].ratio == pytest.approx([3_000 / 32] * 3)  # paired by seed, both need the same steps
    assert [finding.outcome for finding in momentum[1]] == ["no", "no", "unclear"]
    assert [finding.outcome for finding in momentum[2]] == ["yes", "yes", "unclear"]
    assert [finding.outcome for finding in nesterov[1]] == ["yes", "yes", "unclear"]
    assert sgd[2] == nesterov[2] == []  # no other race: gradient descent doesn't run at momentum's rate


def test_there_is_one_plain_conclusion_a_claim(result):
    assert conclusions(result).splitlines() == [
        "SUPPORTED: SGD needs far fewer computations than gradient descent. Down to cost 0.4: gradient descent took "
        "93.8 times as many examples as SGD.",
        "NOT SUPPORTED: momentum needs fewer steps than SGD. Down to cost 0.4: momentum took 3.17 times as many steps "
        "as SGD. At the same learning rate for both: supported.",
        "SUPPORTED: Nesterov's method gets there sooner than momentum. Down to cost 0.4: momentum took 1.3 times as "
        "many steps as Nesterov.",
    ]


def test_what_is_not_reached_is_said_in_words(result):
    never = {**result.best, "gd": outcome(3.2, [np.inf] * 3, 3_000), "nesterov": outcome(0.2, [np.inf] * 3)}
    result = result._replace(best=never, same={})
    said = "gradient descent did not get there (median of the seeds)"
    assert f"cost ≤ 0.6   {said}; 10 times fewer in 16 of 16 seeds, p = 1.5e-05" in report(result)
    first, _, third = conclusions(result).splitlines()
    assert first.endswith(f"Down to cost 0.6: {said}.")
    assert third.endswith("Down to cost 0.6: Nesterov did not get there (median of the seeds).")
    nobody = {method: outcome(0.2, [np.inf] * 3) for method in METHODS}
    assert conclusions(result._replace(best=nobody)).splitlines()[1] == (
        "NOT DECIDED: momentum needs fewer steps than SGD. No seed reached any of the costs."
    )
    assert "∞" not in report(result)


def test_the_report_shows_medians_and_quartiles(result):
    lines = report(result).splitlines()
    rows = {name: [line for line in lines if line.strip().startswith(f"{name} ")] for name in METHODS.values()}
    assert "107 (103–111)" in rows["SGD"][1]  # of 100 + 0 … 15
    assert "3,424 (3,296–3,552)" in rows["SGD"][1]
    assert "0.11 (0.1–0.11)" in rows["SGD"][1]
    assert "not measured" in rows["gradient descent"][1]
    assert "not reached" in rows["momentum"][3]
    assert rows["momentum"][3].endswith("0 of 16")
    assert any(line.strip().startswith("cost ≤ 0.1") and "no seed got there" in line for line in lines)


def test_the_report_marks_the_best_rate_and_warns_at_the_grid_s_edge(result):
    text = report(result)
    assert "0.500*" in text
    assert at_edge(result, "momentum")
    assert "the η of momentum is at the grid's edge" in text
    assert not at_edge(result, "sgd")
    assert "the η of SGD" not in text


def test_the_report_says_that_few_seeds_decide_nothing(result):
    assert "seeds decide nothing" not in report(result)
    few = result._replace(settings=Settings(seeds=4, thresholds=(0.6, 0.4, 0.1)))
    assert "fewer than 5 seeds decide nothing" in report(few)
