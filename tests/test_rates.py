import contextlib
import io
import json
import time

import command_line
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from PIL import Image

from jaxmnist.cli import main
from jaxmnist.optimizers import momentum, nesterov, sgd
from jaxmnist.studies import rates
from jaxmnist.studies import rates_problems as problems
from jaxmnist.training import OPTIMIZERS

FIGURES = ["convex.png", "cycle.png", "noise.png", "quadratics.png"]
SMALL = {"CONDITIONS": 10.0 ** np.arange(1, 6), "CHAIN_STEPS": 200, "CHAINS": 200, "SAMPLES": 80, "SAMPLED_EVERY": 50}


def of_optax(nesterov):
    def make(rate, mu):
        if callable(mu):
            return optax.inject_hyperparams(optax.sgd, static_args="nesterov")(rate, mu, nesterov=nesterov)
        return optax.sgd(rate, mu, nesterov)

    return make


OPTAX = {"sgd": lambda rate, mu: optax.sgd(rate), "momentum": of_optax(False), "nesterov": of_optax(True)}


def make_small(patch):
    for name, value in SMALL.items():
        patch.setattr(problems, name, value)


@pytest.fixture(scope="module")
def measured():
    with pytest.MonkeyPatch.context() as patch:
        make_small(patch)
        return rates.run(jax.random.key(0))


@pytest.fixture
def small(measured, monkeypatch):
    """A small run of our optimizers, in a test where all runs are as small."""
    make_small(monkeypatch)
    return measured


@pytest.fixture(scope="module")
def whole():
    return rates.run(jax.random.key(0))


CLAIMS = {
    "gd-factor": "gradient descent's error shrinks by this factor a step",
    "momentum-factor": "momentum's error shrinks by this factor a step",
    "nesterov-factor": "Nesterov's error shrinks by this factor a step",
    "gd-power": "gradient descent's steps grow as this power of κ",
    "momentum-power": "momentum's steps grow as this power of κ",
    "nesterov-power": "Nesterov's steps grow as this power of κ",
    "gd-convex": "gradient descent's error falls as this power of 1/k",
    "nesterov-convex": "Nesterov's error falls as this power of 1/k, μₖ = (k−1)/(k+2)",
    "lower-bound": "no error is below 3L‖x₀−x*‖²/32(k+1)², from k = 1 on",
    "sgd-variance": "SGD's points: an AR(1) process of this variance",
    "momentum-variance": "momentum's: an AR(2) process of this variance",
    "nesterov-variance": "Nesterov's: an ARMA(2,1) process of this variance",
    "small-steps": "momentum at (η, μ) is SGD at η/(1−μ) = 0.01: variances' ratio",
    "cycle": "momentum goes round three points for ever",
    "minimum": "Nesterov's method gets to the minimum",
}


@pytest.mark.parametrize("index", range(len(CLAIMS)), ids=CLAIMS)
def test_our_optimizers_have_the_rates_of_the_theory(small, index):
    check = rates.assess(small)[index]
    assert check.claim == [*CLAIMS.values()][index]
    assert check.confirmed, check


def disturbed(part, name, **changes):
    """A result with some of its numbers changed by a function."""

    def change(result):
        entries = dict(getattr(result, part))
        for entry in [name] if name else entries:
            for field, function in changes.items():
                value = function(getattr(entries[entry], field))
                entries[entry] = entries[entry]._replace(**{field: value})
        return result._replace(**{part: entries})

    return change


def kinked(name, function):
    return lambda result: result._replace(kinked=result.kinked | {name: function(result.kinked[name])})


METHODS = ("sgd", "momentum", "nesterov")
WRONG = [
    *(disturbed("quadratics", name, rates=lambda rates: rates * 1.02) for name in METHODS),
    *(disturbed("quadratics", name, rates=lambda rates: rates**1.1) for name in METHODS),
    *(disturbed("convex", name, worst=lambda errors: errors**1.1) for name in ("sgd", "nesterov")),
    disturbed("convex", "nesterov", twice=lambda errors: errors / 10),
    *(disturbed("noise", name, variance=lambda variance: variance * 1.3) for name in METHODS),
    disturbed("noise", "momentum", variance=lambda variance: variance * 1.3),
    kinked("momentum", lambda path: path * 0.9 ** np.arange(len(path))[:, None]),
    kinked("nesterov", lambda path: path + 1e-6),
]


