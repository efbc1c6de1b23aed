// The Step view: one back-propagation on the reader's digit, stage by stage, and the step of an optimizer after it.

const MOST_ROWS = 16, STRONGEST = 10, KEPT = 0.9, SAMPLE = 3; // rows, momentum μ, and the digit for an empty board
const STEPS = { sgd: ["θ", "g", "θ′"], momentum: ["θ", "g", "m", "θ′"], nesterov: ["θ", "g", "m", "d", "θ′"] };

/** Each stage's columns, the last of them its result; a row is a neuron, or one of a neuron's `parameters`. */
const STAGES = {
  pixels: { columns: ["a"] },
  sums: { columns: ["z"], formula: "w · x + b" },
  activations: { columns: ["z", "a"], formula: "σ(z)" },
  ledger: { columns: ["a", "y", "term"] },
  error: { columns: ["z", "a", "y", "δ"] },
  levers: { columns: ["x", "w", "δ w", "δ x"], formula: "δ x", parameters: true },
  wishes: { columns: ["−∂C/∂a"], formula: "Σ −w δ" },
  delta: { columns: ["∂C/∂a", "z", "δ"], formula: "∂C/∂a · σ′(z)" },
  gradient: { columns: ["x", "∂C/∂w"], formula: "δ x", parameters: true },
  update: { parameters: true },
  proof: { columns: ["y", "a", "a′"] },
};

/** The stages for so many layers, each { kind, layer }: forward, the cost, back, and the step. */
function stagesOf(last) {
  const forwards = Array.from({ length: last }, (_, at) => at + 1), backwards = forwards.slice(0, -1).reverse();
  const each = (layers, ...kinds) => layers.flatMap((layer) => kinds.map((kind) => ({ kind, layer })));
  return [
    ...each([0], "pixels"), ...each(forwards, "sums", "activations"), ...each([last], "ledger", "error", "levers"),
    ...each(backwards, "wishes", "delta"), ...each([last], "gradient", "update", "proof"),
  ];
}

/** One step on a digit, from velocity 0, with the numbers of every layer by their symbols. */
function stepOn(network, { image, pixels, passed }, label, config) {
  const { deltas, sensitivities } = costGradient(network, passed, label), last = network.layers.length;
  const state = stateOf(network, Float32Array.from(network.numbers));
  trainStep(state, { images: image, labels: [label] }, [0], { ...config, momentum: KEPT });
  const after = forward(state.network, pixels), costs = [ledger(network, passed, label), ledger(state.network, after, label)];
  const layers = {
    ...passed, "a′": after.a, y: { [last]: oneHot(label) }, term: { [last]: costs[0].terms }, δ: deltas,
    "∂C/∂a": sensitivities, "−∂C/∂a": sensitivities.map((slopes) => slopes.map((slope) => -slope)),
  };
  return { network, label, ...config, state, costs, layers };
}

/** The numbers of a neuron's bias and weights by their symbols; the bias is like a weight whose input is 1. */
function parametersOf({ network, state, layers: { a, δ } }, layer, neuron) {
  const of = (numbers) => {
    const { inputs, weights, biases } = networkOf(network, numbers).layers[layer - 1];
    return [biases[neuron], ...weights.subarray(neuron * inputs, (neuron + 1) * inputs)];
  };
  const w = of(network.numbers), g = of(state.gradient), x = [1, ...a[layer - 1]];
  const wishes = w.map((weight, at) => (at ? weight * δ[layer][neuron] : NaN)); // there is no activation before a bias
  return { x, w, θ: w, "δ w": wishes, "δ x": g, "∂C/∂w": g, g, m: of(state.velocity), d: of(state.ahead), "θ′": of(state.params) };
}

/** What a stage shows of a layer and a neuron: columns, the result, its sum written out, a picture, the diagram's lines. */
function contentOf(step, kind, layer, neuron) {
  const { network, state, optimizer, layers } = step, { parameters, columns = STEPS[optimizer] } = STAGES[kind];
  const own = layer ? parametersOf(step, layer, neuron) : null;
  const numbers = columns.map((symbol) => (parameters ? own[symbol] : layers[symbol][layer])), result = numbers.at(-1);
  const content = { columns, numbers, parameters, rank: parameters ? own.g : result, picture: result };
  if (kind === "sums") {
    const [b, ...w] = own.w, x = layers.a[layer - 1], picture = w.map((weight, k) => weight * x[k]);
    const written = `${sumOf(picture, (k) => `${bracketed(w[k])} · ${bracketed(x[k])}`)} + ${bracketed(b)}`;
    return { ...content, written, picture, lines: { [layer - 1]: [network.layers[layer - 1], x] } };
  }
  if (kind === "wishes") {
    const { inputs, weights } = network.layers[layer], from = layers.δ[layer + 1];
    const wishes = weights.map((w, at) => -w * from[Math.floor(at / inputs)]), each = wishes.filter((_, at) => at % inputs === neuron);
    const picture = [...shares(wishes), ...new Array(inputs).fill(0), ...shares(result)]; // apart from them, their sum
    const ones = new Float64Array(inputs).fill(1), lines = { [layer]: [{ ...network.layers[layer], weights: wishes }, ones] };
    return { ...content, lines, written: sumOf(each, (j) => bracketed(each[j])), picture, width: inputs };
  }
  if (kind === "levers") return { ...content, picture: own.x.slice(1) };
  if (kind === "gradient") return { ...content, picture: own.g.slice(1), lines: state.slopes.map((slopes) => [slopes, new Float64Array(slopes.inputs).fill(1)]) };
  if (kind === "update") return { ...content, picture: own.w.map((w, at) => own["θ′"][at] - w).slice(1) };
  return content;
}

