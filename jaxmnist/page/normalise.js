// A drawing to the 28×28 that MNIST would have made of it, as jaxmnist/handwriting does it. Its steps 1 to 4 separate
// ink from paper; the drawing board knows its ink, which has no noise, so only the contrast is left of them.
// A picture is { height, width, values }, its rows one after the other from the top.

const SIDE = 28, BOX = 20;
const LEAST_CONTRAST = 0.05, INK_SHARE = 0.3, SPECK_SHARE = 0.05, MOST_DIGITS = 20;
const FINE_PEN = 1.5, LONGEST_STROKES = 6;

/** Why a drawing can't be read: a key of the words, and the values in them. */
class Unreadable extends Error {
  constructor(reason, values = {}) {
    super(reason);
    this.values = values;
  }
}

/**
 * Make of a drawing what MNIST would have made of it.
 *
 * `ink` is a picture, 0 paper to 1 ink. Returns the image (784 bytes, 0 paper to 255 ink), the pen's width in pixels of
 * 28×28, and how many digits seem to stand side by side; throws Unreadable if the drawing is blank or all noise.
 */
function normalise(ink) {
  const contrast = contrastOf(ink);
  if (contrast < LEAST_CONTRAST) throw new Unreadable("blank");
  const strokes = strokesOf(ink, INK_SHARE * contrast), count = countDigits(strokes, ink.width);
  if (count > MOST_DIGITS) throw new Unreadable("strokes", { count, most: MOST_DIGITS });
  const inked = strokes.flat(), digit = cropped(ink, inked);
  const longer = Math.max(digit.height, digit.width), length = (Math.PI / 8) * edgesOf(inked, ink);
  if (length > LONGEST_STROKES * longer) {
    throw new Unreadable("lines", { times: (length / longer).toFixed(1), most: LONGEST_STROKES });
  }
  const pen = ((inked.length / length) * BOX) / longer;
  return { image: centre(fit(digit, pen < FINE_PEN)), pen, digits: count };
}

/** Step 4's contrast: the largest mean of a pixel with its eight neighbours; the edge is extended by copies. */
function contrastOf(ink) {
  const isEdge = (row, { height }) => row === 0 || row === height - 1;
  const summed = (picture) => mixedRows(picture, picture.height, (row, old) =>
    row === old && isEdge(row, picture) ? 2 : Number(Math.abs(row - old) <= 1));
  return largestSize(summed(transposed(summed(ink))).values) / 9;
}

/** Step 5: the strokes, each a list of connected pixels above a threshold, corners included, without the specks. */
function strokesOf({ height, width, values }, threshold) {
  const seen = values.map((ink) => (ink > threshold ? 0 : 1)), strokes = [];
  seen.forEach((_, start) => {
    if (seen[start]) return;
    const pixels = [start];
    seen[start] = 1;
    for (const at of pixels) { // which grow on the way
      const row = Math.floor(at / width), column = at % width;
      for (let y = Math.max(row - 1, 0); y <= Math.min(row + 1, height - 1); y++) {
        for (let x = Math.max(column - 1, 0); x <= Math.min(column + 1, width - 1); x++) {
          if (!seen[y * width + x]) pixels.push(y * width + x);
          seen[y * width + x] = 1;
        }
      }
    }
    strokes.push(pixels);
  });
  const largest = Math.max(...strokes.map(({ length }) => length));
  return strokes.filter(({ length }) => length >= SPECK_SHARE * largest);
}

/** Step 5: how many digits stand side by side, if strokes of which one lies above the other belong together. */
function countDigits(strokes, width) {
  const columns = strokes.map((pixels) => pixels.map((at) => at % width));
  const spans = columns.map((own) => [Math.min(...own), Math.max(...own) + 1]);
  let left = 0, right = 0, count = 0;
  for (const [first, end] of spans.sort((one, other) => one[0] - other[0] || one[1] - other[1])) {
    const narrower = Math.min(end - first, right - left);
    if (count === 0 || 2 * (Math.min(end, right) - first) < narrower) {
      count++;
      [left, right] = [first, end];
    }
    right = Math.max(right, end);
  }
  return count;
}

