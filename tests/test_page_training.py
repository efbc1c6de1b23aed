"""The page's computing core in a real browser: its random numbers, training and digits are Python's."""

import base64

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from browser import ROOT
from pages import packed_digits

from jaxmnist.config import Config
from jaxmnist.dataset import minibatch_order, take
from jaxmnist.metrics import evaluate
from jaxmnist.network import init
from jaxmnist.training import start, train_epoch

slow = pytest.mark.slow

MODULES = ("numbers", "normalise", "network", "random", "training", "digits")
EXPOSED = """
function digitsIn(packed) {
  const loading = loadDigits(packed);
  for (;;) {
    const { done, value } = loading.next();
    if (done) return value;
  }
}
globalThis.core = { random, minibatchOrder, init, start, trainEpoch, trainStep, evaluate, digitsIn };
"""
BYTES = "(array) => Array.from(new Uint8Array(array.buffer), (byte) => String.fromCharCode(byte)).join('')"
TRAIN = f"""([packed, seed, config, examples, epochs]) => {{
  const {{ train, test }} = core.digitsIn(packed), state = core.start(core.random.key(seed), config), costs = [];
  const set = {{ images: train.images.subarray(0, 784 * examples), labels: train.labels.subarray(0, examples) }};
  for (let epoch = 0; epoch < epochs; epoch++) costs.push(...core.trainEpoch(state, set, config));
  const evaluation = core.evaluate(state.network, test);
  let result;
  do result = evaluation.next(); while (!result.done);
  const written = (array) => btoa(({BYTES})(array));
  return {{ costs, params: written(state.params), velocity: written(state.velocity), ...result.value }};
}}"""
RACE = """([packed, seed, config, goal]) => {
  const { train, test } = core.digitsIn(packed), begin = performance.now(), slices = [];
  const state = core.start(core.random.key(seed), config);
  for (;;) {
    let last = performance.now();
    for (const cost of core.trainEpoch(state, train, config)) slices.push(-last + (last = performance.now()));
    const evaluation = core.evaluate(state.network, test);
    let result = evaluation.next();
    for (; !result.done; result = evaluation.next()) slices.push(-last + (last = performance.now()));
    const seconds = (performance.now() - begin) / 1000;
    if (result.value.accuracy >= goal || seconds > 60) return { seconds, epochs: state.epoch, slices, ...result.value };
  }
}"""


def joined(names):
    return "\n".join((ROOT / "jaxmnist" / "page" / f"{name}.js").read_text(encoding="utf-8") for name in names)


@pytest.fixture(scope="module")
def core(browser):
    """Calls a function of the modules, which are alone in a blank page."""
    page = browser.new_page()
    page.add_script_tag(content=joined(MODULES) + EXPOSED, type="module")
    page.wait_for_function("globalThis.core")
    yield page.evaluate
    page.close()


@pytest.fixture(scope="module")
def packed():
    return packed_digits()


def page_config(config):
    """A recipe as training.js reads it."""
    names = {"learning_rate": "learningRate", "batch_size": "batchSize"}
    fields = ("sizes", "activation", "cost", "optimizer", "learning_rate", "momentum", "batch_size")
    return {names.get(field, field): getattr(config, field) for field in fields}


def numbers(text, dtype="<f4"):
    return np.frombuffer(base64.b64decode(text), dtype)


def leaves_in(flat, params):
    """The page's flat numbers as a list like the leaves of `params`."""
    leaves = jax.tree.leaves(params)
    parts = np.split(flat, np.cumsum([leaf.size for leaf in leaves])[:-1])
    return [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)]


def largest_error(flat, params):
    """The largest error in any array, as a share of that array's largest number."""
    pairs = zip(leaves_in(flat, params), jax.tree.leaves(params), strict=True)
    return max(float(np.max(np.abs(page - np.asarray(leaf))) / np.max(np.abs(leaf))) for page, leaf in pairs)


@slow
@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32 - 1])
def test_random_numbers_are_jaxs(core, seed):
    key = jax.random.key(seed)
    page = core(
        """(seed) => { const { random } = core, key = random.key(seed), list = (array) => Array.from(array);
          return [key, random.split(key, 3), random.foldIn(key, 7), list(random.bits(key, 5)),
                  list(random.uniform(key, 5)), list(random.uniform(key, 5, -1, 3))]; }""",
        seed,
    )
    data = jax.random.key_data
    python = [data(key), data(jax.random.split(key, 3)), data(jax.random.fold_in(key, 7)), jax.random.bits(key, (5,)),
              jax.random.uniform(key, 5), jax.random.uniform(key, 5, minval=-1, maxval=3)]  # fmt: skip
    assert page == [array.tolist() for array in python]


