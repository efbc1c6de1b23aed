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
  const digit = cropped({ width: 8, values: ink }, [...ink.keys()].filter((at) => ink[at])), { height, width } = digit;
  const values = digit.values.map((value) => Math.round(value * (255 / 16)));
  const side = (old) => Math.max(1, halfToEven((BOX * old) / Math.max(height, width)));
  const wide = transposed(bicubic(transposed({ height, width, values }), side(width)));
  return centre(bicubic(wide, side(height)));
}

/** Enlarge a picture of bytes to so many rows by bicubic curves, with Pillow's rounding. */
function bicubic(picture, rows) {
  const weights = Array.from({ length: rows }, (_, row) => {
    const middle = (row + 0.5) * (picture.height / rows);
    const shares = Array.from({ length: picture.height }, (_, old) => cubic(old - middle + 0.5));
    const total = shares.reduce((sum, share) => sum + share, 0);
    return shares.map((share) => Math.sign(share) * Math.floor((Math.abs(share) / total) * PRECISION + 0.5));
  });
  const { values, ...size } = mixedRows(picture, rows, (row, old) => weights[row][old]);
  return { ...size, values: Uint8ClampedArray.from(values, (sum) => Math.floor(sum / PRECISION + 0.5)) };
}

/** Keys' cubic convolution with a = −½: the weight of a pixel at this distance. */
function cubic(distance) {
  const x = Math.abs(distance);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((x - 5) * x + 8) * x * -0.5 + 2 : 0;
}

/** Python's `round`. */
const halfToEven = (value) => (value % 2 === 0.5 ? Math.floor(value) : Math.round(value));
