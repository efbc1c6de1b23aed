// Training: one step, one epoch, as jaxmnist/training.py and optimizers.py, for many examples at once in float32.
// A set is { images, labels }, in bytes. A state holds the network and all arrays that a step writes to. `config` is
// { sizes, activation, cost, optimizer, learningRate, momentum, batchSize }, of which each step reads the last four anew.

const CHUNK = 100; // examples that are evaluated at a time

/** The direction that each optimizer steps against, from the state's gradient and velocity, which it updates. */
const OPTIMIZERS = {
  sgd: ({ gradient }) => gradient,
  momentum: ({ gradient, velocity }, momentum) => accumulate(gradient, momentum, velocity, velocity),
  nesterov: ({ gradient, velocity, ahead }, momentum) =>
    accumulate(gradient, momentum, accumulate(gradient, momentum, velocity, velocity), ahead),
};

/** Write g + μ m to an array. */
function accumulate(gradient, momentum, velocity, result) {
  const kept = Math.fround(momentum);
  for (let at = 0; at < result.length; at++) result[at] = gradient[at] + kept * velocity[at];
  return result;
}

/** A random start: weights and biases normal with standard deviation 1/√inputs, layer by layer. */
function init(key, sizes) {
  const numbers = random.split(key, sizes.length - 1).flatMap((layerKey, at) => {
    const [weightsKey, biasesKey] = random.split(layerKey), scale = Math.fround(sizes[at] ** -0.5);
    const weights = random.normal(weightsKey, sizes[at] * sizes[at + 1]);
    return [...weights, ...random.normal(biasesKey, sizes[at + 1])].map((number) => scale * number);
  });
  return Float32Array.from(numbers);
}

/** The state before training; `params` holds all numbers of `network`, and `gradient` those of `slopes`. */
function start(key, config) {
  const [paramsKey, shufflesKey] = random.split(key);
  return stateOf(config, init(paramsKey, config.sizes), shufflesKey);
}

/** The state of a network with these parameters, which it shares, before its first step. */
function stateOf(config, params, key = null) {
  const [gradient, velocity, ahead] = [0, 1, 2].map(() => new Float32Array(params.length));
  const network = networkOf(config, params), slopes = networkOf(config, gradient).layers;
  return { network, params, slopes, gradient, velocity, ahead, key, epoch: 0, room: null };
}

/** Room for so many examples' activations a, and z and ∂C/∂z of every layer but the pixels', example by example. */
function roomFor(sizes, examples) {
  const arrays = (first) => sizes.map((size, at) => (at < first ? null : new Float32Array(examples * size)));
  return { examples, a: arrays(0), z: arrays(1), deltas: arrays(1), nonzero: new Uint32Array(Math.max(...sizes)) };
}

/** One step of gradient descent on the examples with these indices; returns their mean cost before it. */
const trainStep = (state, trainSet, indices, config) =>
  trainInPieces(state, trainSet, indices, config, indices.length).next().value;

/** The same in pieces of so many examples; yields between them, so that a view can pause. */
function* trainInPieces(state, trainSet, indices, config, piece) {
  const { network, params, slopes, gradient } = state;
  let cost = 0;
  gradient.fill(0);
  for (let first = 0; first < indices.length; first += piece) {
    if (first) yield;
    const some = indices.slice(first, first + piece);
    if (!(state.room?.examples >= some.length)) state.room = roomFor(network.sizes, some.length);
    forwardMany(network, trainSet, some, state.room);
    cost += startBackwards(network, trainSet, some, state.room, indices.length);
    backwardsMany(network, slopes, some.length, state.room);
  }
  const direction = OPTIMIZERS[config.optimizer](state, config.momentum), rate = Math.fround(config.learningRate);
  for (let at = 0; at < params.length; at++) params[at] -= rate * direction[at];
  return cost;
}

/** One pass over the training set, newly shuffled; yields each minibatch's cost, and nothing between its pieces. */
function* trainEpoch(state, trainSet, config, piece = config.batchSize) {
  const [nextKey, shuffleKey] = random.split(state.key);
  for (const indices of minibatchOrder(shuffleKey, trainSet.labels.length, config.batchSize)) {
    yield yield* trainInPieces(state, trainSet, indices, config, piece);
  }
  Object.assign(state, { key: nextKey, epoch: state.epoch + 1 });
}

/** Mean cost and accuracy on a set, returned at the end; yields after every chunk, so that a view can pause. */
function* evaluate(network, set) {
  const examples = set.labels.length, { outputs, terms } = COSTS[network.cost];
  const room = roomFor(network.sizes, CHUNK);
  let cost = 0, correct = 0;
  for (let first = 0; first < examples; first += CHUNK) {
    const indices = Array.from({ length: Math.min(CHUNK, examples - first) }, (_, at) => first + at);
    forwardMany(network, set, indices, room);
    indices.forEach((index, at) => {
      const sums = lastSums(network, room, at), label = set.labels[index];
      cost += total(terms(sums, TARGETS[label]));
      correct += largestAt(outputs(sums)) === label;
    });
    yield;
  }
  return { cost: cost / examples, accuracy: correct / examples };
}