/** Step 6: how many edges there are between the pixels at these places and others. */
function edgesOf(places, { height, width }) {
  const across = width + 1, inked = new Uint8Array(across * (height + 2)); // with paper around
  const inside = places.map((at) => at + across + Math.floor(at / width));
  for (const at of inside) inked[at] = 1;
  const neighbours = inside.flatMap((at) => [at - 1, at + 1, at - across, at + across]);
  return neighbours.filter((at) => !inked[at]).length;
}

/** A picture's part that just holds the pixels at these places. */
function cropped({ width, values }, places) {
  const rows = places.map((at) => Math.floor(at / width)), columns = places.map((at) => at % width);
  const top = Math.min(...rows), left = Math.min(...columns);
  const part = { height: Math.max(...rows) + 1 - top, width: Math.max(...columns) + 1 - left, values: [] };
  for (let row = top; row < top + part.height; row++) {
    part.values.push(...values.slice(row * width + left, row * width + left + part.width));
  }
  return part;
}

/** Steps 7 and 8: a digit cropped to its ink, in any unit, as bytes and with a longer side of 20. */
function fit(digit, finePen) {
  const box = finePen ? BOX - 2 : BOX, longer = Math.max(digit.height, digit.width);
  const height = Math.max(1, Math.floor((box * digit.height) / longer + 0.5));
  const width = Math.max(1, Math.floor((box * digit.width) / longer + 0.5));
  let fitted = transposed(averaged(transposed(averaged(digit, height)), width));
  if (finePen) fitted = transposed(softened(transposed(softened(fitted))));
  const most = Math.max(...fitted.values);
  const full = median(fitted.values.filter((value) => value > most / 2));
  const values = Uint8Array.from(fitted.values, (value) => Math.floor(255 * Math.min(value / full, 1) + 0.5));
  return { height: fitted.height, width: fitted.width, values };
}

/** So many rows, each the sum of the old ones by the weights that `weightOf(row, old)` says. */
function mixedRows({ height, width, values }, rows, weightOf) {
  const mixed = new Float64Array(rows * width);
  for (let row = 0; row < rows; row++) {
    for (let old = 0; old < height; old++) {
      const weight = weightOf(row, old);
      for (let x = 0; weight && x < width; x++) mixed[row * width + x] += weight * values[old * width + x];
    }
  }
  return { height: rows, width, values: mixed };
}

/** So many rows, each the mean over the old rows that it covers, parts of rows included. */
function averaged(picture, rows) {
  const step = picture.height / rows, part = rows / picture.height;
  const covered = (row, old) => Math.min((row + 1) * step, old + 1) - Math.max(row * step, old);
  return mixedRows(picture, rows, (row, old) => Math.max(covered(row, old), 0) * part);
}

/** Two rows more, every pixel the mean of three in its column, weighed ¼, ½, ¼. */
const softened = (picture) => mixedRows(picture, picture.height + 2, (row, old) => [1 / 4, 1 / 2, 1 / 4][row - old]);

function transposed({ height, width, values }) {
  const turned = new Float64Array(values.length);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) turned[x * height + y] = values[y * width + x];
  return { height: width, width: height, values: turned };
}

/** Step 9: move the digit by whole pixels until its centre of mass is at the centre of 28×28. */
function centre({ height, width, values }) {
  let total = 0, down = 0, across = 0;
  values.forEach((value, at) => {
    total += value;
    down += value * Math.floor(at / width);
    across += value * (at % width);
  });
  const start = (moment, side) =>
    Math.min(Math.max(Math.floor((29 * total - 2 * moment) / (2 * total)), 0), SIDE - side);
  const top = start(down, height), left = start(across, width);
  const image = new Uint8Array(SIDE * SIDE);
  for (let y = 0; y < height; y++) image.set(values.subarray(y * width, (y + 1) * width), (top + y) * SIDE + left);
  return image;
}
