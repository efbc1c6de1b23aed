// The network as a drawing: 28×28 pixels at the left, then the layers of neurons, joined by what flows between them.

const MOST_LINES = 300, MOST_RADIUS = 11, TOP = 22, RIGHT = 34;

/** Draws a network in its element; `looked(layer, neuron, steady)` is called when a reader looks at a neuron. */
function networkDiagram(element, looked) {
  const canvas = element.querySelector("canvas"), group = element.querySelector("#neurons");
  let shown = null, places = null, buttons = [], chosen = null;

  function show(network, passed, read) {
    if (!shown || String(shown.network.sizes) !== String(network.sizes)) makeButtons(network.sizes);
    shown = { network, passed, read };
    draw();
  }

  function makeButtons(sizes) {
    buttons = [null];
    group.replaceChildren();
    for (let layer = 1; layer < sizes.length; layer++) {
      buttons[layer] = Array.from({ length: sizes[layer] }, (_, neuron) => {
        const button = document.createElement("button");
        button.type = "button";
        button.tabIndex = layer === 1 && neuron === 0 ? 0 : -1;
        button.setAttribute("aria-label", neuronName(sizes, layer, neuron));
        Object.assign(button.dataset, { layer, neuron });
        group.append(button);
        return button;
      });
    }
    layOut(sizes);
  }

  function layOut(sizes) {
    places = placesOf(sizes, element.clientWidth, element.clientHeight);
    for (let layer = 1; layer < sizes.length; layer++) {
      buttons[layer].forEach(({ style }, neuron) => {
        const [x, y] = places.layers[layer][neuron], reach = places.radii[layer] + 2;
        [style.left, style.top] = [`${x - reach}px`, `${y - reach}px`];
        style.width = style.height = `${2 * reach}px`;
      });
    }
  }

  function draw() {
    if (!shown) return;
    const { context, width, height } = fitted(canvas);
    const { network, passed, read } = shown;
    context.clearRect(0, 0, width, height);
    network.layers.forEach((layer, at) => drawLines(context, layer, at, passed.a[at]));
    drawPixels(context, passed.a[0]);
    for (let layer = 1; layer < network.sizes.length; layer++) drawNeurons(context, layer, passed.a[layer]);
    drawWords(context, network.sizes, height, read);
  }

  function drawLines(context, { inputs, outputs, weights }, at, before) {
    const ends = places.layers[at + 1];
    const mine = chosen && chosen.layer === at + 1 ? chosen.neuron : null;
    const lines = strongest(inputs, outputs, weights, before, mine);
    const most = largestSize(lines.map((line) => line.flow)) || 1;
    const faded = chosen && mine === null ? 0.2 : 1;
    const raising = css(colours.positive), lowering = css(colours.negative);
    for (const { j, k, flow } of lines) {
      const share = Math.sqrt(Math.abs(flow) / most); // in a trained network a few are far stronger than the rest
      context.strokeStyle = flow < 0 ? lowering : raising;
      context.globalAlpha = faded * (0.05 + 0.7 * share);
      context.lineWidth = 0.3 + 2.2 * share ** 2;
      context.beginPath();
      context.moveTo(...places.layers[at][k]);
      context.lineTo(...ends[j]);
      context.stroke();
    }
    context.globalAlpha = 1;
  }

  function drawPixels(context, image) {
    const { left, top, side } = places.pixels;
    context.imageSmoothingEnabled = false;
    context.globalAlpha = 0.85; // the lines begin at pixels, and are to be seen
    context.drawImage(pictureOf(image), left, top, side, side);
    context.globalAlpha = 1;
    context.lineWidth = 1;
    context.strokeStyle = css(colours.muted);
    context.strokeRect(left + 0.5, top + 0.5, side - 1, side - 1);
  }

  function drawNeurons(context, layer, activations) {
    const most = Math.max(1, largestSize(activations)); // ReLU and its like go beyond 1
    places.layers[layer].forEach(([x, y], neuron) => {
      const looking = chosen && chosen.layer === layer && chosen.neuron === neuron;
      context.beginPath();
      context.arc(x, y, places.radii[layer], 0, 2 * Math.PI);
      context.fillStyle = css(shade(activations[neuron] / most));
      context.fill();
      context.lineWidth = looking ? 3 : 1;
      context.strokeStyle = css(looking ? colours.positive : colours.muted);
      if (places.radii[layer] > 2 || looking) context.stroke();
    });
  }

  function drawWords(context, sizes, height, read) {
    context.textBaseline = "middle";
    const last = sizes.length - 1;
    places.layers[last].forEach(([x, y], digit) => {
      context.font = `${digit === read ? "bold 18px" : "14px"} system-ui, sans-serif`;
      context.textAlign = "left";
      context.fillStyle = css(digit === read ? colours.ink : colours.muted);
      context.fillText(digit, x + places.radii[last] + 5, y);
    });
    context.font = "12px system-ui, sans-serif";
    context.fillStyle = css(colours.muted);
    context.textAlign = "left";
    context.fillText("28×28 pixels", places.pixels.left, places.pixels.top - 11);
    context.textAlign = "center";
    if (places.step < 40) return;
    for (let layer = 1; layer < sizes.length; layer++) {
      const wide = places.step > 90, what = layer === last ? "outputs" : "neurons";
      context.fillText(wide ? `${sizes[layer]} ${what}` : sizes[layer], places.columns[layer], 10);
    }
  }

  function look(button, steady) {
    const [layer, neuron] = [Number(button.dataset.layer), Number(button.dataset.neuron)];
    chosen = { layer, neuron };
    draw();
    looked(layer, neuron, steady);
  }

  function lookAway() {
    const focused = document.activeElement;
    if (group.contains(focused) && focused.matches(":focus-visible")) return look(focused, false);
    chosen = null;
    draw();
  }

  group.addEventListener("pointerover", (event) => event.target.matches("button") && look(event.target, false));
  group.addEventListener("pointerout", lookAway);
  group.addEventListener("focusin", (event) => {
    for (const button of group.querySelectorAll('[tabindex="0"]')) button.tabIndex = -1;
    event.target.tabIndex = 0;
    look(event.target, true);
  });
  group.addEventListener("focusout", () => {
    chosen = null;
    draw();
  });
  group.addEventListener("keydown", (event) => {
    const { layer, neuron } = event.target.dataset;
    const step = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    const column = buttons[Number(layer) + step[0]];
    if (column) column[Math.min(Math.max(Number(neuron) + step[1], 0), column.length - 1)].focus();
  });
  new ResizeObserver(() => {
    if (!shown) return;
    layOut(shown.network.sizes);
    draw();
  }).observe(element);

  return { show, draw };
}

