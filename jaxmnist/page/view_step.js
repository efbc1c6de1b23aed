// The Step view: one back-propagation on the reader's digit, stage by stage, and the step of an optimizer after it.

const MOST_ROWS = 17, STRONGEST = 10, KEPT = 0.9, SAMPLE = 3; // rows, momentum μ, and the digit for an empty board

/**
 * Each stage's columns, the last of them its result, and the result's formula, or which of the cost's it is. Rows are
 * the neurons of a layer, or a neuron's bias and weights, with the numbers of one symbol as the stage's picture.
 */
const STAGES = {
  pixels: { columns: ["a"], formula: "a" },
  sums: { columns: ["z"], formula: "w · x + b" },
  activations: { columns: ["z", "a"], formula: "σ(z)" },
  outputs: { columns: ["z", "a"], formula: "outputName" },
  ledger: { columns: ["a", "y", "C"], formula: "formula" },
  error: { columns: ["z", "a", "y", "δ"], formula: "deltaFormula" },
  levers: { columns: ["x", "w", "δ · w", "∂C/∂w"], formula: "δ · x", picture: "x" },
  wishes: { columns: ["−∂C/∂a"], formula: "Σ −w · δ" },
  delta: { columns: ["∂C/∂a", "z", "δ"], formula: "∂C/∂a · σ′(z)" },
  gradient: { columns: ["x", "∂C/∂w"], formula: "δ · x", picture: "∂C/∂w" },
  sgd: { columns: ["θ", "g", "θ′"], formula: "θ − η · g", picture: "Δθ" },
  momentum: { columns: ["θ", "g", "m", "θ′"], formula: "θ − η · m", picture: "Δθ" },
  nesterov: { columns: ["θ", "g", "m", "d", "θ′"], formula: "θ − η · d", picture: "Δθ" },
  proof: { columns: ["y", "a", "a′"], formula: "a′" },
};

/** The stages for so many layers, each { kind, layer }: forward, the cost, back, and the optimizer's step. */
function stagesOf(last, optimizer) {
  const hidden = Array.from({ length: last - 1 }, (_, at) => at + 1);
  const each = (layers, kinds) => layers.flatMap((layer) => kinds.split(" ").map((kind) => ({ kind, layer })));
  return [
    ...each([0], "pixels"), ...each(hidden, "sums activations"), ...each([last], "sums outputs ledger error levers"),
    ...each(hidden.reverse(), "wishes delta"), ...each([last], `gradient ${optimizer} proof`),
  ];
}

/** One step on a digit, from velocity 0, with the numbers of every layer by their symbols. */
function stepOn(network, { image, pixels, passed }, label, config) {
  const { deltas, sensitivities } = costGradient(network, passed, label), last = network.layers.length;
  const state = stateOf(network, Float32Array.from(network.numbers));
  trainStep(state, { images: image, labels: [label] }, [0], { ...config, momentum: KEPT });
  const after = forward(state.network, pixels), before = ledger(network, passed, label);
  const layers = {
    ...passed, "a′": after.a, y: { [last]: oneHot(label) }, C: { [last]: before.terms }, δ: deltas,
    "∂C/∂a": sensitivities, "−∂C/∂a": sensitivities.map((slopes) => slopes.map((slope) => -slope)),
  };
  const costs = [before.cost, ledger(state.network, after, label).cost].map(figures);
  return { network, label, ...config, state, costs, layers };
}

/** The numbers of a neuron's bias and weights by their symbols; the bias is like a weight whose input is 1. */
function parametersOf({ network, state, layers }, layer, neuron) {
  const of = (numbers) => {
    const { inputs, weights, biases } = networkOf(network, numbers).layers[layer - 1];
    return [biases[neuron], ...weights.subarray(neuron * inputs, (neuron + 1) * inputs)];
  };
  const θ = of(network.numbers), g = of(state.gradient), after = of(state.params), δ = layers.δ[layer][neuron];
  return {
    x: [1, ...layers.a[layer - 1]], w: θ, "δ · w": θ.map((w, at) => (at ? δ * w : NaN)), "∂C/∂w": g,
    θ, g, m: of(state.velocity), d: of(state.ahead), "θ′": after, Δθ: after.map((value, at) => value - θ[at]),
  };
}

