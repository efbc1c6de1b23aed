// Line charts: values over steps or examples, with bands between quartiles.

const MARGIN = { left: 44, right: 10, top: 10, bottom: 34 }, TICKS = 5;

/**
 * Draw lines on a canvas. A line is { colour, points, band, dashed, dots }: each point is [x, y], each of the band
 * [x, low, high], and `dots` the radius of dots at points. `x` and `y` are { name, most, least }, usually from 0.
 */
function drawChart(canvas, lines, x, y) {
  const { context, width, height } = fitted(canvas);
  const place = placer(x, y, width, height);
  context.clearRect(0, 0, width, height);
  drawAxes(context, x, y, place, width, height);
  context.save();
  context.beginPath();
  const [left, bottom] = place([x.least ?? 0, y.least ?? 0]), [right, top] = place([x.most, y.most]);
  context.rect(left, top - 2, right - left, bottom - top + 4);
  context.clip(); // what is beyond the axes
  for (const { colour, band = [] } of lines) {
    context.fillStyle = css(colours[colour]);
    context.globalAlpha = 0.2;
    const outline = [...band.map(([at, low]) => [at, low]), ...band.map(([at, , high]) => [at, high]).reverse()];
    trace(context, outline, place);
    context.fill();
  }
  context.globalAlpha = 1;
  for (const { colour, points, dashed, dots } of lines) {
    context.strokeStyle = context.fillStyle = css(colours[colour]);
    context.lineWidth = 2;
    context.setLineDash(dashed ? [5, 3] : []);
    trace(context, points, place);
    context.stroke();
    for (const point of dots ? points : []) {
      context.beginPath();
      context.arc(...place(point), dots, 0, 2 * Math.PI);
      context.fill();
    }
  }
  context.restore();
}

/** Where a point of the chart's units is on the canvas. */
function placer(x, y, width, height) {
  const share = (value, { least = 0, most }) => (value - least) / (most - least);
  return ([at, value]) => [
    MARGIN.left + share(at, x) * (width - MARGIN.left - MARGIN.right),
    height - MARGIN.bottom - share(value, y) * (height - MARGIN.top - MARGIN.bottom),
  ];
}

function trace(context, points, place) {
  context.beginPath();
  for (const point of points) context.lineTo(...place(point));
}

function drawAxes(context, x, y, place, width, height) {
  context.font = "12px system-ui, sans-serif";
  context.textBaseline = "middle";
  for (const value of ticks(y)) {
    const [, down] = place([x.least ?? 0, value]);
    context.fillStyle = css(colours.line);
    context.fillRect(MARGIN.left, Math.round(down), width - MARGIN.left - MARGIN.right, 1);
    context.fillStyle = css(colours.muted);
    context.textAlign = "right";
    context.fillText(tickText(value), MARGIN.left - 5, down);
  }
  for (const value of ticks(x)) {
    context.textAlign = value === (x.least ?? 0) ? "left" : value === x.most ? "right" : "center";
    context.fillText(tickText(value), place([value, y.most])[0], height - MARGIN.bottom + 10);
  }
  context.textAlign = "right";
  context.fillText(x.name, width - MARGIN.right, height - 7);
}

/** A few round numbers that cover the range. */
function ticks({ least = 0, most }) {
  const rough = (most - least) / TICKS, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.99);
  const first = Math.ceil(least / step);
  return Array.from({ length: Math.floor(most / step + 1e-9) - first + 1 }, (_, at) => (first + at) * step);
}

const tickText = (value) => (value >= 1000 ? value.toLocaleString("en") : String(Number(value.toPrecision(2))));