function neuronName(sizes, layer, neuron) {
  if (layer === sizes.length - 1) return `Output ${neuron}`;
  return `${sizes.length > 3 ? `Hidden layer ${layer}` : "Hidden layer"}, neuron ${neuron}`;
}

/** Where everything stands: pixels and neurons by layer, each a point; radii and middles of the layers' columns. */
function placesOf(sizes, width, height) {
  const side = Math.round(Math.min(Math.max(0.3 * width, 84), 196, height - TOP));
  const pixels = { left: 0, top: Math.round(TOP + (height - TOP - side) / 2), side };
  const first = Array.from({ length: SIDE * SIDE }, (_, at) => [
    pixels.left + (((at % SIDE) + 0.5) * side) / SIDE,
    pixels.top + ((Math.floor(at / SIDE) + 0.5) * side) / SIDE,
  ]);
  const step = (width - RIGHT - side) / (sizes.length - 1);
  const layers = [first], radii = [0], columns = [side / 2];
  for (let layer = 1; layer < sizes.length; layer++) {
    const middle = side + layer * step;
    const room = layer < sizes.length - 1 ? 0.7 * step : 2 * MOST_RADIUS;
    const { radius, rows, across } = packed(sizes[layer], room, height - TOP);
    const down = (height - TOP) / rows, apart = Math.min(3 * radius, room / across);
    layers.push(
      Array.from({ length: sizes[layer] }, (_, neuron) => [
        middle + (Math.floor(neuron / rows) - (across - 1) / 2) * apart,
        TOP + ((neuron % rows) + 0.5) * down,
      ]),
    );
    radii.push(radius);
    columns.push(middle);
  }
  return { pixels, layers, radii, columns, step };
}

/** The largest circles of which so many have room, in as many columns as it takes. */
function packed(count, width, height) {
  for (let radius = MOST_RADIUS; ; radius *= 0.9) {
    const rows = Math.max(1, Math.min(count, Math.floor(height / (2.3 * radius))));
    const across = Math.ceil(count / rows);
    if (across * 2.3 * radius <= width || radius < 0.7) return { radius, rows, across };
  }
}

/** The connections into a layer, or into one of its neurons, by what flows through them: the strongest, weakest first. */
function strongest(inputs, outputs, weights, before, only) {
  const [first, after] = only === null ? [0, outputs] : [only, only + 1];
  const active = Array.from(before.keys()).filter((k) => before[k]);
  const sizes = new Float64Array((after - first) * active.length);
  let count = 0;
  for (let j = first; j < after; j++) for (const k of active) sizes[count++] = Math.abs(weights[j * inputs + k] * before[k]);
  const least = count > MOST_LINES ? select(sizes, count - MOST_LINES) : 0;
  const lines = [];
  for (let j = first; j < after; j++) {
    for (const k of active) {
      const flow = weights[j * inputs + k] * before[k];
      if (Math.abs(flow) >= least && flow) lines.push({ j, k, flow });
    }
  }
  return lines.sort((one, other) => Math.abs(one.flow) - Math.abs(other.flow)).slice(-MOST_LINES);
}