/** What a stage shows of a layer and a neuron: numbers, a sum written out, a picture, and the diagram's lines. */
function contentOf(step, kind, layer, neuron) {
  const { network, state, layers } = step, { columns, picture } = STAGES[kind], x = layers.a[layer - 1];
  const own = layer && parametersOf(step, layer, neuron), next = network.layers[layer];
  const numbers = columns.map((symbol) => (picture ? own[symbol] : layers[symbol][layer])), result = numbers.at(-1);
  const content = { numbers, rank: result, row: neuron, picture: result, lines: {} };
  if (kind === "sums") {
    const [b, ...w] = own.w, each = w.map((weight, k) => weight * x[k]), lines = [network.layers[layer - 1], x];
    const written = `${sumOf(each, (k) => `${bracketed(w[k])} · ${bracketed(x[k])}`)} + ${bracketed(b)}`;
    return { ...content, written, picture: each, lines: { [layer - 1]: lines } };
  }
  if (kind === "wishes") {
    const { inputs } = next, wishes = next.weights.map((w, at) => -w * layers.δ[layer + 1][Math.floor(at / inputs)]);
    const each = wishes.filter((_, at) => at % inputs === neuron), written = sumOf(each, (j) => bracketed(each[j]));
    const rows = [...shares(wishes), ...new Array(inputs).fill(0), ...shares(result)]; // apart from them, their sum
    return { ...content, written, picture: rows, width: inputs, lines: { [layer]: [{ ...next, weights: wishes }] } };
  }
  if (picture) Object.assign(content, { rank: own.g, row: strongestRows(own.g, 1)[0], picture: own[picture].slice(1) });
  return kind === "gradient" ? { ...content, lines: state.slopes.map((slopes) => [slopes]) } : content;
}

/** A result written out: its formula, and the same with numbers. */
function writtenOut({ network, learningRate, layers }, kind, { layer, neuron }, { numbers, row, written }) {
  const { columns, formula } = STAGES[kind], name = columns.at(-1), text = COSTS[network.cost][formula] ?? formula;
  if (text === name) return ""; // it is given, not computed
  const known = [["δ", layers.δ[layer][neuron]], ["η", learningRate]];
  known.push(...columns.slice(0, -1).map((symbol, at) => [symbol, numbers[at][row]]));
  const inserted = known.reduce((sum, [symbol, value]) => sum.replaceAll(symbol, bracketed(value)), text);
  const parts = [text, written ?? inserted.replace(/\((\([^()]*\))\)/g, "$1"), figures(numbers.at(-1)[row])];
  return (name === "C" ? parts : [name, ...parts]).join(" = ");
}

function stepView(pad, networks) {
  const view = { show, at: null, chosen: null, step: null };
  const select = element("stepping"), slider = element("stage"), label = element("step-label");
  const choices = networks.flatMap(({ name, moments }) => moments.map((now) => ({ name, moments, now })));
  const first = Math.max(0, choices.findIndex(({ now }) => now.network.cost === "squared_error"));
  const diagram = networkDiagram(element("step-diagram"), (chosen, steady) => {
    view.chosen = chosen;
    show();
    if (steady) speak(`${neuronName(view.step.network.sizes, chosen)}: ${element("step-written").textContent}`);
  });
  const fit = () => {
    slider.max = stagesOf(choices[select.value].now.network.layers.length).length - 1;
    view.chosen = null; // the other network may not have it
  };
  select.append(...choices.map((_, at) => new Option("", at, at === first, at === first)));
  select.addEventListener("input", fit);
  fit();
  label.addEventListener("input", () => pad.choose(Number(label.value)));
  for (const button of document.querySelectorAll("[data-steps]")) button.addEventListener("click", () => {
    slider.stepUp(Number(button.dataset.steps));
    for (const type of ["input", "change"]) slider.dispatchEvent(new Event(type, { bubbles: true }));
  });

  function show() {
    if (pad.state.kind === "nothing") return draw(pad.board, pad.samples[SAMPLE]); // which shows it
    choices.forEach(({ name, now }, at) => (select.options[at].text = `${name}, ${now.moment}`));
    const { moments, now } = choices[select.value], { network } = now;
    showReading(pad, network, otherThan(now, moments));
    label.value = pad.label ?? largestAt(forward(moments.at(-1).network, pad.state.pixels).a.at(-1));
    const config = { optimizer: element("step-optimizer").value, learningRate: numberIn(element("step-rate")) };
    const stages = stagesOf(network.layers.length, config.optimizer).slice(0, slider.valueAsNumber + 1);
    view.step = stepOn(network, pad.state, Number(label.value), config);
    if (view.at !== slider.value && !STAGES[stages.at(-1).kind].picture) view.chosen = null;
    showStage(view, diagram, stages);
    if (view.at !== slider.value) speak(`${element("stage-title").textContent}. ${element("stage-text").textContent}`);
    view.at = slider.value;
  }
  return view;
}

