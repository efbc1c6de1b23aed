// The network: forward, the cost, and back-propagation, as in jaxmnist/network.py, cost.py and backprop.py.
// A network is { sizes, activation, cost, layers, numbers }, a layer { inputs, outputs, weights, biases }; row j of the
// weights holds the strengths of all connections into neuron j. The layers share the network's numbers.

const sigmoid = (z) => 1 / (1 + Math.exp(-z));
const sigmoidSlope = (z) => sigmoid(z) * (1 - sigmoid(z));
const softmax = (z) => logSoftmax(z).map(Math.exp);

/** Each activation function σ of the hidden layers with its slope σ'(z). */
const ACTIVATIONS = {
  sigmoid: { value: sigmoid, slope: sigmoidSlope },
  tanh: { value: Math.tanh, slope: (z) => (1 - Math.tanh(z)) * (1 + Math.tanh(z)) },
  relu: { value: (z) => Math.max(z, 0), slope: (z) => (z > 0 ? 1 : 0) },
  silu: { value: (z) => z * sigmoid(z), slope: (z) => sigmoid(z) * (1 + z * (1 - sigmoid(z))) },
};

/**
 * Each cost C, as functions of the last layer's weighted sums z: the outputs a; C's terms, one for each output; ∂C/∂z;
 * and ∂a/∂z of one output. With them, how the page writes the output function, a term, and ∂C/∂z.
 */
const COSTS = {
  squared_error: {
    outputs: (z) => z.map(sigmoid),
    terms: (z, y) => z.map((sum, j) => (sigmoid(sum) - y[j]) ** 2),
    delta: (z, y) => z.map((sum, j) => 2 * (sigmoid(sum) - y[j]) * sigmoidSlope(sum)),
    outputSlope: (z, output) => z.map((sum, j) => (j === output ? sigmoidSlope(sum) : 0)),
    outputName: "σ(z)",
    formula: "(a\u00a0−\u00a0y)²",
    deltaFormula: "2(a\u00a0−\u00a0y)\u00a0σ′(z)",
  },
  cross_entropy: {
    outputs: softmax,
    terms: (z, y) => logSoftmax(z).map((logarithm, j) => -y[j] * logarithm),
    delta: (z, y) => softmax(z).map((a, j) => a - y[j]),
    outputSlope: (z, output) => softmax(z).map((a, j, all) => all[output] * ((j === output ? 1 : 0) - a)),
    outputName: "softmax(z)",
    formula: "−y\u00a0ln\u00a0a",
    deltaFormula: "a\u00a0−\u00a0y",
  },
};

function logSoftmax(z) {
  const largest = Math.max(...z); // without it, exp overflows
  const logarithm = largest + Math.log(z.reduce((sum, value) => sum + Math.exp(value - largest), 0));
  return z.map((value) => value - logarithm);
}

/** The network whose numbers these are, each layer's weights before its biases; it shares them. */
function networkOf({ sizes, activation, cost }, numbers) {
  let start = 0;
  const take = (count) => numbers.subarray(start, (start += count));
  const layers = sizes.slice(1).map((outputs, at) => {
    const inputs = sizes[at];
    return { inputs, outputs, weights: take(inputs * outputs), biases: take(outputs) };
  });
  return { sizes, activation, cost, layers, numbers };
}

/** Every layer's weighted sums z and activations a; a[0] is the image, z[0] nothing. */
function forward({ layers, activation, cost }, image) {
  const a = [image], z = [null];
  layers.forEach((layer, at) => {
    const sums = weightedSums(layer, a[at]);
    z.push(sums);
    a.push(at === layers.length - 1 ? COSTS[cost].outputs(sums) : sums.map(ACTIVATIONS[activation].value));
  });
  return { a, z };
}

/** z = W a + b, in a plain list, which is made and mapped fastest. Inputs of 0 are skipped, as most pixels are. */
function weightedSums({ inputs, outputs, weights, biases }, a) {
  const sums = [];
  for (let j = 0; j < outputs; j++) sums.push(biases[j]);
  for (let k = 0; k < inputs; k++) {
    const input = a[k];
    if (input === 0) continue;
    for (let j = 0; j < outputs; j++) sums[j] += weights[j * inputs + k] * input;
  }
  return sums;
}

const ONE_HOT = Array.from({ length: 10 }, (_, label) => Array.from({ length: 10 }, (_, j) => (j === label ? 1 : 0)));
const oneHot = (label) => ONE_HOT[label];

/** The ten terms of the cost, and their sum. */
function ledger(network, { z }, label) {
  const terms = COSTS[network.cost].terms(z.at(-1), oneHot(label));
  return { terms, cost: terms.reduce((sum, term) => sum + term, 0) };
}

/** From ∂/∂z at the outputs back to ∂/∂a and ∂/∂z of every layer from `first` on, at its index in a. */
function backwards({ layers, activation }, { z }, atOutputs, first = 0) {
  const sensitivities = [], deltas = z.map(() => atOutputs);
  for (let at = layers.length - 1; at >= first; at--) {
    sensitivities[at] = sensitivitiesBefore(layers[at], deltas[at + 1]);
    deltas[at] = at && sensitivities[at].map((value, k) => value * ACTIVATIONS[activation].slope(z[at][k]));
  }
  return { deltas, sensitivities, pixels: sensitivities[0] };
}

/** ∂/∂a = Wᵀ δ of the activations before a layer. */
function sensitivitiesBefore({ inputs, outputs, weights }, deltas) {
  const sensitivities = [];
  for (let k = 0; k < inputs; k++) {
    let sum = 0;
    for (let j = 0; j < outputs; j++) sum += weights[j * inputs + k] * deltas[j];
    sensitivities.push(sum);
  }
  return sensitivities;
}

/** The cost's gradient for this label: ∂C/∂z of every layer, which is also ∂C/∂b, ∂C/∂a, and ∂C/∂pixels. */
const costGradient = (network, passed, label, first) =>
  backwards(network, passed, COSTS[network.cost].delta(passed.z.at(-1), oneHot(label)), first);

/** The gradient ∂a/∂pixels of one output: how much more ink in each pixel would raise it. */
const outputGradient = (network, passed, output) =>
  backwards(network, passed, COSTS[network.cost].outputSlope(passed.z.at(-1), output)).pixels;
