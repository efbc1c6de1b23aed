// Colours and small pictures. Signed values are blue where they raise and orange where they lower.

let colours;

/** Take the style sheet's colours, which follow the reader's choice of light or dark. */
function readColours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["paper", "ink", "muted", "line", "positive", "negative", "gd", "sgd", "momentum", "nesterov"];
  colours = Object.fromEntries(names.map((name) => [name, channels(style.getPropertyValue(`--${name}`).trim())]));
}

const channels = (hexadecimal) => [1, 3, 5].map((at) => parseInt(hexadecimal.slice(at, at + 2), 16));

const css = (colour) => `rgb(${colour.map(Math.round).join(" ")})`;

/** Paper at 0, the given colour at 1, orange at −1. */
function shade(share, full = colours.ink, paper = colours.paper) {
  const end = share < 0 ? colours.negative : full, size = Math.min(Math.abs(share), 1);
  return paper.map((channel, at) => channel + (end[at] - channel) * size);
}

/** Sizes of canvases when last drawn: asking the browser each time would make it lay out the page. */
const measured = new Map();
new ResizeObserver(() => measured.clear()).observe(document.documentElement);

/** Fit a canvas's pixels to the screen's; returns its context, whose unit is a CSS pixel, and its size. */
function fitted(canvas) {
  if (!measured.has(canvas)) measured.set(canvas, { width: canvas.clientWidth, height: canvas.clientHeight });
  const { width, height } = measured.get(canvas);
  const scale = window.devicePixelRatio || 1, pixels = [width, height].map((size) => Math.round(size * scale));
  if (canvas.width !== pixels[0] || canvas.height !== pixels[1]) [canvas.width, canvas.height] = pixels;
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  return { context, width, height };
}

const sharesOf = (bytes) => Float64Array.from(bytes, (byte) => byte / 255);

/** Numbers as shares of the largest of them. */
function shares(values) {
  const most = largestSize(values) || 1;
  return values.map((value) => value / most);
}

const tile = made("canvas");

/** Numbers from −1 to 1, usually 784, as a picture of so many columns; each call returns the same canvas. */
function pictureOf(shares, full = colours.ink, paper = colours.paper, columns = SIDE) {
  [tile.width, tile.height] = [columns, shares.length / columns];
  const context = tile.getContext("2d", { willReadFrequently: true });
  const picture = context.createImageData(tile.width, tile.height);
  shares.forEach((share, at) => picture.data.set([...shade(share, full, paper), 255], 4 * at));
  context.putImageData(picture, 0, 0);
  return tile;
}

/** Signed numbers on a canvas, the strongest in full colour. */
function drawMap(canvas, values, columns) {
  const { context, width, height } = fitted(canvas);
  context.imageSmoothingEnabled = false;
  context.drawImage(pictureOf(shares(values), colours.positive, colours.paper, columns), 0, 0, width, height);
}

/** Signed numbers as bars on a canvas, up or down from a line in the middle, numbered from 0 where there is room. */
function drawBars(canvas, values) {
  const { context, width, height } = fitted(canvas);
  context.fillStyle = css(colours.paper);
  context.fillRect(0, 0, width, height);
  const step = width / values.length, middle = height / 2, gap = step > 3 ? 1 : 0;
  shares(values).forEach((share, at) => {
    context.fillStyle = css(share < 0 ? colours.negative : colours.positive);
    context.fillRect(at * step + gap / 2, middle, Math.max(step - gap, 0.5), share * (16 - middle));
  });
  context.fillStyle = css(colours.muted);
  context.fillRect(0, middle - 0.5, width, 1);
  context.font = "10px system-ui, sans-serif";
  context.textAlign = "center";
  const every = Math.ceil((8 + 6 * String(values.length).length) / step);
  for (let at = 0; at < values.length; at += every) {
    const half = 3 * String(at).length + 1;
    context.fillText(at, Math.min(Math.max((at + 0.5) * step, half), width - half), height - 3);
  }
}
