// A picture told apart into paper and ink: steps 1 to 5 of what jaxmnist/images.py describes, as jaxmnist/ink.py does it.
// A picture is { height, width, values }, its rows one after the other from the top.

const LONGEST = 200, CELLS = 32, SURFACE_ROUNDS = 12, ABOVE = 0.6, EVEN = 0.75;
const LEAST_CONTRAST = 0.05, INK_SHARE = 0.3, SPECK_SHARE = 0.05, STEP_SHARE = 0.7;
const MOST_DIGITS = 20, LEAST_SIGNAL = 5, NOISE_LIMIT = 4;

class Unreadable extends Error {}

/** Find paper, ink and strokes in a picture of bytes, 0 black to 255 white; throws Unreadable when there are none. */
function readPage(grey) {
  const block = Math.ceil(Math.max(grey.height, grey.width) / LONGEST);
  const light = shrink(grey, block);
  for (let at = 0; at < light.values.length; at++) light.values[at] /= 255;
  const { surface, darkOnLight } = paperOf(light);
  const { height, width } = light;
  const ink = { height, width, values: new Float64Array(height * width) };
  for (let at = 0; at < ink.values.length; at++) {
    const shown = darkOnLight ? light.values[at] : 1 - light.values[at];
    ink.values[at] = (surface[at] - shown) / Math.max(surface[at], 0.05);
  }
  const contrast = largestMeanOfNine(ink);
  const noise = noiseOf(ink, STEP_SHARE * contrast);
  if (contrast < LEAST_CONTRAST) {
    throw new Unreadable(
      `blank: its strongest strokes differ from the paper by ${(100 * Math.max(contrast, 0)).toFixed(1)}%, expected ` +
        `at least ${100 * LEAST_CONTRAST}%; write with more contrast`,
    );
  }
  if (contrast < LEAST_SIGNAL * noise) {
    throw new Unreadable(
      `all noise: what stands out from the paper is ${(contrast / noise).toFixed(1)} times the noise, expected at ` +
        `least ${LEAST_SIGNAL} times; use a cleaner picture`,
    );
  }
  const strokes = connected(ink, Math.max(INK_SHARE * contrast, NOISE_LIMIT * noise));
  const { groups, count } = sideBySide(strokes, width);
  if (count > MOST_DIGITS) {
    throw new Unreadable(
      `all noise: ${count} strokes stand side by side, expected at most ${MOST_DIGITS} digits; use a cleaner picture`,
    );
  }
  return { ink, groups, count, spread: spreadOf(ink, strokes), block, darkOnLight };
}

/** Step 1: means of blocks of block×block values; a side that isn't a multiple goes on with copies of its last. */
function shrink({ height, width, values }, block) {
  const rows = Math.ceil(height / block), columns = Math.ceil(width / block);
  const means = new Float64Array(rows * columns);
  for (let y = 0; y < rows * block; y++) {
    const from = Math.min(y, height - 1) * width, to = Math.floor(y / block) * columns;
    for (let x = 0; x < columns * block; x++) {
      means[to + Math.floor(x / block)] += values[from + Math.min(x, width - 1)];
    }
  }
  for (let at = 0; at < means.length; at++) means[at] /= block * block;
  return { height: rows, width: columns, values: means };
}

/** Step 2: the brightness of the paper everywhere, and whether it is lighter than the ink; if not, of 1 − light. */
function paperOf(light) {
  const block = Math.ceil(Math.max(light.height, light.width) / CELLS);
  const cells = shrink(light, block);
  const basis = termsOf(cells);
  let values = cells.values;
  const ones = new Float64Array(values.length).fill(1);
  const plane = basis.slice(0, 3);
  const { height, width } = cells, hasInside = Math.min(height, width) > 2;
  let cubes = 0;
  residualsOf(plane, values, leastSquares(plane, values, ones)).forEach((residual, at) => {
    const row = Math.floor(at / width), column = at % width;
    const inside = row > 0 && row < height - 1 && column > 0 && column < width - 1;
    if (inside || !hasInside) cubes += residual ** 3;
  });
  const darkOnLight = cubes < 0;
  if (!darkOnLight) values = values.map((value) => 1 - value);
  let weights = ones, coefficients, residuals;
  for (let round = 0; round < SURFACE_ROUNDS; round++) {
    coefficients = leastSquares(basis, values, weights);
    residuals = residualsOf(basis, values, coefficients);
    weights = residuals.map(
      (residual) => (residual > 0 ? ABOVE : 1 - ABOVE) / Math.max(Math.abs(residual), 1 / 255),
    );
  }
  const surface = new Float64Array(light.values.length);
  const even = quantile(values, EVEN);
  const closest = quantile(values.map((value) => Math.abs(value - even)), 1 - EVEN);
  if (closest <= quantile(residuals.map(Math.abs), 1 - EVEN)) return { surface: surface.fill(even), darkOnLight };
  forEachPlace(light, block, cells, (at, y, x) => {
    const [a, b, c, d, e, f] = coefficients;
    surface[at] = a + b * y + c * x + d * y * y + e * y * x + f * x * x;
  });
  return { surface, darkOnLight };
}

/** 1, y, x, y², y x and x² of every cell. */
function termsOf(cells) {
  const terms = Array.from({ length: 6 }, () => new Float64Array(cells.values.length));
  forEachPlace(cells, 1, cells, (at, y, x) => {
    [1, y, x, y * y, y * x, x * x].forEach((value, which) => (terms[which][at] = value));
  });
  return terms;
}