/** A neuron's result, or that in a row of its table, written out: its formula, and the same with numbers. */
function writtenOut({ network, optimizer, learningRate, layers }, kind, layer, neuron, { columns, numbers, written }, row) {
  const { outputName, formula, deltaFormula } = COSTS[network.cost];
  const special = { ledger: formula, error: deltaFormula, update: `θ − η ${STEPS[optimizer].at(-2)}` };
  if (layer === network.layers.length) special.activations = outputName;
  const text = special[kind] ?? STAGES[kind].formula, name = columns.at(-1);
  if (!text) return "";
  const values = { δ: layers.δ[layer][neuron], η: learningRate }, result = figures(numbers.at(-1)[row]);
  columns.slice(0, -1).forEach((symbol, at) => (values[symbol] = numbers[at][row]));
  const put = (sum, [symbol, value]) => sum.replaceAll(symbol, bracketed(value));
  const inNumbers = written ?? Object.entries(values).reduce(put, text).replace(/\((\([^()]*\))\)/g, "$1");
  return `${name === "term" || name === text ? "" : `${name} = `}${text} = ${inNumbers} = ${result}`;
}

/** What the circles hold after these stages: the last numbers of every layer. */
function circlesAfter({ layers }, stages) {
  const circles = [];
  for (const { kind, layer } of stages) {
    const symbol = STAGES[kind].columns?.at(-1), values = layers[symbol]?.[layer];
    if (values) circles[layer] = { values, signed: !/^a/.test(symbol) };
  }
  return circles;
}

function stepView(pad, networks) {
  const view = { show, at: null, chosen: null, step: null };
  const select = element("stepping"), slider = element("stage"), label = element("step-label");
  const choices = networks.flatMap(({ name, moments }) =>
    moments.map((moment, at) => ({ name, moment, other: moments[at ? 0 : moments.length - 1], trained: moments.at(-1) })),
  );
  const first = Math.max(0, choices.findIndex(({ moment: { network } }) => network.cost === "squared_error"));
  const diagram = networkDiagram(element("step-diagram"), (layer, neuron) => {
    view.chosen = { layer, neuron };
    show();
  });
  const fit = () => (slider.max = stagesOf(choices[select.value].moment.network.layers.length).length - 1);
  select.append(...choices.map((_, at) => new Option("", at, at === first, at === first)));
  select.addEventListener("input", fit);
  fit();
  label.append(...TARGETS.map((_, digit) => new Option(digit)));
  label.addEventListener("input", () => pad.choose(Number(label.value)));
  for (const button of document.querySelectorAll("[data-steps]")) {
    button.addEventListener("click", () => {
      slider.stepUp(Number(button.dataset.steps));
      for (const type of ["input", "change"]) slider.dispatchEvent(new Event(type, { bubbles: true }));
    });
  }

  function show() {
    if (pad.state.kind === "nothing") return draw(pad.board, { kind: "sample", ...pad.samples[SAMPLE], smooth: true }, []);
    choices.forEach(({ name, moment }, at) => (select.options[at].text = `${name}, ${moment.name()}`));
    const { moment: { network }, other, trained } = choices[select.value];
    showReading(pad, network, { moment: other.name(), network: other.network });
    label.value = pad.label ?? largestAt(forward(trained.network, pad.state.pixels).a.at(-1));
    const config = { optimizer: element("step-optimizer").value, learningRate: numberIn(element("step-rate")) };
    view.step = stepOn(network, pad.state, Number(label.value), config);
    const isNew = view.at !== slider.value;
    view.at = slider.value;
    showStage(view, diagram, stagesOf(network.layers.length).slice(0, slider.valueAsNumber + 1), isNew);
  }
  return view;
}

