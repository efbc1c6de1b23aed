// The network: forward, the cost, and back-propagation, as in jaxmnist/network.py, cost.py and backprop.py.
// A network is { sizes, activation, cost, layers }, a layer { inputs, outputs, weights, biases }; row j of the weights
// holds the strengths of all connections into neuron j.

const sigmoid = (z) => 1 / (1 + Math.exp(-z));

/** σ of the hidden layers, and its slope σ'(z). */
const ACTIVATIONS = {
  sigmoid: { value: sigmoid, slope: (z) => sigmoid(z) * (1 - sigmoid(z)) },
  tanh: { value: Math.tanh, slope: (z) => (1 - Math.tanh(z)) * (1 + Math.tanh(z)) },
  relu: { value: (z) => Math.max(z, 0), slope: (z) => (z > 0 ? 1 : 0) },
  silu: { value: (z) => z * sigmoid(z), slope: (z) => sigmoid(z) * (1 + z * (1 - sigmoid(z))) },
};

/** The smallest normal number of float32: an output below it counts as it, so that its logarithm stays finite. */
const SMALLEST = 2 ** -126;

/** The cost C: what it does to the weighted sums to make outputs, its term for one output, and ∂C/∂z of the outputs. */
const COSTS = {
  squared_error: {
    outputs: (z) => z.map(sigmoid),
    term: (a, y) => (a - y) ** 2,
    delta: (a, y) => a.map((value, j) => 2 * (value - y[j]) * value * (1 - value)),
    outputSlope: (a, right) => a.map((value, j) => (j === right ? value * (1 - value) : 0)),
  },
  cross_entropy: {
    outputs: softmax,
    term: (a, y) => (y ? -y * Math.log(Math.max(a, SMALLEST)) : 0),
    delta: (a, y) => a.map((value, j) => value - y[j]),
    outputSlope: (a, right) => a.map((value, j) => a[right] * ((j === right ? 1 : 0) - value)),
  },
};

function softmax(z) {
  const largest = Math.max(...z);
  const powers = z.map((value) => Math.exp(value - largest));
  const sum = powers.reduce((one, other) => one + other, 0);
  return powers.map((power) => power / sum);
}

/** Read what the page was exported with: float32 in base64, each layer's weights before its biases. */
function decodeNetwork({ sizes, activation, cost }, base64) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const numbers = Float64Array.from({ length: bytes.length / 4 }, (_, at) => view.getFloat32(4 * at, true));
  let from = 0;
  const take = (count) => numbers.subarray(from, (from += count));
  const layers = sizes.slice(1).map((outputs, at) => {
    const inputs = sizes[at];
    return { inputs, outputs, weights: take(inputs * outputs), biases: take(outputs) };
  });
  return { sizes, activation, cost, layers };
}

/** Every layer's weighted sums z and activations a; a[0] is the image, z[0] nothing. */
function forward(network, image) {
  const a = [Float64Array.from(image)], z = [null];
  network.layers.forEach((layer, at) => {
    const sums = Float64Array.from(layer.biases);
    for (let j = 0; j < layer.outputs; j++) {
      for (let k = 0, from = j * layer.inputs; k < layer.inputs; k++) sums[j] += layer.weights[from + k] * a[at][k];
    }
    z.push(sums);
    const last = at === network.layers.length - 1;
    a.push(last ? COSTS[network.cost].outputs(sums) : sums.map(ACTIVATIONS[network.activation].value));
  });
  return { a, z };
}

const oneHot = (label) => Array.from({ length: 10 }, (_, j) => (j === label ? 1 : 0));

/** The ten terms of the cost and their sum. */
function ledger(network, outputs, label) {
  const y = oneHot(label);
  const terms = Array.from(outputs, (a, j) => COSTS[network.cost].term(a, y[j]));
  return { terms, cost: terms.reduce((sum, term) => sum + term, 0) };
}

/** Go back from ∂/∂z at the outputs: ∂/∂z of every layer (by a layer's place in a), and ∂/∂pixels. */
function backwards(network, { a, z }, atOutputs) {
  const deltas = a.map(() => null);
  let delta = Float64Array.from(atOutputs);
  for (let at = network.layers.length - 1; at >= 0; at--) {
    deltas[at + 1] = delta;
    const { inputs, outputs, weights } = network.layers[at];
    const sensitivities = new Float64Array(inputs);
    for (let j = 0; j < outputs; j++) {
      for (let k = 0, from = j * inputs; k < inputs; k++) sensitivities[k] += weights[from + k] * delta[j];
    }
    if (at === 0) return { deltas, pixels: sensitivities };
    delta = sensitivities.map((value, k) => value * ACTIVATIONS[network.activation].slope(z[at][k]));
  }
}

/** Of the cost with this label: ∂C/∂z of every layer, which is also ∂C/∂b, and ∂C/∂pixels. */
function costGradient(network, passed, label) {
  return backwards(network, passed, COSTS[network.cost].delta(passed.a.at(-1), oneHot(label)));
}

/** Of one output: ∂a/∂pixels, by how much more ink in each pixel would raise it. */
function outputGradient(network, passed, label) {
  return backwards(network, passed, COSTS[network.cost].outputSlope(passed.a.at(-1), label)).pixels;
}
