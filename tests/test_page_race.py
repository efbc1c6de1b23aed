"""The page's Race view in a real browser: the ravine's paths and the race's costs are Python's."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pages import network
from playwright.sync_api import expect

from jaxmnist.config import Config
from jaxmnist.dataset import take
from jaxmnist.metrics import evaluate
from jaxmnist.optimizers import apply_updates, momentum, nesterov, sgd
from jaxmnist.studies.claims import quartiles
from jaxmnist.studies.race import first_at_or_below
from jaxmnist.training import start, train_epoch

slow = pytest.mark.slow

MAKE = {"gd": lambda rate, mu: sgd(rate), "momentum": momentum, "nesterov": nesterov}
WAYS = """() => Object.fromEntries(Object.entries(jaxmnist.views.race.ravine.ways).map(([method, way]) =>
  [method, way.slice(0, 61).map(({ position, ahead }) => [position, ahead])]))"""
COSTS = "() => jaxmnist.views.race.race.racers.map(({ costs }) => costs)"
EVALUATED = "(count) => jaxmnist.views.race.race.racers.at(-1).costs.at(-1).length >= count"
FINISH = """(costs) => {
  const { race } = jaxmnist.views.race;
  race.racers.forEach((racer, at) => (racer.costs = costs[at]));
  race.done = true;
  race.show();
}"""
STEPS = {"gd": 1, "sgd": 44, "momentum": 44, "nesterov": 44}
NAMES = {"gd": "gradient descent", "sgd": "SGD", "momentum": "momentum", "nesterov": "Nesterov"}


def best_constants(method, kappa):
    """η and μ in closed form, for curvatures in [1/κ, 1]."""
    root = np.sqrt(kappa)
    return {
        "gd": (2 / (1 + 1 / kappa), 0.0),
        "momentum": (4 / (1 + 1 / root) ** 2, ((root - 1) / (root + 1)) ** 2),
        "nesterov": (1.0, (root - 1) / (root + 1)),
    }[method]


@partial(jax.jit, static_argnames=("method", "steps"))
def parameters(method, kappa, eta, mu, begin, steps):
    """The path of Python's optimizer."""
    curvatures, optimizer = jnp.array([1 / kappa, 1.0]), MAKE[method](eta, mu)

    def step(carried, _):
        point, state = carried
        update, state = optimizer.update(curvatures * point, state)
        point = apply_updates(point, update)
        return (point, state), point

    _end, path = jax.lax.scan(step, (begin, optimizer.init(begin)), length=steps)
    return jnp.concatenate([begin[None], path])


def textbook(kappa, eta, mu, begin, steps):
    """Nesterov's positions: v ← μ v − η ∇C(θ' + μ v), θ' ← θ' + v."""
    point, velocity = np.array(begin), np.zeros(2)
    path = [point]
    for _ in range(steps):
        velocity = mu * velocity - eta * np.array([1 / kappa, 1.0]) * (point + mu * velocity)
        point = point + velocity
        path.append(point)
    return np.array(path)


def shown_number(shown, name):
    return float(shown.locator(f"#ravine-{name}-value").inner_text())


@slow
@pytest.mark.parametrize(
    ("log_kappa", "log_eta", "mu", "constants"),
    [(1.3, 0, 0.8, "best"), (3, 0, 0.8, "best"), (0, 0, 0.5, "best"), (1.3, 0.2, 0.9, "same"), (2, -1, 0.5, "same"),
     (0.7, 0.45, 0.3, "same")],
)  # fmt: skip
def test_the_ravines_paths_are_those_of_pythons_optimizers(opened, log_kappa, log_eta, mu, constants):
    values = {"kappa": log_kappa, "eta": log_eta, "mu": mu, "constants": constants, "x": -0.9, "y": 0.3}
    shown = opened(network(), address="#race?" + "&".join(f"ravine-{name}={value}" for name, value in values.items()))
    kappa, eta = shown_number(shown, "kappa"), shown_number(shown, "eta")
    assert (kappa, eta) == pytest.approx((10**log_kappa, 10**log_eta), rel=0.05)  # two digits are shown, and used
    with jax.enable_x64(True):
        for method, way in shown.evaluate(WAYS).items():
            rate, kept = best_constants(method, kappa) if constants == "best" else (eta, mu)
            position, ahead = np.array(way[:61], float).swapaxes(0, 1)
            path = np.array(parameters(method, kappa, rate, kept, jnp.array([-0.9, 0.3]), 300))
            np.testing.assert_allclose(ahead, path[:61], rtol=1e-9, atol=1e-9)  # float64 in both
            drawn = textbook(kappa, rate, kept, [-0.9, 0.3], 300) if method == "nesterov" else path
            np.testing.assert_allclose(position, drawn[:61], rtol=1e-9, atol=1e-9)
            text = shown.locator(f"#ravine-{method}").inner_text()
            assert text.startswith(f"η = {rate:.3g}" + (":" if method == "gd" else f", μ = {kept:.3g}:"))
            check_arrival(text, np.linalg.norm(drawn, axis=1) / np.hypot(0.9, 0.3))