@pytest.mark.parametrize("index", range(len(CLAIMS)), ids=CLAIMS)
def test_a_wrong_measurement_isn_t_confirmed(small, index):
    wrong = WRONG[index](small)
    assert not rates.assess(wrong)[index].confirmed
    table = rates.report(wrong)
    (line,) = [line for line in table.splitlines() if [*CLAIMS.values()][index] in line]
    assert line.endswith("NOT CONFIRMED")
    assert "it may never arrive" not in table


def test_methods_that_diverge_confirm_nothing(small):
    diverged = jax.tree.map(lambda leaf: leaf * np.nan if np.issubdtype(leaf.dtype, float) else leaf, small[1:])
    result = rates.Result("jaxmnist", *diverged)
    assert not any(check.confirmed for check in rates.assess(result))
    assert rates.report(result).count("NOT CONFIRMED") == len(CLAIMS)


def test_two_libraries_stand_side_by_side(small):
    other = kinked("nesterov", lambda path: path + 1e-6)(small._replace(library="other"))
    head, *lines = rates.report(small, other).splitlines()
    assert head.split()[-6:] == ["measured,", "jaxmnist", "verdict", "measured,", "other", "verdict"]
    (line,) = [line for line in lines if CLAIMS["minimum"] in line]
    assert line.split("  ")[-1] == "NOT CONFIRMED"
    assert line.count("confirmed") == 1


def test_it_measures_in_float64_and_leaves_float32_behind(small):
    assert jnp.zeros(1).dtype == jnp.float32
    assert small.quadratics["sgd"].errors.dtype == small.kinked["momentum"].dtype == np.float64
    assert small.quadratics["momentum"].errors.min() < 1e-100


def chain_errors(length, steps, accelerated):
    """Errors on Nesterov's worst function with an explicit matrix: gradient descent, or the textbook's Nesterov."""
    matrix = (2 * np.eye(length) - np.eye(length, k=1) - np.eye(length, k=-1)) / 4
    right = np.eye(length)[0] / 4
    lowest = np.linalg.solve(matrix, right)
    x = before = ahead = np.zeros(length)
    errors = []
    for k in range(1, steps + 1):
        before, x = x, ahead - (matrix @ ahead - right)
        ahead = x + (k - 1) / (k + 2) * (x - before) if accelerated else x
        away = ahead - lowest
        errors.append(away @ matrix @ away / 2 / (lowest @ lowest))
    return np.array(errors)


@pytest.mark.parametrize("name", ["sgd", "nesterov"])
def test_errors_on_the_worst_functions_are_those_of_the_textbook_s_form(name, monkeypatch):
    monkeypatch.setattr(problems, "CHAIN_STEPS", 12)
    with jax.enable_x64(True):
        found = problems.decay(name, OPTIMIZERS[name])
    errors = np.stack([chain_errors(2 * k + 1, 12, name == "nesterov") for k in found.steps])
    np.testing.assert_array_equal(found.steps, range(1, 13))
    np.testing.assert_allclose(found.worst, errors.max(axis=0), rtol=1e-10)  # float64, 12 steps
    np.testing.assert_allclose(found.twice, np.diagonal(errors), rtol=1e-10)
    np.testing.assert_array_equal(found.variables, 2 * found.steps[errors.argmax(axis=0)] + 1)