/** Every pixel's place, if block×block of them are a cell: y and x from the middle, in units of the longer side. */
function forEachPlace({ height, width }, block, cells, visit) {
  const longer = Math.max(cells.height, cells.width);
  for (let row = 0, at = 0; row < height; row++) {
    const y = ((row + 0.5) / block - cells.height / 2) / longer;
    for (let column = 0; column < width; column++, at++) {
      visit(at, y, ((column + 0.5) / block - cells.width / 2) / longer);
    }
  }
}

/** Coefficients c that minimise Σ w (value − basis · c)²; a trace of damping helps where there are few cells. */
function leastSquares(basis, values, weights) {
  const rows = basis.map((one) => {
    const weighted = one.map((value, at) => value * weights[at]);
    return [...basis.map((other) => dot(weighted, other)), dot(weighted, values)];
  });
  const damping = 1e-9 * rows.reduce((sum, row, at) => sum + row[at], 0);
  rows.forEach((row, at) => (row[at] += damping));
  return solve(rows);
}

function residualsOf(basis, values, coefficients) {
  const residuals = Float64Array.from(values);
  basis.forEach((term, which) => {
    for (let at = 0; at < residuals.length; at++) residuals[at] -= coefficients[which] * term[at];
  });
  return residuals;
}

/** The smallest of the values that at least this share of them does not exceed. */
function quantile(values, share) {
  return select(Float64Array.from(values), Math.ceil(share * values.length) - 1);
}

/** The noise's deviation, by the steps between neighbours in a row of which neither has more ink than `most`. */
function noiseOf({ height, width, values }, most) {
  const steps = new Float64Array(values.length);
  let count = 0;
  for (let row = 0; row < height; row++) {
    for (let at = row * width + 1; at < (row + 1) * width; at++) {
      if (values[at] <= most && values[at - 1] <= most) steps[count++] = Math.abs(values[at] - values[at - 1]);
    }
  }
  return count ? 1.048 * median(steps.subarray(0, count)) : 0;
}

/** How much the ink varies where there is none, as a standard deviation. */
function spreadOf({ values }, strokes) {
  const paper = new Float64Array(values.length);
  let count = 0;
  for (let at = 0; at < values.length; at++) if (!strokes[at]) paper[count++] = Math.abs(values[at]);
  return count ? 1.4826 * median(paper.subarray(0, count)) : 0;
}

/** The largest of all means of a pixel with its eight neighbours; the edge is continued by copies. */
function largestMeanOfNine({ height, width, values }) {
  let largest = -Infinity;
  const columns = new Float64Array(width);
  for (let row = 0; row < height; row++) {
    const above = Math.max(row - 1, 0) * width, here = row * width, below = Math.min(row + 1, height - 1) * width;
    for (let x = 0; x < width; x++) columns[x] = values[above + x] + values[here + x] + values[below + x];
    for (let x = 0; x < width; x++) {
      const sum = columns[Math.max(x - 1, 0)] + columns[x] + columns[Math.min(x + 1, width - 1)];
      if (sum > largest) largest = sum;
    }
  }
  return largest / 9;
}

/** Number the strokes above a threshold that touch, corners included, from 1 by their first pixels; 0 is no stroke. */
function connected({ height, width, values }, threshold) {
  const strokes = new Int32Array(values.length);
  let count = 0;
  for (let first = 0; first < values.length; first++) {
    if (strokes[first] || !(values[first] > threshold)) continue;
    strokes[first] = ++count;
    const waiting = [first];
    while (waiting.length) {
      const at = waiting.pop(), row = Math.floor(at / width), column = at % width;
      for (let y = Math.max(row - 1, 0); y <= Math.min(row + 1, height - 1); y++) {
        for (let x = Math.max(column - 1, 0); x <= Math.min(column + 1, width - 1); x++) {
          const neighbour = y * width + x;
          if (strokes[neighbour] || !(values[neighbour] > threshold)) continue;
          strokes[neighbour] = count;
          waiting.push(neighbour);
        }
      }
    }
  }
  return strokes;
}

/** Drop the specks, and join strokes of which one lies above the other; number the groups from left to right. */
function sideBySide(strokes, width) {
  const spans = [];
  for (let at = 0; at < strokes.length; at++) {
    const stroke = strokes[at], column = at % width;
    if (!stroke) continue;
    const span = (spans[stroke] ??= { stroke, size: 0, first: width, after: 0 });
    span.size++;
    if (column < span.first) span.first = column;
    if (column >= span.after) span.after = column + 1;
  }
  const largest = spans.reduce((most, span) => Math.max(most, span.size), 0);
  const groupOf = new Int32Array(spans.length + 1);
  const kept = spans.filter((span) => span.size >= Math.max(1, SPECK_SHARE * largest));
  kept.sort((one, other) => one.first - other.first || one.after - other.after || one.stroke - other.stroke);
  let left = 0, right = 0, count = 0;
  for (const { stroke, first, after } of kept) {
    const narrower = Math.min(after - first, right - left);
    if (count === 0 || 2 * (Math.min(after, right) - first) < narrower) {
      count++;
      [left, right] = [first, after];
    }
    right = Math.max(right, after);
    groupOf[stroke] = count;
  }
  return { groups: strokes.map((stroke) => groupOf[stroke]), count };
}