def check_arrival(text, distance):
    """Assert that the sentence says when a method arrives, as far as 300 steps show it."""
    arrived = 1 + np.flatnonzero(~(distance <= 0.01))[-1]
    if arrived < 250:
        assert text.endswith(f"within 1 % of the start’s distance after {arrived} steps.")
    elif distance[-1] > 1:
        assert text.endswith("diverges.")
    else:
        late = re.search(r"after ([\d,]+) steps\.$|not within .* in (2,000) steps\.$", text)
        assert int((late[1] or late[2]).replace(",", "")) >= 250


@slow
def test_the_ravine_is_walked_by_buttons_and_keys_and_from_any_start(opened):
    shown = opened(network(), address="#race")
    steps = shown.locator("#ravine-steps")
    shown.get_by_role("button", name="Forward").click()
    assert steps.input_value() == "7"
    for _ in range(2):
        shown.get_by_role("button", name="Back").click()
    assert (steps.input_value(), shown.locator("#ravine-steps-value").inner_text()) == ("5", "5")
    shown.get_by_role("button", name="Play").click()
    shown.wait_for_function("() => document.getElementById('ravine-steps').value > 7")
    shown.locator("#ravine-play").click()
    paused = steps.input_value()
    shown.wait_for_timeout(400)
    assert steps.input_value() == paused
    assert f"ravine-steps={paused}" in shown.url
    steps.focus()
    shown.keyboard.press("End")
    shown.get_by_role("button", name="Play").click()
    shown.wait_for_function("() => document.getElementById('ravine-steps').value < 40")  # from the start again
    shown.evaluate("location.hash = '#draw'")
    shown.wait_for_timeout(100)
    left = steps.input_value()
    shown.wait_for_timeout(400)
    assert steps.input_value() == left
    shown.evaluate("location.hash = '#race'")

    board = shown.locator("#ravine-map")
    box = board.bounding_box()
    inner = box["width"] - 54, box["height"] - 44  # without the margins
    shown.mouse.click(box["x"] + 44 + inner[0] * (1.2 - 0.7) / 1.8, box["y"] + 10 + inner[1] * (0.45 - 0.3) / 0.9)
    begin = shown.evaluate(WAYS)["gd"][0][0]
    np.testing.assert_allclose(begin, [-0.7, 0.3], atol=0.004)  # a pixel
    board.focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowDown"):
        shown.keyboard.press(key)
    np.testing.assert_allclose(shown.evaluate(WAYS)["gd"][0][0], np.add(begin, [0.05, -0.1]), atol=1e-9)
    for _ in range(40):
        shown.keyboard.press("ArrowRight")
    assert shown.evaluate(WAYS)["gd"][0][0][0] == pytest.approx(0.55)  # the edge
    picture = board.evaluate("canvas => canvas.toDataURL()")
    again = opened(network(), address="#" + shown.url.split("#")[1])
    assert again.evaluate(WAYS) == shown.evaluate(WAYS)
    assert again.locator("#ravine-map").evaluate("canvas => canvas.toDataURL()") == picture
    assert re.fullmatch(
        r"Contour lines of a bowl with κ = 20\. Start: x = 0\.55, y = .*: gradient descent [\d.]+, momentum .*",
        board.get_attribute("aria-label"),
    )


