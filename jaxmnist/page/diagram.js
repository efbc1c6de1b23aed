// The network as a drawing: 28×28 pixels at the left, then the layers of neurons, joined by what flows between them.

const MOST_LINES = 300, MOST_RADIUS = 11, TOP = 22, RIGHT = 34;

/**
 * Draw networks in an element; `onChoose(layer, neuron, steady)` is called when the reader points at a neuron, and
 * steady says whether by focus.
 */
function networkDiagram(element, onChoose) {
  const diagram = {
    element, onChoose, canvas: element.querySelector("canvas"), group: element.querySelector(".neurons"),
    shown: null, layout: null, buttons: [], chosen: null,
  };
  listenToNeurons(diagram);
  new ResizeObserver(() => {
    if (!diagram.shown) return;
    placeButtons(diagram, diagram.shown.network.sizes);
    drawDiagram(diagram);
  }).observe(element);
  return diagram;
}

function showNetwork(diagram, network, passed, read) {
  const buttons = `${language} ${network.sizes}`;
  if (diagram.made !== buttons) makeButtons(diagram, network.sizes);
  diagram.made = buttons;
  diagram.shown = { network, passed, read };
  drawDiagram(diagram);
}

function makeButtons(diagram, sizes) {
  diagram.buttons = sizes.map((size, layer) =>
    Array.from({ length: layer ? size : 0 }, (_, neuron) => {
      const button = document.createElement("button");
      button.type = "button";
      button.tabIndex = layer === 1 && neuron === 0 ? 0 : -1;
      button.setAttribute("aria-label", neuronName(sizes, layer, neuron));
      Object.assign(button.dataset, { layer, neuron });
      return button;
    }),
  );
  diagram.group.replaceChildren(...diagram.buttons.flat());
  placeButtons(diagram, sizes);
}

function placeButtons(diagram, sizes) {
  const { points, radii } = (diagram.layout = layoutOf(sizes, diagram.element.clientWidth, diagram.element.clientHeight));
  for (const { style, dataset } of diagram.buttons.flat()) {
    const [x, y] = points[dataset.layer][dataset.neuron], reach = radii[dataset.layer] + 2;
    [style.left, style.top] = [`${x - reach}px`, `${y - reach}px`];
    style.width = style.height = `${2 * reach}px`;
  }
}

function drawDiagram(diagram) {
  if (!diagram.shown) return;
  const { context, width, height } = fitted(diagram.canvas);
  const { network, passed, read } = diagram.shown, { layout, chosen } = diagram;
  context.clearRect(0, 0, width, height);
  network.layers.forEach((layer, at) => {
    const only = chosen?.layer === at + 1 ? chosen.neuron : null, opacity = chosen && only === null ? 0.2 : 1;
    drawLines(context, strongest(layer, passed.a[at], only), layout.points[at], layout.points[at + 1], opacity);
  });
  drawPixels(context, passed.a[0], layout.pixels);
  for (let layer = 1; layer < network.sizes.length; layer++) {
    const neuron = chosen?.layer === layer ? chosen.neuron : null;
    drawNeurons(context, passed.a[layer], layout.points[layer], layout.radii[layer], neuron);
  }
  drawWords(context, network.sizes, layout, read);
}

function drawLines(context, lines, from, to, opacity) {
  const most = largestSize(lines.map(({ flow }) => flow)) || 1;
  const raising = css(colours.positive), lowering = css(colours.negative);
  for (const { j, k, flow } of lines) {
    const share = Math.sqrt(Math.abs(flow) / most); // in a trained network a few are far stronger than the rest
    context.strokeStyle = flow < 0 ? lowering : raising;
    context.globalAlpha = opacity * (0.05 + 0.7 * share);
    context.lineWidth = 0.3 + 2.2 * share ** 2;
    context.beginPath();
    context.moveTo(...from[k]);
    context.lineTo(...to[j]);
    context.stroke();
  }
  context.globalAlpha = 1;
}

function drawPixels(context, image, { left, top, side }) {
  context.imageSmoothingEnabled = false;
  context.globalAlpha = 0.85; // shows the lines, which begin at pixels
  context.drawImage(pictureOf(image), left, top, side, side);
  context.globalAlpha = 1;
  context.lineWidth = 1;
  context.strokeStyle = css(colours.muted);
  context.strokeRect(left + 0.5, top + 0.5, side - 1, side - 1);
}

function drawNeurons(context, activations, points, radius, chosen) {
  const most = Math.max(1, largestSize(activations)); // ReLU and the like exceed 1
  points.forEach(([x, y], neuron) => {
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fillStyle = css(shade(activations[neuron] / most));
    context.fill();
    context.lineWidth = neuron === chosen ? 3 : 1;
    context.strokeStyle = css(neuron === chosen ? colours.positive : colours.muted);
    if (radius > 2 || neuron === chosen) context.stroke();
  });
}

