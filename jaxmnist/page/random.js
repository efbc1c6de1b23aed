// JAX's random numbers, by the cipher threefry2x32 as jax.random uses it, so that the page's start and shuffles are
// Python's. A key is two whole numbers of 32 bits, and one key gives independent numbers for each counter.

const ROTATIONS = [[13, 15, 26, 6], [17, 29, 16, 24]];

/** Encrypt a counter of at most 32 bits with a key: two numbers of 32 bits. */
function threefry([first, second], counter) {
  const keys = [first, second, first ^ second ^ 0x1bd11bda];
  let x = first, y = (counter + second) | 0;
  for (let round = 1; round <= 5; round++) {
    for (const by of ROTATIONS[(round - 1) % 2]) {
      x = (x + y) | 0;
      y = ((y << by) | (y >>> (32 - by))) ^ x;
    }
    x = (x + keys[round % 3]) | 0;
    y = (y + keys[(round + 1) % 3] + round) | 0;
  }
  return [x >>> 0, y >>> 0];
}

// The polynomials of Giles, Approximating the erfinv function (2010), in single precision: for w below 5, and above.
const ERF_INV = [
  [2.81022636e-8, 3.43273939e-7, -3.5233877e-6, -4.39150654e-6, 2.1858087e-4, -1.25372503e-3, -4.17768164e-3,
    0.246640727, 1.50140941],
  [-2.00214257e-4, 1.00950558e-4, 1.34934322e-3, -3.67342844e-3, 5.73950773e-3, -7.6224613e-3, 9.43887047e-3,
    1.00167406, 2.83297682],
];

/** The inverse of the error function, as XLA approximates it in float32. */
function erfInv(x) {
  const w = -Math.log1p(-Math.fround(x * x));
  const [polynomial, at] = w < 5 ? [ERF_INV[0], w - 2.5] : [ERF_INV[1], Math.sqrt(w) - 3];
  return x * polynomial.reduce((sum, coefficient) => sum * at + coefficient);
}

/** The functions of jax.random that the page needs, for lists of n numbers. */
const random = {
  key: (seed) => [0, seed >>> 0],
  foldIn: (key, number) => threefry(key, number),
  split: (key, count = 2) => Array.from({ length: count }, (_, at) => threefry(key, at)),
  bits: (key, n) => Uint32Array.from({ length: n }, (_, at) => threefry(key, at).reduce((x, y) => x ^ y)),
  uniform(key, n, least = 0, most = 1) {
    const span = Math.fround(most - least);
    return Float32Array.from(random.bits(key, n), (bits) => Math.max(least, ((bits >>> 9) / 2 ** 23) * span + least));
  },
  normal(key, n) {
    const aboveMinusOne = -1 + 2 ** -24; // the next float32, since erf⁻¹(−1) is infinite
    return random.uniform(key, n, aboveMinusOne, 1).map((share) => Math.fround(Math.SQRT2) * erfInv(share));
  },
};

/** The numbers 0 to n − 1 in random order, by several rounds of sorting, as dataset.permutation. */
function permutation(key, n) {
  const numberBits = 32 - Math.clz32(n - 1), mask = 2 ** numberBits - 1;
  let order = Uint32Array.from({ length: n }, (_, at) => at);
  for (const roundKey of random.split(key, Math.ceil(32 / (32 - numberBits)))) {
    const sorted = random.bits(roundKey, n).map((bits, at) => ((bits >>> numberBits) << numberBits) | at).sort();
    order = sorted.map((sortKey) => order[sortKey & mask]);
  }
  return order;
}

/** Each minibatch's indices in a shuffled pass; the remainder that doesn't fill a minibatch is left out. */
function minibatchOrder(key, examples, batchSize) {
  const order = permutation(key, examples);
  return Array.from({ length: Math.floor(examples / batchSize) }, (_, step) =>
    order.subarray(step * batchSize, (step + 1) * batchSize),
  );
}
