// The network as a drawing: 28×28 pixels at the left, then the layers of neurons, joined by what flows between them.

const MOST_LINES = 300, MOST_RADIUS = 11, TOP = 22, RIGHT = 34;

/** Draw networks in an element; `onChoose({ layer, neuron }, steady)` is told at which neuron, and if by focus. */
function networkDiagram(element, onChoose) {
  const canvas = element.querySelector("canvas"), group = element.querySelector(".neurons");
  const diagram = { onChoose, canvas, group, made: "", shown: null, layout: null, buttons: [], chosen: null };
  listenToNeurons(diagram);
  return diagram;
}

/** Show how a network reads: every layer's activations, and what flows between them. */
function showNetwork(diagram, network, passed, read) {
  const lines = network.layers.map((layer, at) => [layer, passed.a[at]]);
  showPart(diagram, { network, circles: passed.a.map((values) => ({ values })), lines, read });
}

/**
 * Show some of a network's numbers: by layer the circles' { values, signed }, and the lines to the next layer, a matrix
 * and what multiplies its columns; the digit that is read; and a marked neuron. What is missing stays empty.
 */
function showPart(diagram, shown) {
  const { sizes } = shown.network, buttons = `${language} ${sizes}`;
  if (diagram.made !== buttons) makeButtons(diagram, sizes);
  Object.assign(diagram, { made: buttons, shown });
  drawDiagram(diagram);
}

function makeButtons(diagram, sizes) {
  diagram.buttons = sizes.map((size, layer) =>
    Array.from({ length: layer ? size : 0 }, (_, neuron) => {
      const tabIndex = layer === 1 && neuron === 0 ? 0 : -1, ariaLabel = neuronName(sizes, { layer, neuron });
      const button = made("button", { type: "button", tabIndex, ariaLabel });
      Object.assign(button.dataset, { layer, neuron });
      return button;
    }),
  );
  diagram.group.replaceChildren(...diagram.buttons.flat());
  diagram.layout = null;
}

function placeButtons({ buttons, layout: { layers } }) {
  for (const { style, dataset } of buttons.flat()) {
    const { points, radius } = layers[dataset.layer], [x, y] = points[dataset.neuron], reach = radius + 2;
    [style.left, style.top] = [`${x - reach}px`, `${y - reach}px`];
    style.width = style.height = `${2 * reach}px`;
  }
}

function drawDiagram(diagram) {
  const { chosen, shown: { network, circles, lines, read, marked } } = diagram, one = chosen ?? marked;
  const { context, width, height } = fitted(diagram.canvas);
  if (diagram.layout?.width !== width || diagram.layout.height !== height) {
    diagram.layout = layoutOf(network.sizes, width, height);
    placeButtons(diagram);
  }
  const { layers } = diagram.layout;
  context.clearRect(0, 0, width, height);
  network.layers.forEach((_, at) => lines[at] && drawLines(context, lines[at], layers.slice(at), at + 1, chosen));
  drawPixels(context, circles[0].values, diagram.layout);
  for (let layer = 1; layer < layers.length; layer++) {
    drawNeurons(context, circles[layer] ?? { values: [] }, layers[layer], one?.layer === layer ? one.neuron : null);
  }
  drawWords(context, network.sizes, diagram.layout, read);
}

/** Draw the strongest lines into a layer, or into its chosen neuron, by what flows through them; the weakest first. */
function drawLines(context, [{ inputs, weights }, before], [from, to], layer, chosen) {
  const only = chosen?.layer === layer, first = only ? chosen.neuron * inputs : 0;
  const into = only ? weights.subarray(first, first + inputs) : weights;
  const flows = before ? into.map((weight, at) => weight * before[at % inputs]) : into, most = largestSize(flows);
  const raising = css(colours.positive), lowering = css(colours.negative);
  for (const at of strongest(flows, MOST_LINES).filter((place) => flows[place]).reverse()) {
    const share = Math.sqrt(Math.abs(flows[at]) / most); // in a trained network a few are far stronger than the rest
    context.strokeStyle = flows[at] < 0 ? lowering : raising;
    context.globalAlpha = (chosen && !only ? 0.2 : 1) * (0.05 + 0.7 * share);
    context.lineWidth = 0.3 + 2.2 * share ** 2;
    context.beginPath();
    context.moveTo(...from.points[at % inputs]);
    context.lineTo(...to.points[Math.floor((first + at) / inputs)]);
    context.stroke();
  }
  context.globalAlpha = 1;
}

/** The places of the largest numbers, whatever their sign, the largest first. */
function strongest(values, most) {
  const least = new Float64Array(values.filter(Boolean)).map(Math.abs).sort().at(-most) ?? 0;
  const places = [...values.keys()].filter((at) => !(Math.abs(values[at]) < least)); // NaN stays
  return places.sort((one, other) => Math.abs(values[other]) - Math.abs(values[one])).slice(0, most);
}