@slow
@pytest.mark.parametrize(
    ("seed", "examples", "batch_size"),
    [(0, 1437, 10), (1, 1437, 32), (2**32 - 1, 60_000, 128), (3, 100_001, 7), (4, 33, 33), (5, 64, 3), (6, 1, 1)],
)
def test_minibatches_are_pythons(core, seed, examples, batch_size):
    page = core("([seed, ...sizes]) => core.minibatchOrder(core.random.key(seed), ...sizes).map((row) => [...row])",
                [seed, examples, batch_size])  # fmt: skip
    assert np.array_equal(page, minibatch_order(jax.random.key(seed), examples, batch_size))


@slow
@pytest.mark.parametrize("sizes", [(784, 16, 16, 10), (784, 10), (784, 300, 10)])
@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_the_start_is_pythons(core, seed, sizes):
    page = core("([seed, sizes]) => Array.from(core.init(core.random.key(seed), sizes))", [seed, sizes])
    params = init(jax.random.key(seed), sizes)
    # Both evaluate a polynomial in float32's precision, 6e-8; the logarithms in it are rounded differently.
    for ours, leaf in zip(leaves_in(np.array(page), params), jax.tree.leaves(params), strict=True):
        assert np.max(np.abs(ours - np.asarray(leaf))) <= 1e-6


@slow
def test_the_digits_are_pythons_byte_for_byte(core, packed, digits):
    for name in ("train", "test"):
        page = core(
            f"([packed, name]) => {{ const {{ images, labels }} = core.digitsIn(packed)[name];"
            f" return [btoa(({BYTES})(images)), btoa(({BYTES})(labels))]; }}",
            [packed, name],
        )
        images, labels = (numbers(text, np.uint8) for text in page)
        assert np.array_equal(images.reshape(-1, 784), getattr(digits, name).images)
        assert np.array_equal(labels, getattr(digits, name).labels)


@slow
@pytest.mark.parametrize(
    ("optimizer", "learning_rate", "options"),
    [("sgd", 3.0, {}), ("momentum", 0.3, {}), ("nesterov", 0.3, {}),
     ("sgd", 0.1, {"activation": "relu", "cost": "cross_entropy"}),
     ("momentum", 0.05, {"activation": "tanh", "sizes": (784, 30, 10)}),
     ("nesterov", 0.02, {"activation": "silu", "cost": "cross_entropy", "sizes": (784, 20, 20, 20, 10)})],
)  # fmt: skip
@pytest.mark.parametrize("seed", [0, 7])
def test_the_first_100_steps_are_pythons(core, packed, digits, optimizer, learning_rate, options, seed):
    config = Config(optimizer=optimizer, learning_rate=learning_rate, batch_size=20, schedule="constant", **options)
    train_set = take(digits.train, jnp.arange(1000))
    state, costs = start(jax.random.key(seed), config), []
    for _epoch in range(2):  # of 50 steps
        state, epoch_costs = train_epoch(state, train_set, config)
        costs.extend(epoch_costs.tolist())
    page = core(TRAIN, [packed, seed, page_config(config), 1000, 2])
    # Measured: 7e-7, as far as float32 is from float64 in Python itself.
    assert largest_error(numbers(page["params"]), state.params) <= 1e-5
    if optimizer != "sgd":
        assert largest_error(numbers(page["velocity"]), state.optimizer_state.velocity) <= 1e-5
    np.testing.assert_allclose(page["costs"], costs, rtol=1e-5)
    expected = evaluate(state.params, digits.test, config.activation, config.cost)
    assert page["accuracy"] == pytest.approx(float(expected.accuracy), abs=1e-7)
    assert page["cost"] == pytest.approx(float(expected.cost), rel=1e-5)


@pytest.mark.measured
@pytest.mark.parametrize(("optimizer", "learning_rate", "batch_size"), [("sgd", 3.0, 10), ("nesterov", 0.3, 32)])
def test_the_page_reaches_93_percent_in_20_seconds(core, packed, optimizer, learning_rate, batch_size):
    config = Config(optimizer=optimizer, learning_rate=learning_rate, batch_size=batch_size)
    for seed in range(3):
        page = core(RACE, [packed, seed, page_config(config), 0.93])
        slice_95, longest = np.quantile(page["slices"], 0.95), max(page["slices"])
        print(f"{optimizer}: {page['accuracy']:.1%} after {page['epochs']} epochs in {page['seconds']:.1f} s;"
              f" slices: 95 % ≤ {slice_95:.1f} ms, longest {longest:.1f} ms")  # fmt: skip
        assert page["accuracy"] >= 0.93
        assert page["seconds"] <= 20
        assert slice_95 <= 12