@slow
def test_moving_a_rate_applies_it_to_all_methods(opened):
    shown = opened(network(), address="#race")
    shown.locator("#ravine-mu").focus()
    shown.keyboard.press("ArrowRight")
    assert shown.locator("#ravine-constants").input_value() == "same"
    assert shown.locator("#ravine-momentum").inner_text().startswith("η = 1, μ = 0.81: ")
    shown.locator("#ravine-constants").select_option("best")
    assert shown.locator("#ravine-momentum").inner_text().startswith("η = 2.67, μ = 0.403: ")


@slow
def test_reduced_motion_shows_the_end_of_the_walk_at_once(opened):
    shown = opened(network(), address="#race", reduced_motion="reduce")
    shown.get_by_role("button", name="Play").click()
    assert shown.locator("#ravine-steps").input_value() == "60"
    assert shown.get_by_role("button", name="Play").is_visible()


@slow
def test_the_races_costs_are_pythons(opened, digits):
    shown = opened(network(), address="#race")
    shown.get_by_role("button", name="Run").click()
    shown.wait_for_function(EVALUATED, arg=2)
    shown.locator("#race-run").click()
    costs = shown.evaluate(COSTS)
    probe = take(digits.train, jnp.arange(500))
    for method, rate, ours in zip(NAMES, (2.0, 4.0, 0.3, 0.5), costs, strict=True):
        assert [len(own) >= 2 for own in ours] == [True] * 8
        config = Config(
            optimizer="sgd" if method == "gd" else method, learning_rate=rate, momentum=0.9, schedule="constant",
            batch_size=1437 if method == "gd" else 32,
        )  # fmt: skip
        for seed in (0, 7):
            state = start(jax.random.key(seed), config)
            assert ours[seed][0] == pytest.approx(float(evaluate(state.params, probe).cost), abs=1e-5)
            state, _costs = train_epoch(state, digits.train, config)
            assert ours[seed][1] == pytest.approx(float(evaluate(state.params, probe).cost), abs=1e-4)


def made_up(random):
    """Costs of a race for four methods, eight starts and all epochs, falling from 2.5 at random speeds."""
    speeds = random.uniform(0.05, 0.4, (4, 8, 1)) * np.array([0.01, 1, 1, 1])[:, None, None]
    return 2.5 * np.exp(-speeds * np.arange(19))


@slow
@pytest.mark.parametrize("seed", range(3))
def test_what_the_race_says_is_what_pythons_study_says(opened, seed):
    costs = made_up(np.random.default_rng(seed))
    shown = opened(network(), address="#race", viewport={"width": 360, "height": 740})
    expect(shown.locator("#race-run")).to_be_enabled()
    shown.evaluate(FINISH, costs.tolist())
    medians, ends = {}, {}
    for method, own in zip(NAMES, costs, strict=True):
        steps = STEPS[method] * np.arange(19)
        medians[method] = float(quartiles(first_at_or_below(own, steps, [0.2]))[1, 0])
        ends[method] = quartiles(own[:, -1])[1]
        made = medians[method] if np.isfinite(medians[method]) else 18 * STEPS[method]
        examples = f"{made * (1437 if method == 'gd' else 32):,.0f} examples"
        place = "at 0.2 after" if np.isfinite(medians[method]) else "not at 0.2 in"
        expected = f"cost {ends[method]:.2f}; {place} {made:.0f} steps, {examples}"
        assert shown.locator(f"#race-{method}-result").inner_text() == expected
        chart_name = re.compile(f"{NAMES[method]}.*{re.escape(expected)}")
        expect(shown.locator("#race-chart")).to_have_accessible_name(chart_name)
    assert not np.isfinite(medians["gd"])
    least = min(medians.values())
    first = ", ".join(NAMES[method] for method, median in medians.items() if median == least)
    sentence = "First at a cost of 0.2, counted in {}: {}, after {:,.0f}, the median of 8 starts."
    verdict, chart = shown.locator("#race-verdict"), shown.locator("#race-chart")
    assert verdict.inner_text() == sentence.format("steps", first, least)
    over_steps = chart.evaluate("canvas => canvas.toDataURL()")
    shown.locator("#race-axis").select_option("examples")
    assert verdict.inner_text() == sentence.format("examples", first, 32 * least)
    assert chart.evaluate("canvas => canvas.toDataURL()") != over_steps
    shown.locator("#race-axis").select_option("steps")
    assert chart.evaluate("canvas => canvas.toDataURL()") == over_steps
    shown.locator("#language").select_option("ko")
    assert set(re.findall("[A-Za-z]{2,}", shown.locator(".racing .methods, #race-verdict").all_inner_texts()[0])) <= {
        "SGD"
    }
    assert shown.evaluate("document.documentElement.scrollWidth") <= 360
    shown.evaluate(FINISH, np.maximum(costs, 0.21).tolist())
    assert "0.2까지 가지 못했습니다" in verdict.inner_text()