const TARGETS = Array.from({ length: 10 }, (_, label) => oneHot(label));
const total = (values) => values.reduce((sum, value) => sum + value, 0);

/** One example's last weighted sums, as a plain list: COSTS makes more lists of it, and plain ones are made fastest. */
function lastSums({ sizes }, { z }, at) {
  const outputs = sizes.at(-1), sums = [];
  for (let j = 0; j < outputs; j++) sums.push(z.at(-1)[at * outputs + j]);
  return sums;
}

/** Every layer's weighted sums and activations for the examples with these indices; the last layer's sums only. */
function forwardMany({ layers, activation }, { images }, indices, { a, z, nonzero }) {
  const { value } = ACTIVATIONS[activation], { inputs: pixels } = layers[0];
  for (let i = 0; i < indices.length; i++) {
    for (let k = 0; k < pixels; k++) a[0][i * pixels + k] = images[indices[i] * pixels + k] / 255;
  }
  layers.forEach((layer, at) => {
    weightedSums(layer, a[at], z[at + 1], indices.length, nonzero);
    if (at === layers.length - 1) return;
    for (let n = 0; n < indices.length * layer.outputs; n++) a[at + 1][n] = value(z[at + 1][n]);
  });
}

/** z = W a + b for every example. Most pixels are 0, so each row is summed over the others only. */
function weightedSums({ inputs, outputs, weights, biases }, a, z, examples, nonzero) {
  for (let i = 0; i < examples; i++) {
    const begin = i * inputs, count = findNonzero(a, begin, inputs, nonzero);
    for (let j = 0; j < outputs; j++) {
      const row = j * inputs;
      let sum = biases[j];
      for (let n = 0; n < count; n++) sum += weights[row + nonzero[n]] * a[begin + nonzero[n]];
      z[i * outputs + j] = sum;
    }
  }
}

/** Where an example's inputs aren't 0; returns how many there are. */
function findNonzero(a, begin, inputs, nonzero) {
  let count = 0;
  for (let k = 0; k < inputs; k++) if (a[begin + k] !== 0) nonzero[count++] = k;
  return count;
}

/** Where back-propagation starts: ∂/∂z at these outputs of the mean cost of `all` examples; returns their share. */
function startBackwards(network, { labels }, indices, room, all) {
  const { terms, delta } = COSTS[network.cost], outputs = network.sizes.at(-1), atOutputs = room.deltas.at(-1);
  let cost = 0;
  for (let i = 0; i < indices.length; i++) {
    const sums = lastSums(network, room, i), target = TARGETS[labels[indices[i]]], slopes = delta(sums, target);
    cost += total(terms(sums, target));
    for (let j = 0; j < outputs; j++) atOutputs[i * outputs + j] = slopes[j] / all;
  }
  return cost / all;
}

/** From ∂C/∂z at the outputs back to the first layer: the gradient of all weights and biases, added to `slopes`. */
function backwardsMany({ layers, activation }, slopes, examples, { a, z, deltas, nonzero }) {
  const { slope } = ACTIVATIONS[activation];
  for (let at = layers.length - 1; at >= 0; at--) {
    addOuterProducts(slopes[at], deltas[at + 1], a[at], examples, nonzero);
    if (at === 0) return;
    sensitivities(layers[at], deltas[at + 1], deltas[at], examples);
    for (let n = 0; n < examples * layers[at].inputs; n++) deltas[at][n] *= slope(z[at][n]);
  }
}

/** Add ∂C/∂W = Σ δ aᵀ and ∂C/∂b = Σ δ over the examples. */
function addOuterProducts({ inputs, outputs, weights, biases }, deltas, a, examples, nonzero) {
  for (let i = 0; i < examples; i++) {
    const begin = i * inputs, count = findNonzero(a, begin, inputs, nonzero);
    for (let j = 0; j < outputs; j++) {
      const row = j * inputs, delta = deltas[i * outputs + j];
      biases[j] += delta;
      for (let n = 0; n < count; n++) weights[row + nonzero[n]] += delta * a[begin + nonzero[n]];
    }
  }
}

/** ∂C/∂a = Wᵀ δ of the activations before a layer, for every example. */
function sensitivities({ inputs, outputs, weights }, deltas, result, examples) {
  result.fill(0);
  for (let i = 0; i < examples; i++) {
    for (let j = 0; j < outputs; j++) {
      const row = j * inputs, delta = deltas[i * outputs + j];
      for (let k = 0; k < inputs; k++) result[i * inputs + k] += weights[row + k] * delta;
    }
  }
}
