// Everything goes one way: drawing → 28×28 pixels → network → what is shown.

const data = JSON.parse(element("data").textContent);
const networks = { before: decodeNetwork(data, data.before), after: decodeNetwork(data, data.after) };
const OTHER = { before: "after", after: "before" };
const samples = data.samples.map(({ label, image }) => ({ label, bytes: bytesIn(image) }));
const latencies = [], PAUSE = 500;
let weights = "after", label = null, speaking, neuron = { layer: 1, neuron: 0 }, state = null;

readColours();
const board = drawingBoard(element("board"), update);
const rows = ledgerTable(element("ledger"), chooseLabel);
const diagram = networkDiagram(element("diagram"), (layer, index, steady) => {
  neuron = { layer, neuron: index };
  showChosenNeuron();
  if (steady) speak(`${element("neuron-title").textContent}: ${element("numbers").innerText}`);
});

/** Read the drawing again, and show it; an event is the one that the reader waits for an answer to. */
function update(event) {
  const { picture, strokes } = board.drawing;
  if (picture?.label !== undefined) label = picture.label;
  else if (state?.kind === "sample" || !strokes.length) label = null;
  const kind = strokes.length ? "strokes" : picture?.kind ?? "nothing";
  const ink = inkOf(board);
  let image = kind === "noise" ? picture.bytes : new Uint8Array(SIDE * SIDE), problem = null, digit = null;
  try {
    digit = normalise(ink);
    if (kind !== "noise") image = digit.image;
  } catch (refusal) {
    if (!(refusal instanceof Unreadable)) throw refusal;
    problem = refusal.message;
  }
  state = { kind, ink, problem, digit, image, pixels: sharesOf(image) };
  element("undo").disabled = !board.past.length;
  show();
  if (!event) return;
  latencies.push(performance.now() - event.timeStamp);
  if (latencies.length > 1000) latencies.shift();
}

function show() {
  const network = networks[weights], passed = forward(network, state.pixels);
  const otherPassed = forward(networks[OTHER[weights]], state.pixels);
  const outputs = passed.a.at(-1), largest = largestAt(outputs);
  const unread = state.kind === "nothing" || (state.problem && state.kind !== "noise");
  Object.assign(state, {
    passed, outputs, otherPassed, otherOutputs: otherPassed.a.at(-1), read: unread ? null : largest,
    ledger: label === null ? null : ledger(network, passed, label),
    gradient: label === null ? null : costGradient(network, passed, label),
    raising: outputGradient(network, passed, label ?? largest),
  });
  element("digit").textContent = state.read ?? "?";
  element("reading").textContent = readingText(state, data.limits);
  speak(element("reading").textContent);
  element("other").textContent = otherText();
  showLedger(rows, state, label);
  showNetwork(diagram, network, passed, state.read);
  showChosenNeuron();
  const which = label !== null ? "the right one" : unread ? "the largest" : "the one read";
  showGradient(state.raising, label ?? largest, which);
}

/** How the other weights read the same pixels. */
function otherText() {
  const { otherPassed, otherOutputs, read } = state, other = OTHER[weights], largest = largestAt(otherOutputs);
  const cost = label === null ? "" : `, cost ${short(ledger(networks[other], otherPassed, label).cost)}`;
  const reads = read === null ? "the largest output is that of" : "it reads";
  return `Thin marks: ${other} training ${reads} ${largest}, with ${short(otherOutputs[largest], 2)}${cost}.`;
}

function showChosenNeuron() {
  showNeuron(networks[weights], state.passed, state.gradient?.deltas, neuron);
}

/** Tell a screen reader, after a pause in the drawing. */
function speak(text) {
  clearTimeout(speaking);
  speaking = setTimeout(() => (element("spoken").textContent = text), PAUSE);
}

function chooseLabel(digit) {
  label = digit;
  show();
}

function showFacts() {
  const { sizes, activation, cost } = data, { formula } = COSTS[cost];
  const parameters = networks.after.layers.reduce((sum, { inputs, outputs }) => sum + (inputs + 1) * outputs, 0);
  const count = `${parameters.toLocaleString("en")} weights and biases`;
  const recipe = `${activation}, ${cost.replace("_", " ")}`;
  element("facts").textContent = [`${data.name}: ${sizes.join("-")}, ${count}`, recipe, ...data.facts].join("; ");
  element("term-name").textContent = formula;
  element("cost-name").textContent = `cost C, the sum of ${formula}`;
  const remarks = [];
  const negative = ACTIVATIONS[activation].value(-1) < 0 && sizes.length > 2;
  if (negative) remarks.push("An orange circle is a negative activation.");
  if (sizes.slice(1).some((size, at) => size * sizes[at] > MOST_LINES)) {
    remarks.push(`Only the ${MOST_LINES} strongest lines into each layer are drawn.`);
  }
  element("remarks").textContent = remarks.join(" ");
}

function makeSampleButtons() {
  for (const { label: digit, bytes } of samples) {
    const button = document.createElement("button"), canvas = document.createElement("canvas");
    button.type = "button";
    button.setAttribute("aria-label", `Sample ${digit}`);
    [canvas.width, canvas.height] = [SIDE, SIDE];
    button.append(canvas);
    button.addEventListener("click", () => draw(board, { kind: "sample", label: digit, bytes, smooth: true }, []));
    element("samples").append(button);
  }
}

function paintSamples() {
  document.querySelectorAll("#samples canvas").forEach((canvas, at) => {
    canvas.getContext("2d").drawImage(pictureOf(sharesOf(samples[at].bytes)), 0, 0);
  });
}

element("undo").addEventListener("click", () => undo(board));
element("clear").addEventListener("click", () => draw(board, null, []));
element("noise").addEventListener("click", () => {
  const bytes = crypto.getRandomValues(new Uint8Array(SIDE * SIDE));
  draw(board, { kind: "noise", bytes, smooth: false }, []);
});
element("pen").addEventListener("input", (event) => (board.penWidth = event.target.valueAsNumber));
for (const radio of document.querySelectorAll('[name="weights"]')) {
  radio.addEventListener("change", () => {
    weights = radio.value;
    show();
  });
}
document.addEventListener("keydown", (event) => {
  const modified = event.ctrlKey || event.metaKey;
  if (/^[0-9]$/.test(event.key) && !modified && !event.altKey) chooseLabel(Number(event.key));
  if (event.key === "z" && modified) undo(board);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  readColours();
  paintSamples();
  paintBoard(board);
  show();
});
new ResizeObserver(() => {
  paintBoard(board);
  if (state) show();
}).observe(element("board"));

showFacts();
makeSampleButtons();
paintSamples();
update();

/** For whoever looks behind the page, from the browser's console. */
globalThis.jaxmnist = {
  normalise, decodeNetwork, forward, ledger, costGradient, outputGradient, networks, latencies, state: () => state,
};
