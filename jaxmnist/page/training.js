// Training: one step, one epoch, as jaxmnist/training.py and optimizers.py, with parameters in float32. A set is
// { images, labels }, in bytes. A state holds the network and all arrays that a step writes to. `config` is { sizes,
// activation, cost, optimizer, learningRate, momentum, batchSize }, of which each step reads the last four anew.

const PIECE = 50; // examples between which a view can pause

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
  return { network, params, slopes, gradient, velocity, ahead, key, epoch: 0 };
}

/** One step of gradient descent on the examples with these indices; returns their mean cost before it. */
const trainStep = (...step) => trainInPieces(...step, Infinity).next().value;

/** The same in pieces of so many examples; yields between them, so that a view can pause. */
function* trainInPieces(state, trainSet, indices, config, piece) {
  const { network, params, slopes, gradient } = state, share = 1 / indices.length;
  let cost = 0;
  gradient.fill(0);
  for (let at = 0; at < indices.length; at++) {
    if (at && at % piece === 0) yield;
    cost += share * addGradient(network, trainSet, indices[at], slopes, share);
  }
  const direction = OPTIMIZERS[config.optimizer](state, config.momentum), rate = Math.fround(config.learningRate);
  for (let at = 0; at < params.length; at++) params[at] -= rate * direction[at];
  return cost;
}

/** Add one example's share of the gradient to `slopes`, ∂C/∂W = δ aᵀ and ∂C/∂b = δ of every layer; returns its cost. */
function addGradient(network, set, index, slopes, share) {
  const label = set.labels[index], passed = forward(network, pixelsOf(set, index));
  const { deltas } = costGradient(network, passed, label, 1);
  slopes.forEach((layer, at) => addOuterProduct(layer, deltas[at + 1], passed.a[at], share));
  return ledger(network, passed, label).cost;
}

function addOuterProduct({ inputs, outputs, weights, biases }, deltas, a, share) {
  for (let j = 0; j < outputs; j++) biases[j] += share * deltas[j];
  for (let k = 0; k < inputs; k++) {
    const input = share * a[k];
    if (input === 0) continue;
    for (let j = 0; j < outputs; j++) weights[j * inputs + k] += deltas[j] * input;
  }
}

const PIXELS = new Float64Array(SIDE * SIDE);

/** An example's pixels from 0 to 1; each call returns the same array, as making new ones takes longer than this. */
function pixelsOf({ images }, index) {
  const begin = index * PIXELS.length;
  for (let k = 0; k < PIXELS.length; k++) PIXELS[k] = images[begin + k] / 255;
  return PIXELS;
}

/** One pass over the training set, newly shuffled; yields each minibatch's cost, and nothing between its pieces. */
function* trainEpoch(state, trainSet, config) {
  const [nextKey, shuffleKey] = random.split(state.key);
  for (const indices of minibatchOrder(shuffleKey, trainSet.labels.length, config.batchSize)) {
    yield yield* trainInPieces(state, trainSet, indices, config, PIECE);
  }
  Object.assign(state, { key: nextKey, epoch: state.epoch + 1 });
}

/** Mean cost and accuracy on a set's first examples, returned at the end; yields now and then, as a view may pause. */
function* evaluate(network, set, most = Infinity) {
  const examples = Math.min(most, set.labels.length);
  let cost = 0, correct = 0;
  for (let index = 0; index < examples; index++) {
    const label = set.labels[index], passed = forward(network, pixelsOf(set, index));
    cost += ledger(network, passed, label).cost;
    correct += largestAt(passed.a.at(-1)) === label;
    if (index % PIECE === 0) yield;
  }
  return { cost: cost / examples, accuracy: correct / examples };
}