@pytest.mark.parametrize(("name", "power"), [("sgd", -0.5), ("nesterov", -1.0)])
def test_on_one_long_function_errors_fall_more_slowly_as_decay_says(name, power):
    length, steps = 1_001, 100
    lowest = 1 - np.arange(1, length + 1) / (length + 1)

    def excess(x):
        return jnp.sum(jnp.diff(jnp.pad(x - lowest, 1)) ** 2) / 8

    with jax.enable_x64(True):
        optimizer, slope = OPTIMIZERS[name](1.0, problems.vanishing), jax.grad(excess)
        errors = problems.walk(optimizer, lambda x, _: slope(x), jnp.zeros(length), steps, measure=excess)
    # exact only for many steps and yet more variables; here -0.501 and -0.990
    late = np.arange(steps // 2, steps)
    assert rates.exponent(late + 1.0, np.asarray(errors)[late]) == pytest.approx(power, abs=0.02)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(("rate", "mu"), [(0.01, 0.9), (0.5, 0.5), (1.2, 0.3)])
def test_the_variance_at_rest_is_the_sum_of_the_squared_responses_to_one_shock(name, rate, mu):
    x = velocity = 0.0
    responses = []
    for step in range(4_000):  # all have forgotten the shock by then
        slope = x + (step == 0)
        velocity = slope + (0 if name == "sgd" else mu) * velocity
        x = x - rate * (slope + mu * velocity if name == "nesterov" else velocity)
        responses.append(x)
    assert problems.stationary_variance(name, rate, mu) == pytest.approx(np.sum(np.square(responses)), rel=1e-10)


def test_momentum_s_cycle_is_the_published_one(small):
    path = small.kinked["momentum"]
    ends = path[-3:, np.isclose(problems.STARTS, 3.3)].ravel()
    # Lessard, Recht and Packard (2016), appendix B
    np.testing.assert_allclose(sorted(ends), np.array([-2208, 792, 2592]) / 1225, rtol=1e-12)
    x = np.linspace(-4, 4, 8_001)
    steepness = np.diff(problems.kinked_slope(x)) / np.diff(x)
    # between 1/κ and 1, so smooth and strongly convex; float32 of numbers up to 4 over 1e-3
    assert steepness.min() == pytest.approx(1 / 25, abs=1e-3)
    assert steepness.max() == pytest.approx(1, abs=1e-3)


@pytest.mark.slow
def test_ours_and_optax_s_have_all_rates_of_the_theory(whole):
    with jax.numpy_dtype_promotion("standard"):  # optax promotes silently
        theirs = rates.run(jax.random.key(0), OPTAX, "optax")
    print(rates.report(whole, theirs))
    assert [check.claim for check in rates.assess(theirs)] == [*CLAIMS.values()]
    for check in (*rates.assess(whole), *rates.assess(theirs)):
        assert check.confirmed, check
    # The same steps while μ is constant; with a schedule optax looks ahead with this step's μ, and ours with the next.
    for name in METHODS:
        np.testing.assert_allclose(whole.quadratics[name].rates, theirs.quadratics[name].rates, rtol=1e-9)


@pytest.mark.slow
def test_worse_optimizers_are_found_out():
    worse = {
        "sgd": lambda rate, mu: sgd(0.98 * rate),
        "momentum": lambda rate, mu: momentum(rate, 0.99 * mu),
        "nesterov": lambda rate, mu: nesterov(rate, 0.9 if callable(mu) else 0.99 * mu),
    }
    verdicts = [check.confirmed for check in rates.assess(rates.run(jax.random.key(0), worse))]
    assert not any(verdicts[:3])
    assert not verdicts[7]
    assert not any(verdicts[9:12])


@pytest.mark.slow
def test_the_command_prints_the_table_and_writes_numbers_and_figures(tmp_path):
    folder, printed, shown = tmp_path / "r", io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(shown):
        assert main(["rates", "--run-dir", str(folder)]) == 0
    files = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    assert files == sorted([*FIGURES, "rates.json"])
    assert f"in {folder}: {', '.join(files)}" in printed.getvalue()
    assert "10 of 10 measurements" in shown.getvalue()
    content = json.loads((folder / "rates.json").read_text())
    assert [check["claim"] for check in content["checks"]] == [*CLAIMS.values()]
    for check in content["checks"]:
        (line,) = [line for line in printed.getvalue().splitlines() if check["claim"] in line]
        assert check["confirmed"]
        assert check["measured"] in line
        assert line.endswith("  confirmed")
    for figure in FIGURES:
        with Image.open(folder / figure) as image:
            assert image.width >= 800
            assert image.height >= 480


def test_a_used_folder_is_refused_before_anything_is_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(rates, "run", None)
    (tmp_path / "mine.txt").touch()
    assert main(["rates", "--run-dir", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"error: --run-dir {tmp_path}: holds mine.txt already")


@pytest.mark.measured
def test_the_command_takes_at_most_a_minute(tmp_path):
    begin = time.monotonic()
    result = command_line.run(tmp_path, "rates", "--run-dir", tmp_path / "r")
    seconds = time.monotonic() - begin
    print(f"{result.stdout}\nwhole {seconds:.1f} s")
    assert result.returncode == 0, result.stderr
    assert "NOT CONFIRMED" not in result.stdout
    assert seconds <= 60