function drawWords(context, sizes, { points, radii, columns, pixels, step }, read) {
  const last = sizes.length - 1;
  context.textBaseline = "middle";
  context.textAlign = "left";
  points[last].forEach(([x, y], digit) => {
    context.font = `${digit === read ? "bold 18px" : "14px"} system-ui, sans-serif`;
    context.fillStyle = css(digit === read ? colours.ink : colours.muted);
    context.fillText(digit, x + radii[last] + 5, y);
  });
  context.font = "12px system-ui, sans-serif";
  context.fillStyle = css(colours.muted);
  context.fillText(words("network.pixels"), pixels.left, pixels.top - 11);
  context.textAlign = "center";
  if (step < 40) return;
  for (let layer = 1; layer <= last; layer++) {
    const name = words(layer === last ? "network.last" : "network.layer", { count: sizes[layer] });
    context.fillText(step > 90 ? name : sizes[layer], columns[layer], 10);
  }
}

function listenToNeurons(diagram) {
  const { group } = diagram;
  const choose = (button, steady) => {
    const [layer, neuron] = [Number(button.dataset.layer), Number(button.dataset.neuron)];
    diagram.chosen = { layer, neuron };
    drawDiagram(diagram);
    diagram.onChoose(layer, neuron, steady);
  };
  const chooseNone = () => {
    diagram.chosen = null;
    drawDiagram(diagram);
  };
  group.addEventListener("pointerover", (event) => event.target.matches("button") && choose(event.target, false));
  group.addEventListener("pointerout", () => {
    const focused = group.querySelector(":focus-visible");
    if (focused) choose(focused, false);
    else chooseNone();
  });
  group.addEventListener("focusin", ({ target }) => {
    for (const button of group.querySelectorAll('[tabindex="0"]')) button.tabIndex = -1;
    target.tabIndex = 0;
    choose(target, true);
  });
  group.addEventListener("focusout", chooseNone);
  group.addEventListener("keydown", (event) => {
    const { layer, neuron } = event.target.dataset;
    const step = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    const column = diagram.buttons[Number(layer) + step[0]];
    if (column?.length) column[clamped(Number(neuron) + step[1], column.length - 1)].focus();
  });
}

function neuronName(sizes, layer, neuron) {
  if (layer === sizes.length - 1) return words("neuron.output", { neuron });
  return words(sizes.length > 3 ? "neuron.hidden" : "neuron.only", { layer, neuron });
}

/** The positions: each layer's points, pixels first, its radius and the middle of its columns. */
function layoutOf(sizes, width, height) {
  const side = Math.round(Math.min(Math.max(0.3 * width, 84), 196, height - TOP));
  const pixels = { left: 0, top: Math.round(TOP + (height - TOP - side) / 2), side };
  const pixelPoints = Array.from({ length: SIDE * SIDE }, (_, at) => [
    pixels.left + (((at % SIDE) + 0.5) * side) / SIDE,
    pixels.top + ((Math.floor(at / SIDE) + 0.5) * side) / SIDE,
  ]);
  const step = (width - RIGHT - side) / (sizes.length - 1);
  const points = [pixelPoints], radii = [0], columns = [side / 2];
  for (let layer = 1; layer < sizes.length; layer++) {
    const middle = side + layer * step;
    const room = layer < sizes.length - 1 ? 0.7 * step : 2 * MOST_RADIUS;
    const { radius, rows, across } = packed(sizes[layer], room, height - TOP);
    const down = (height - TOP) / rows, apart = Math.min(3 * radius, room / across);
    points.push(
      Array.from({ length: sizes[layer] }, (_, neuron) => [
        middle + (Math.floor(neuron / rows) - (across - 1) / 2) * apart,
        TOP + ((neuron % rows) + 0.5) * down,
      ]),
    );
    radii.push(radius);
    columns.push(middle);
  }
  return { pixels, points, radii, columns, step };
}

/** The largest circles of which so many fit, in as many columns as needed. */
function packed(count, width, height) {
  for (let radius = MOST_RADIUS; ; radius *= 0.9) {
    const rows = Math.max(1, Math.min(count, Math.floor(height / (2.3 * radius))));
    const across = Math.ceil(count / rows);
    if (across * 2.3 * radius <= width || radius < 0.7) return { radius, rows, across };
  }
}

/** The strongest connections into a layer, or into one of its neurons, by what flows through them; weakest first. */
function strongest({ inputs, outputs, weights }, before, only) {
  const neurons = only === null ? Array.from({ length: outputs }, (_, j) => j) : [only];
  const active = Array.from(before.keys()).filter((k) => before[k]);
  const flows = (visit) => neurons.flatMap((j) => active.flatMap((k) => visit(weights[j * inputs + k] * before[k], j, k)));
  const least = Float64Array.from(flows(Math.abs)).sort().at(-MOST_LINES) ?? 0;
  const lines = flows((flow, j, k) => (flow && Math.abs(flow) >= least ? [{ j, k, flow }] : []));
  return lines.sort((one, other) => Math.abs(one.flow) - Math.abs(other.flow)).slice(-MOST_LINES);
}
