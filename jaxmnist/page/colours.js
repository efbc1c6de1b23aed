// Colours and small pictures. What has two sides is blue where it raises and orange where it lowers.

let colours;

/** Take the colours that the style sheet has now, which follow the reader's choice of light or dark. */
function readColours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["paper", "ink", "muted", "line", "positive", "negative"];
  colours = Object.fromEntries(names.map((name) => [name, channels(style.getPropertyValue(`--${name}`).trim())]));
}

const channels = (hexadecimal) => [1, 3, 5].map((at) => parseInt(hexadecimal.slice(at, at + 2), 16));

const css = (colour, opacity = 1) => `rgb(${colour.map(Math.round).join(" ")} / ${opacity})`;

const mixed = (from, to, share) => from.map((channel, at) => channel + (to[at] - channel) * share);

/** Paper at 0, ink at 1, orange at −1. */
function shade(share) {
  return mixed(colours.paper, share < 0 ? colours.negative : colours.ink, Math.min(Math.abs(share), 1));
}

/** What canvases measured when they were last drawn: to ask the browser each time would make it lay out the page. */
const measured = new Map();
new ResizeObserver(() => measured.clear()).observe(document.documentElement);

/** Fit a canvas's pixels to the screen's; gives its context, in which a unit is a CSS pixel, and its size. */
function fitted(canvas) {
  if (!measured.has(canvas)) measured.set(canvas, { width: canvas.clientWidth, height: canvas.clientHeight });
  const { width, height } = measured.get(canvas);
  const scale = window.devicePixelRatio || 1;
  const pixels = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== pixels[0] || canvas.height !== pixels[1]) [canvas.width, canvas.height] = pixels;
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  return { context, width, height };
}

const tile = document.createElement("canvas");
[tile.width, tile.height] = [SIDE, SIDE];

/** 784 numbers from −1 to 1 as a picture of 28×28 pixels, which is the same canvas at every call. */
function pictureOf(shares, above = colours.ink) {
  const context = tile.getContext("2d", { willReadFrequently: true });
  const picture = context.createImageData(SIDE, SIDE);
  for (let at = 0, to = 0; at < SIDE * SIDE; at++) {
    const share = Math.min(Math.abs(shares[at]), 1), full = shares[at] < 0 ? colours.negative : above;
    for (let channel = 0; channel < 3; channel++) {
      picture.data[to++] = colours.paper[channel] + (full[channel] - colours.paper[channel]) * share;
    }
    picture.data[to++] = 255;
  }
  context.putImageData(picture, 0, 0);
  return tile;
}

/** 784 numbers with signs on a canvas, the strongest in full colour. */
function drawMap(canvas, values) {
  const { context, width, height } = fitted(canvas);
  const most = largestSize(values) || 1;
  context.imageSmoothingEnabled = false;
  context.drawImage(pictureOf(values.map((value) => value / most), colours.positive), 0, 0, width, height);
}

/** Numbers with signs as bars on a canvas, up or down from a line in the middle; few enough are numbered from 0. */
function drawBars(canvas, values) {
  const { context, width, height } = fitted(canvas);
  context.fillStyle = css(colours.paper);
  context.fillRect(0, 0, width, height);
  const most = largestSize(values) || 1, step = width / values.length, middle = height / 2;
  values.forEach((value, at) => {
    const length = (value / most) * (middle - 16);
    context.fillStyle = css(value < 0 ? colours.negative : colours.positive);
    const gap = step > 3 ? 1 : 0;
    context.fillRect(at * step + gap / 2, Math.min(middle, middle - length), Math.max(step - gap, 0.5), Math.abs(length));
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
