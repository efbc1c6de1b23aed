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
  const { groups, count } = groupsOf(strokesOf(ink, INK_SHARE * contrast), ink.values.length);
  if (count > MOST_DIGITS) throw new Unreadable("strokes", { count, most: MOST_DIGITS });
  const { top, bottom, left, right, area, edges } = outlineOf(groups, ink.width);
  const longer = Math.max(bottom - top, right - left), length = (Math.PI / 8) * edges;
  if (length > LONGEST_STROKES * longer) {
    throw new Unreadable("lines", { times: (length / longer).toFixed(1), most: LONGEST_STROKES });
  }
  const pen = ((area / length) * BOX) / longer;
  const digit = { height: bottom - top, width: right - left, values: [] };
  for (let row = top; row < bottom; row++) {
    digit.values.push(...ink.values.subarray(row * ink.width + left, row * ink.width + right));
  }
  return { image: centre(fit(digit, pen < FINE_PEN)), pen, digits: count };
}

/** Step 4's contrast: the largest mean of a pixel with its eight neighbours; the edge is extended by copies. */
function contrastOf({ height, width, values }) {
  let largest = 0;
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      let sum = 0;
      for (let y = row - 1; y <= row + 1; y++) {
        const start = Math.min(Math.max(y, 0), height - 1) * width;
        for (let x = column - 1; x <= column + 1; x++) sum += values[start + Math.min(Math.max(x, 0), width - 1)];
      }
      if (sum > largest) largest = sum;
    }
  }
  return largest / 9;
}

/** Step 5: the strokes, connected pixels above a threshold, corners included: their pixels and columns. */
function strokesOf({ height, width, values }, threshold) {
  const seen = new Uint8Array(values.length), strokes = [];
  values.forEach((ink, start) => {
    if (seen[start] || ink <= threshold) return;
    const stroke = { pixels: [start], first: width, end: 0 };
    seen[start] = 1;
    for (const at of stroke.pixels) { // which grow on the way
      const row = Math.floor(at / width), column = at % width;
      stroke.first = Math.min(stroke.first, column);
      stroke.end = Math.max(stroke.end, column + 1);
      for (let y = Math.max(row - 1, 0); y <= Math.min(row + 1, height - 1); y++) {
        for (let x = Math.max(column - 1, 0); x <= Math.min(column + 1, width - 1); x++) {
          const neighbour = y * width + x;
          if (seen[neighbour] || values[neighbour] <= threshold) continue;
          seen[neighbour] = 1;
          stroke.pixels.push(neighbour);
        }
      }
    }
    strokes.push(stroke);
  });
  return strokes;
}

/** Step 5: drop the specks, join strokes of which one lies above the other; number the groups from left to right. */
function groupsOf(strokes, pixelCount) {
  const largest = Math.max(...strokes.map(({ pixels }) => pixels.length));
  const kept = strokes.filter(({ pixels }) => pixels.length >= SPECK_SHARE * largest);
  kept.sort((one, other) => one.first - other.first || one.end - other.end);
  const groups = new Uint8Array(pixelCount);
  let left = 0, right = 0, count = 0;
  for (const { pixels, first, end } of kept) {
    const narrower = Math.min(end - first, right - left);
    if (count === 0 || 2 * (Math.min(end, right) - first) < narrower) {
      count++;
      [left, right] = [first, end];
    }
    right = Math.max(right, end);
    for (const at of pixels) groups[at] = count;
  }
  return { groups, count };
}

/** Step 6: the strokes' box, their pixels, and the edges between these and others. */
function outlineOf(groups, width) {
  const outline = { top: Infinity, bottom: 0, left: width, right: 0, area: 0, edges: 0 };
  groups.forEach((group, at) => {
    if (!group) return;
    const row = Math.floor(at / width), column = at % width;
    outline.top = Math.min(outline.top, row);
    outline.bottom = Math.max(outline.bottom, row + 1);
    outline.left = Math.min(outline.left, column);
    outline.right = Math.max(outline.right, column + 1);
    outline.area++;
    outline.edges += !groups[at - width] + !groups[at + width];
    outline.edges += !(column > 0 && groups[at - 1]) + !(column < width - 1 && groups[at + 1]);
  });
  return outline;
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

/** So many rows, each the mean over the old rows that it covers, parts of rows included. */
function averaged({ height, width, values }, rows) {
  const means = new Float64Array(rows * width), step = height / rows;
  for (let row = 0; row < rows; row++) {
    const begin = row * step, end = (row + 1) * step;
    for (let old = Math.floor(begin); old < Math.min(Math.ceil(end), height); old++) {
      const share = Math.max(Math.min(end, old + 1) - Math.max(begin, old), 0) * (rows / height);
      for (let x = 0; x < width; x++) means[row * width + x] += share * values[old * width + x];
    }
  }
  return { height: rows, width, values: means };
}

/** Two rows more, every pixel the mean of three in its column, weighed ¼, ½, ¼. */
function softened({ height, width, values }) {
  const soft = new Float64Array((height + 2) * width);
  values.forEach((value, at) => {
    soft[at] += value / 4;
    soft[at + width] += value / 2;
    soft[at + 2 * width] += value / 4;
  });
  return { height: height + 2, width, values: soft };
}

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
  for (let y = 0; y < height; y++) {
    image.set(values.subarray(y * width, (y + 1) * width), (top + y) * SIDE + left);
  }
  return image;
}
