import numpy as np
import pytest
from scipy.stats import binomtest

from jaxmnist.studies.claims import CLAIMS, MIN_SEEDS, Finding, quartiles, sign_test, verdict
from jaxmnist.studies.methods import METHODS

NEVER = np.inf


@pytest.mark.parametrize("seeds", [2, 3, 4, 7, 16, 17])
def test_quartiles_are_the_values_that_this_share_of_the_seeds_does_not_exceed(seeds):
    values = np.random.default_rng(seeds).permutation(np.arange(float(seeds)))
    for share, value in zip((0.25, 0.5, 0.75), quartiles(values), strict=True):
        assert np.mean(values <= value) >= share
        assert np.mean(values < value) < share


def test_seeds_that_never_arrive_count_as_infinite():
    assert quartiles(np.array([3, NEVER, 1, 2, NEVER, NEVER, NEVER, NEVER])).tolist() == [2, NEVER, NEVER]
    assert quartiles(np.array([3, NEVER, 1, 2])).tolist() == [1, 2, 3]
    assert quartiles(np.array([[1, 9], [2, 8], [3, NEVER], [4, 7]])).tolist() == [[1, 7], [2, 8], [3, 9]]


@pytest.mark.parametrize(
    ("wins", "losses"), [(16, 0), (13, 3), (12, 4), (11, 5), (8, 8), (2, 14), (0, 16), (5, 0), (4, 0)]
)
def test_the_sign_test_agrees_with_scipy(wins, losses):
    slower = np.array([2.0] * wins + [0.5] * losses)
    finding = sign_test(np.ones(wins + losses), slower, 1)
    expected = binomtest(wins, wins + losses, alternative="greater").pvalue
    assert finding.p_value == pytest.approx(expected, rel=1e-12)  # the same sum of binomials in float64
    assert (finding.wins, finding.losses) == (wins, losses)
    opposite = binomtest(losses, wins + losses, alternative="greater").pvalue
    assert finding.outcome == ("yes" if expected <= 0.05 else "no" if opposite <= 0.05 else "unclear")


def test_ratios_are_paired_by_seed():
    faster, slower = np.array([100.0, 200, 400, 800]), np.array([300.0, 400, 400, 8000])
    finding = sign_test(faster, slower, 2)
    assert finding.ratio.tolist() == [1, 2, 3]
    assert (finding.wins, finding.losses) == (2, 1)  # the ratio of 2 is neither


def test_seeds_that_never_arrive_lose_and_nothing_is_said_where_none_arrives():
    finding = sign_test(np.array([5, NEVER, NEVER, 5, 5]), np.array([NEVER, 5, NEVER, NEVER, NEVER]), 1)
    assert (finding.wins, finding.losses) == (3, 1)
    assert finding.ratio.tolist() == [0, NEVER, NEVER]
    nobody = sign_test(np.full(4, NEVER), np.full(4, NEVER), 1)
    assert (nobody.wins, nobody.losses, nobody.outcome) == (0, 0, "unclear")
    assert np.isnan(nobody.ratio).all()


def with_outcome(outcome):
    return Finding(np.ones(3), 16, 0, 0.0, outcome)


NOBODY = Finding(np.full(3, np.nan), 0, 0, 1.0, "unclear")


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        (["yes", "yes"], "supported"),
        (["yes", "unclear"], "supported in part"),
        (["yes", "no"], "supported in part"),
        (["no", "no"], "not supported"),
        (["no", "unclear"], "not supported"),
        (["unclear"], "not decided"),
        ([], "not decided"),
    ],
)
def test_the_verdict_sums_up_all_thresholds(outcomes, expected):
    assert verdict([*map(with_outcome, outcomes), NOBODY]) == expected


def test_equally_fast_methods_support_no_claim():
    equal = sign_test(np.full(16, 5.0), np.full(16, 5.0), 1)
    faster = sign_test(np.full(16, 5.0), np.full(16, 6.0), 1)
    assert verdict([faster]) == "supported"
    assert verdict([equal, faster]) == "supported in part"
    assert verdict([equal]) == "not decided"


@pytest.mark.parametrize("seeds", range(2, 9))
def test_a_decision_takes_this_many_seeds(seeds):
    one_sided = sign_test(np.full(seeds, 5.0), np.full(seeds, 6.0), 1)
    assert verdict([one_sided]) == ("supported" if seeds >= MIN_SEEDS else "not decided")


def test_claims_are_about_the_methods():
    assert all({claim.faster, claim.slower} <= set(METHODS) for claim in CLAIMS)
    assert [(claim.faster, claim.slower) for claim in CLAIMS] == [
        ("sgd", "gd"),
        ("momentum", "sgd"),
        ("nesterov", "momentum"),
    ]
