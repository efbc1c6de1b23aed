// scikit-learn's 8×8 digits, made like MNIST as in jaxmnist/sources/digits.py, byte for byte.

const PRECISION = 2 ** 22; // Pillow's weights are whole numbers of this part of one

/**
 * Unpack what page/__init__.py's `pack_digits` made: { train, test }, each { images, labels } in bytes, returned at the
 * end; yields after every image, so that a view can pause.
 */
function* loadDigits(packed) {
  const sets = {};
  for (const [name, { pixels, labels }] of Object.entries(packed)) {
    const bytes = bytesIn(pixels), images = new Uint8Array(labels.length * SIDE * SIDE);
    for (let at = 0; at < labels.length; at++) {
      images.set(likeMnist(inkIn(bytes, at)), at * SIDE * SIDE);
      yield;
    }
    sets[name] = { images, labels: Uint8Array.from(labels) };
  }
  return sets;
}

/** The first of each digit in a packed set. */
function sampleDigits({ pixels, labels }) {
  const bytes = bytesIn(pixels);
  return Array.from({ length: 10 }, (_, label) => ({ label, bytes: likeMnist(inkIn(bytes, labels.indexOf(label))) }));
}

/** One image's 64 inks, of five bits each, the highest first. */
function inkIn(bytes, image) {
  return Array.from({ length: 64 }, (_, pixel) => {
    const bit = 5 * (64 * image + pixel), byte = bit >> 3;
    return (((bytes[byte] << 8) | bytes[byte + 1]) >> (11 - (bit & 7))) & 31;
  });
}

/** Fit an 8×8 digit of ink 0 to 16 into 20×20, with its centre of mass at the centre of 28×28. */
function likeMnist(ink) {
  const inked = [...ink.keys()].filter((at) => ink[at]);
  const rows = inked.map((at) => at >> 3), columns = inked.map((at) => at & 7);
  const top = Math.min(...rows), left = Math.min(...columns);
  const height = Math.max(...rows) + 1 - top, width = Math.max(...columns) + 1 - left;
  const values = Array.from({ length: height * width }, (_, at) => {
    const row = top + Math.floor(at / width), column = left + (at % width);
    return Math.round(ink[8 * row + column] * (255 / 16));
  });
  const side = (old) => Math.max(1, halfToEven((BOX * old) / Math.max(height, width)));
  const wide = transposed(bicubic(transposed({ height, width, values }), side(width)));
  return centre(bicubic(wide, side(height)));
}

/** Enlarge a picture of bytes to so many rows by bicubic curves, with Pillow's rounding. */
function bicubic({ height, width, values }, rows) {
  const enlarged = new Uint8ClampedArray(rows * width), step = height / rows;
  for (let row = 0; row < rows; row++) {
    const middle = (row + 0.5) * step;
    const first = Math.max(Math.trunc(middle - 1.5), 0), end = Math.min(Math.trunc(middle + 2.5), height);
    const shares = Array.from({ length: end - first }, (_, at) => cubic(first + at - middle + 0.5));
    const total = shares.reduce((sum, share) => sum + share, 0);
    const parts = shares.map((share) => Math.sign(share) * Math.floor((Math.abs(share) / total) * PRECISION + 0.5));
    for (let x = 0; x < width; x++) {
      const sum = parts.reduce((before, part, at) => before + part * values[(first + at) * width + x], 0);
      enlarged[row * width + x] = Math.floor(sum / PRECISION + 0.5);
    }
  }
  return { height: rows, width, values: enlarged };
}

/** Keys' cubic convolution with a = −½: the weight of a pixel at this distance. */
function cubic(distance) {
  const x = Math.abs(distance);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((x - 5) * x + 8) * x * -0.5 + 2 : 0;
}

/** Python's `round`. */
const halfToEven = (value) => (value % 2 === 0.5 ? Math.floor(value) : Math.round(value));