/** Show the last of these stages, about the neuron that the reader chose if its number is known by then. */
function showStage({ step, chosen }, diagram, stages) {
  const { network, label, costs, layers } = step, last = network.layers.length, { kind, layer } = stages.at(-1);
  const circles = [];
  for (const stage of stages) {
    const symbol = STAGES[stage.kind].columns.at(-1), values = layers[symbol]?.[stage.layer];
    if (values) circles[stage.layer] = { values, signed: !symbol.startsWith("a") };
  }
  if (kind === "proof") layers["a′"].forEach((values, at) => (circles[at] = { values }));
  const known = STAGES[kind].picture || stages.some((stage) => stage.kind === kind && stage.layer === chosen?.layer);
  const usual = layer === last ? label : strongestRows(circles[layer].values, 1)[0];
  const marked = (known && chosen) || { layer, neuron: usual };
  const content = contentOf(step, kind, marked.layer, marked.neuron);
  const name = marked.layer ? neuronName(network.sizes, marked) : "";
  const read = largestAt(layers["a′"].at(-1));
  showPart(diagram, { network, circles, lines: content.lines, read: kind === "proof" ? read : null, marked });
  const place = marked.layer === 0 ? "pixels.picture" : marked.layer === last ? "last" : "hidden";
  const values = {
    layer: words(`step.${place}`, marked), neuron: name, label, read, before: costs[0], after: costs[1],
    ...COSTS[network.cost],
  };
  const slider = element("stage"), about = words(`step.${kind}.picture`, values);
  const title = `${stages.length}/${Number(slider.max) + 1} ${words(`step.${kind}`, values)}`;
  element("stage-title").textContent = slider.ariaValueText = title;
  element("stage-text").textContent = words(`step.${kind}.text`, values);
  element("step-written").textContent = writtenOut(step, kind, marked, content);
  element("step-about").textContent = about;
  element("step-update").hidden = stages.length < Number(slider.max);
  showRows(content, STAGES[kind], marked.layer, STAGES[kind].picture ? name : values.layer, values.formula);
  showPicture(content, about);
}

/** Draw a stage's picture: a map of 28×28, rows of wishes, or bars. */
function showPicture({ picture, width, rank }, about) {
  const square = !width && picture.length === SIDE * SIDE, canvas = element(square ? "step-map" : "step-bars");
  [element("step-map").hidden, element("step-bars").hidden] = [!square, square];
  if (square || width) drawMap(canvas, picture, width);
  else drawBars(canvas, picture);
  canvas.ariaLabel = words("step.picture", { about, ...rangeOf(width ? rank : picture) });
}

/** Show a stage's columns as a table; of a long layer, only the strongest rows. */
function showRows({ numbers, rank, row: marked }, { columns, picture }, layer, name, term) {
  const { caption, tHead, tBodies } = element("step-rows"), cut = rank.length > MOST_ROWS, offset = picture ? 1 : 0;
  const nameOf = (place) => (layer > offset ? place : `${Math.floor(place / SIDE)}, ${place % SIDE}`);
  const line = (tag, texts, className = "") =>
    made("tr", { className }, ...texts.map((text, at) => made(at ? tag : "th", {}, text)));
  caption.textContent = cut ? words("step.strongest", { name, count: STRONGEST, of: rank.length }) : name;
  tHead.replaceChildren(line("th", ["#", ...columns.map((symbol) => (symbol === "C" ? term : symbol))]));
  const rows = strongestRows(rank, cut ? STRONGEST : MOST_ROWS);
  const texts = (at) => [at < offset ? "b" : nameOf(at - offset), ...numbers.map((values) => figures(values[at]))];
  tBodies[0].replaceChildren(...rows.map((at) => line("td", texts(at), at === marked ? "read" : "")));
}

/** A number in a few characters: three decimals, or a power of ten. */
function figures(value) {
  if (Number.isNaN(value)) return "–";
  if (Number.isInteger(value)) return short(value, 0);
  return Math.abs(value) < 0.01 ? value.toExponential(1).replaceAll("-", "−") : short(value);
}

const bracketed = (value) => (value < 0 ? `(${figures(value)})` : figures(value));

/** The places of the largest numbers, whatever their sign, in their order. */
const strongestRows = (values, most) => strongest(values, most).sort((one, other) => one - other);

/** The largest three parts of a sum, as texts, and whether there are more. */
const sumOf = (values, textOf) => strongestRows(values, 3).map(textOf).join(" + ") + (values.length > 3 ? " + …" : "");