function drawPixels(context, image, { top, side }) {
  context.imageSmoothingEnabled = false;
  context.globalAlpha = 0.85; // shows the lines, which begin at pixels
  context.drawImage(pictureOf(image), 0, top, side, side);
  context.globalAlpha = 1;
  context.lineWidth = 1;
  context.strokeStyle = css(colours.muted);
  context.strokeRect(0.5, top + 0.5, side - 1, side - 1);
}

function drawNeurons(context, { values, signed }, { points, radius }, chosen) {
  const most = Math.max(signed ? 0 : 1, largestSize(values)) || 1; // activations of ReLU and the like exceed 1
  points.forEach(([x, y], neuron) => {
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fillStyle = css(shade((values[neuron] ?? 0) / most, signed ? colours.positive : colours.ink));
    context.fill();
    context.lineWidth = neuron === chosen ? 3 : 1;
    context.strokeStyle = css(neuron === chosen ? colours.positive : colours.muted);
    if (radius > 2 || neuron === chosen) context.stroke();
  });
}

function drawWords(context, sizes, { layers, top, step }, read) {
  const { points, radius } = layers.at(-1);
  context.textBaseline = "middle";
  context.textAlign = "left";
  points.forEach(([x, y], digit) => {
    context.font = `${digit === read ? "bold 18px" : "14px"} system-ui, sans-serif`;
    context.fillStyle = css(digit === read ? colours.ink : colours.muted);
    context.fillText(digit, x + radius + 5, y);
  });
  context.font = "12px system-ui, sans-serif";
  context.fillStyle = css(colours.muted);
  context.fillText(words("network.pixels"), 0, top - 11);
  context.textAlign = "center";
  layers.forEach(({ middle }, layer) => {
    const name = words(layer === sizes.length - 1 ? "network.last" : "network.layer", { count: sizes[layer] });
    if (layer && step >= 40) context.fillText(step > 90 ? name : sizes[layer], middle, 10);
  });
}

function listenToNeurons(diagram) {
  const { group } = diagram;
  const choose = (button, steady) => {
    diagram.chosen = button && { layer: Number(button.dataset.layer), neuron: Number(button.dataset.neuron) };
    drawDiagram(diagram);
    if (button) diagram.onChoose(diagram.chosen, steady);
  };
  group.addEventListener("pointerover", ({ target }) => target !== group && choose(target, false));
  group.addEventListener("pointerout", () => choose(group.querySelector(":focus-visible"), false));
  group.addEventListener("focusin", ({ target }) => {
    for (const button of diagram.buttons.flat()) button.tabIndex = button === target ? 0 : -1;
    choose(target, true);
  });
  group.addEventListener("focusout", () => choose(null));
  group.addEventListener("keydown", (event) => {
    const move = ARROWS[event.key], { layer, neuron } = event.target.dataset;
    if (!move) return;
    event.preventDefault();
    const column = diagram.buttons[Number(layer) + move[0]];
    if (column?.length) column[clamped(Number(neuron) + move[1], column.length - 1)].focus();
  });
}

function neuronName(sizes, { layer, neuron }) {
  if (layer === sizes.length - 1) return words("neuron.output", { neuron });
  return words(sizes.length > 3 ? "neuron.hidden" : "neuron.only", { layer, neuron });
}

/** The positions: the square of pixels at the left, and each layer's points, their radius and the layer's middle. */
function layoutOf(sizes, width, height) {
  const side = Math.round(Math.min(Math.max(0.3 * width, 84), 196, height - TOP)), pixel = side / SIDE;
  const top = Math.round((TOP + height - side) / 2), step = (width - RIGHT - side) / (sizes.length - 1);
  const layers = sizes.map((size, layer) => {
    const pointsOf = (pointOf) => Array.from({ length: size }, (_, at) => pointOf(at));
    const pixelOf = (at) => [((at % SIDE) + 0.5) * pixel, top + (Math.floor(at / SIDE) + 0.5) * pixel];
    if (!layer) return { points: pointsOf(pixelOf) };
    const middle = side + layer * step, room = layer < sizes.length - 1 ? 0.7 * step : 2 * MOST_RADIUS;
    const { radius, rows, across } = packed(size, room, height - TOP);
    const down = (height - TOP) / rows, apart = Math.min(3 * radius, room / across);
    const xOf = (neuron) => middle + (Math.floor(neuron / rows) - (across - 1) / 2) * apart;
    return { middle, radius, points: pointsOf((neuron) => [xOf(neuron), TOP + ((neuron % rows) + 0.5) * down]) };
  });
  return { width, height, side, top, step, layers };
}

/** The largest circles of which so many fit, in as many columns as needed. */
function packed(count, width, height) {
  for (let radius = MOST_RADIUS; ; radius *= 0.9) {
    const rows = Math.max(1, Math.min(count, Math.floor(height / (2.3 * radius))));
    const across = Math.ceil(count / rows);
    if (across * 2.3 * radius <= width || radius < 0.7) return { radius, rows, across };
  }
}
