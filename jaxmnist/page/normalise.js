// A picture of a digit to the 28×28 that MNIST would have made of it: steps 6 to 9 of what jaxmnist/images.py describes.

const SIDE = 28, BOX = 20;
const FINE_PEN = 1.5, LONGEST_STROKES = 6;

/**
 * Make of a picture what MNIST would have made of it.
 *
 * `grey` is { height, width, values }, bytes from 0 black to 255 white. Returns the image (784 bytes, 0 paper to 255
 * ink), whether it was dark on light, the pen's width in pixels of 28×28, and how many digits seem to stand side by
 * side; throws Unreadable when the picture is blank or all noise.
 */
function normalise(grey) {
  const page = readPage(grey);
  const { height, width, values } = page.ink;
  const { top, bottom, left, right } = boxOf(page.groups, height, width);
  const rows = bottom - top, columns = right - left, longer = Math.max(rows, columns);
  const digit = { height: rows, width: columns, values: new Float64Array(rows * columns) };
  let inked = false, area = 0, edges = 0;
  const isStroke = (y, x) => y >= top && y < bottom && x >= left && x < right && page.groups[y * width + x] > 0;
  for (let y = top; y <= bottom; y++) {
    for (let x = left; x <= right; x++) {
      const stroke = isStroke(y, x);
      edges += (stroke !== isStroke(y - 1, x)) + (stroke !== isStroke(y, x - 1));
      area += stroke;
      if (y === bottom || x === right) continue;
      const ink = Math.max(values[y * width + x] - 2 * page.spread, 0);
      digit.values[(y - top) * columns + (x - left)] = ink;
      inked ||= ink > 0;
    }
  }
  if (!inked) {
    throw new Unreadable(
      "all noise: the strokes are no stronger than what is left of the paper; use a cleaner picture",
    );
  }
  const length = (Math.PI / 8) * edges;
  if (length > LONGEST_STROKES * longer) {
    throw new Unreadable(
      `all noise: its strokes are ${(length / longer).toFixed(1)} times as long as the box that they are in, expected ` +
        `at most ${LONGEST_STROKES} times, as of a digit; use a cleaner picture`,
    );
  }
  const pen = ((area / length) * BOX) / longer;
  return { image: centre(fit(digit, pen < FINE_PEN)), darkOnLight: page.darkOnLight, pen, digits: page.count };
}

function boxOf(groups, height, width) {
  const box = { top: height, bottom: 0, left: width, right: 0 };
  for (let at = 0; at < groups.length; at++) {
    if (!groups[at]) continue;
    const row = Math.floor(at / width), column = at % width;
    box.top = Math.min(box.top, row);
    box.bottom = Math.max(box.bottom, row + 1);
    box.left = Math.min(box.left, column);
    box.right = Math.max(box.right, column + 1);
  }
  return box;
}

/** Steps 7 and 8: a digit cropped to its ink, in any unit, as bytes and with a longer side of 20. */
function fit(digit, finePen) {
  const box = finePen ? BOX - 2 : BOX, longer = Math.max(digit.height, digit.width);
  const height = Math.max(1, Math.floor((box * digit.height) / longer + 0.5));
  const width = Math.max(1, Math.floor((box * digit.width) / longer + 0.5));
  let fitted = transposed(averaged(transposed(averaged(digit, height)), width));
  if (finePen) fitted = transposed(softened(transposed(softened(fitted))));
  const most = fitted.values.reduce((one, other) => Math.max(one, other), 0);
  const full = median(fitted.values.filter((value) => value > most / 2));
  const values = Uint8Array.from(fitted.values, (value) => Math.floor(255 * Math.min(value / full, 1) + 0.5));
  return { height: fitted.height, width: fitted.width, values };
}

/** As many rows as asked for, each the mean over the old rows that it covers, parts of rows included. */
function averaged({ height, width, values }, rows) {
  const means = new Float64Array(rows * width), step = height / rows;
  for (let row = 0; row < rows; row++) {
    const begin = row * step, end = (row + 1) * step;
    for (let old = Math.floor(begin); old < Math.min(Math.ceil(end), height); old++) {
      const share = Math.max(Math.min(end, old + 1) - Math.max(begin, old), 0) / step;
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

/** Step 9: put the digit by whole pixels where its centre of mass is at the centre of 28×28. */
function centre({ height, width, values }) {
  let total = 0, down = 0, across = 0;
  values.forEach((value, at) => {
    total += value;
    down += value * Math.floor(at / width);
    across += value * (at % width);
  });
  const place = (moment, side) =>
    Math.min(Math.max(Math.floor((29 * total - 2 * moment) / (2 * total)), 0), SIDE - side);
  const top = place(down, height), left = place(across, width);
  const image = new Uint8Array(SIDE * SIDE);
  for (let y = 0; y < height; y++) {
    image.set(values.subarray(y * width, (y + 1) * width), (top + y) * SIDE + left);
  }
  return image;
}