/** Show the last of these stages: about the neuron that the reader has chosen, if its number is known by then. */
function showStage(view, diagram, stages, isNew) {
  const { step } = view, { network } = step, { kind, layer } = stages.at(-1), { parameters, columns } = STAGES[kind];
  if (isNew && !parameters) view.chosen = null;
  const known = parameters || stages.some((stage) => stage.kind === kind && stage.layer === view.chosen?.layer);
  const strongest = () => strongestRows(step.layers[columns.at(-1)][layer], 1)[0];
  const usual = { layer, neuron: layer === network.layers.length ? step.label : strongest() };
  const chosen = (known && view.chosen) || usual, content = contentOf(step, kind, chosen.layer, chosen.neuron);
  const read = kind === "proof" ? largestAt(step.layers["a′"].at(-1)) : null;
  showPart(diagram, { network, circles: circlesAfter(step, stages), lines: content.lines ?? [], read, marked: chosen });
  const row = parameters ? strongestRows(content.rank, 1)[0] : chosen.neuron;
  describeStage(step, kind, chosen, content, row);
}

/** Write a stage's words, its numbers as a table and one of them written out, and draw its picture. */
function describeStage(step, kind, { layer, neuron }, content, row) {
  const { network: { sizes, cost }, label, costs } = step, { picture, width, numbers } = content, slider = element("stage");
  const names = {
    layer: words(layer === sizes.length - 1 ? "step.outputs" : "step.hidden", { layer }), label, read: largestAt(step.layers["a′"].at(-1)),
    neuron: layer ? neuronName(sizes, layer, neuron) : "", before: figures(costs[0].cost), after: figures(costs[1].cost), ...COSTS[cost],
  };
  const about = words(`step.${kind}.picture`, names), title = words(`step.${kind}`, names);
  element("stage-title").textContent = slider.ariaValueText = `${slider.valueAsNumber + 1}/${Number(slider.max) + 1} ${title}`;
  element("stage-text").textContent = words(`step.${kind}.text`, names);
  element("step-written").textContent = writtenOut(step, kind, layer, neuron, content, row);
  element("step-about").textContent = about;
  element("step-update").hidden = !["update", "proof"].includes(kind);
  showRows(content, layer, row, content.parameters ? names.neuron : names.layer);
  const square = !width && picture.length === SIDE * SIDE, canvas = element(square ? "step-map" : "step-bars");
  [element("step-map").hidden, element("step-bars").hidden] = [!square, square];
  if (square || width) drawMap(canvas, picture, width);
  else drawBars(canvas, picture);
  canvas.ariaLabel = words("step.picture", { about, ...rangeOf(numbers.at(-1).filter((value) => !Number.isNaN(value))) });
}

/** Show the columns of a stage, of a long layer only the strongest rows. */
function showRows({ columns, numbers, parameters, rank }, layer, chosen, name) {
  const { caption, tHead, tBodies } = element("step-rows"), most = rank.length > MOST_ROWS;
  const offset = parameters ? 1 : 0, cell = (tag, textContent) => Object.assign(document.createElement(tag), { textContent });
  const nameOf = (at) => (layer > offset ? at - offset : `${Math.floor((at - offset) / SIDE)}, ${(at - offset) % SIDE}`);
  const line = (...cells) => {
    const row = document.createElement("tr");
    row.append(...cells);
    return row;
  };
  caption.textContent = words(most ? "step.strongest" : "step.all", { name, count: STRONGEST, of: rank.length });
  tHead.replaceChildren(line(cell("td"), ...columns.map((symbol) => cell("th", symbol))));
  tBodies[0].replaceChildren(
    ...strongestRows(rank, most ? STRONGEST : MOST_ROWS).map((at) => {
      const row = line(cell("th", at < offset ? "b" : nameOf(at)), ...numbers.map((values) => cell("td", figures(values[at]))));
      row.classList.toggle("read", at === chosen);
      return row;
    }),
  );
}

const figures = (value) =>
  Number.isInteger(value) ? short(value, 0) : Math.abs(value) < 0.01 ? value.toExponential(1).replaceAll("-", "−") : short(value);
const bracketed = (value) => (value < 0 ? `(${figures(value)})` : figures(value));
const shares = (values) => values.map((value) => value / (largestSize(values) || 1));

/** The indices of the largest values, whatever their sign, in their order. */
function strongestRows(values, most) {
  const bySize = [...values.keys()].sort((one, other) => Math.abs(values[other]) - Math.abs(values[one]));
  return bySize.slice(0, most).sort((one, other) => one - other);
}

/** A sum's largest three parts, as text, and a sign that there are more. */
const sumOf = (values, textOf) => strongestRows(values, 3).map(textOf).join(" + ") + (values.length > 3 ? " + …" : "");