@slow
def test_a_race_pauses_where_it_is_left_and_other_rates_begin_it_anew(opened):
    shown = opened(network(), address="#race?race-rates=one&race-one=0.7")
    own = shown.locator(".racing .methods input")
    assert [one.is_disabled() for one in own.all()] == [True] * 4
    rates = "jaxmnist.views.race.race.racers.map(({ config }) => config.learningRate)"
    assert shown.evaluate(rates) == [0.7] * 4
    shown.get_by_role("button", name="Run").click()
    shown.wait_for_function(EVALUATED, arg=1)
    expect(shown.locator("#race-verdict")).to_have_text(re.compile(r"^\d+ % of the race is run\.$"))
    shown.evaluate("location.hash = '#draw'")
    shown.wait_for_timeout(100)
    left = shown.evaluate(COSTS)
    shown.wait_for_timeout(500)
    assert shown.evaluate(COSTS) == left
    shown.evaluate("location.hash = '#race'")
    assert shown.locator("#race-run").inner_text() == "Run"
    shown.locator("#race-run").click()
    shown.wait_for_function(
        "(before) => jaxmnist.views.race.race.racers[0].costs.flat().length > before", arg=sum(map(len, left[0]))
    )
    assert shown.evaluate(COSTS)[0][0][0] == left[0][0][0]
    shown.locator("#race-rates").select_option("own")
    assert shown.evaluate(rates) == [2, 4, 0.3, 0.5]
    assert shown.evaluate(COSTS) == [[[]] * 8] * 4
    assert shown.locator("#race-verdict").inner_text().startswith("Run the race")
    shown.locator("#race-sgd").fill("5")
    assert shown.evaluate(rates) == [2, 5, 0.3, 0.5]
    shown.locator("#race-run").click()
    shown.wait_for_function("() => jaxmnist.views.race.race.racers[0].costs[0].length")
    shown.get_by_role("button", name="Reset").click()
    shown.wait_for_timeout(200)
    assert shown.evaluate(COSTS) == [[[]] * 8] * 4
    assert not shown.evaluate("Boolean(jaxmnist.views.race.race.stop)")


@pytest.mark.measured
@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_a_race_takes_at_most_a_minute_and_the_page_stays_responsive(opened, motion):
    shown = opened(network(), address="#race", reduced_motion=motion)
    shown.evaluate("""() => {
      globalThis.frames = [];
      let last = performance.now();
      requestAnimationFrame(function frame(now) { frames.push(now - last); last = now; requestAnimationFrame(frame); });
    }""")
    shown.get_by_role("button", name="Run").click()
    begin = shown.evaluate("performance.now()")
    shown.wait_for_function("() => jaxmnist.views.race.race.done", timeout=240_000)
    seconds = (shown.evaluate("performance.now()") - begin) / 1000
    usual = np.quantile(shown.evaluate("frames"), 0.95)
    print(f"{seconds:.1f} s; frames: 95 % ≤ {usual:.1f} ms; {shown.locator('#race-verdict').inner_text()}")
    print(shown.locator(".racing .methods").inner_text())
    assert seconds <= 60
    assert usual <= 33
