// Data in, events in, and one way through: drawing → 28×28 pixels → network → everything that is shown.

const data = JSON.parse(element("data").textContent);
const networks = {
  before: decodeNetwork(data, data.before),
  after: decodeNetwork(data, data.after),
};
const OTHER = { before: "after", after: "before" };
const samples = data.samples.map(({ label, image }) => ({
  label,
  bytes: Uint8Array.from(atob(image), (character) => character.charCodeAt(0)),
}));
const latencies = [], PAUSE = 500;
let weights = "after", label = null, speaking, neuron = { layer: 1, neuron: 0 }, state = null;

readColours();
const board = drawingBoard(element("board"), update);
const showLedger = ledgerTable(element("ledger"), chooseLabel);
const diagram = networkDiagram(element("diagram"), (layer, place, steady) => {
  neuron = { layer, neuron: place };
  showNeuronNow();
  if (steady) speak(`${element("neuron-title").textContent}: ${element("numbers").innerText}`);
});

/** Read what is on the board anew, and show it; an event is what the reader waits for an answer to. */
function update(event) {
  const { picture, strokes } = board.page();
  if (picture?.label !== undefined) label = picture.label;
  else if (state?.drawn === "sample" || !strokes.length) label = null;
  const drawn = strokes.length ? "strokes" : picture?.kind ?? "nothing";
  let image = drawn === "noise" ? picture.bytes : new Uint8Array(SIDE * SIDE), problem = null, found = null;
  try {
    found = normalise(board.grey());
    if (drawn !== "noise") image = found.image;
  } catch (refusal) {
    if (!(refusal instanceof Unreadable)) throw refusal;
    problem = refusal.message;
  }
  state = { drawn, problem, found, image, pixels: Float64Array.from(image, (byte) => byte / 255) };
  element("undo").disabled = !board.canUndo();
  show();
  if (event) {
    latencies.push(performance.now() - event.timeStamp);
    if (latencies.length > 1000) latencies.shift();
  }
}

function show() {
  const passed = forward(networks[weights], state.pixels), others = forward(networks[OTHER[weights]], state.pixels);
  const network = networks[weights];
  Object.assign(state, { passed, outputs: passed.a.at(-1), others: others.a.at(-1) });
  const read = largestAt(state.outputs), unread = state.drawn === "nothing" || (state.problem && state.drawn !== "noise");
  state.read = unread ? null : read;
  state.ledger = label === null ? null : ledger(network, state.outputs, label);
  state.gradient = label === null ? null : costGradient(network, passed, label);
  element("digit").textContent = unread ? "?" : read;
  element("reading").textContent = readingText(state, data.limits);
  speak(element("reading").textContent);
  element("other").textContent = otherText();
  showLedger(state.outputs, state.others, state.read, label, state.ledger?.terms);
  element("cost").textContent = state.ledger ? short(state.ledger.cost) : "–";
  diagram.show(network, passed, state.read);
  showNeuronNow();
  const digit = label ?? read;
  state.raising = outputGradient(network, passed, digit);
  showGradient(state.raising, digit, label !== null ? "the right one" : unread ? "the largest" : "the one read");
}

/** How the other weights read the same pixels. */
function otherText() {
  const read = largestAt(state.others);
  const cost = label === null ? "" : `, cost ${short(ledger(networks[OTHER[weights]], state.others, label).cost)}`;
  const reads = state.read === null ? "the largest output is that of" : "it reads";
  return `Thin marks: ${OTHER[weights]} training ${reads} ${read}, with ${short(state.others[read], 2)}${cost}.`;
}

function showNeuronNow() {
  showNeuron(networks[weights], state.passed, state.gradient?.deltas, neuron);
}

/** Tell a screen reader, once a stroke has come to rest. */
function speak(text) {
  clearTimeout(speaking);
  speaking = setTimeout(() => (element("spoken").textContent = text), PAUSE);
}

function chooseLabel(digit) {
  label = digit;
  show();
}

function showNoise() {
  const bytes = crypto.getRandomValues(new Uint8Array(SIDE * SIDE));
  board.show({ kind: "noise", bytes, smooth: false });
}

function showFacts() {
  const recipe = `${data.activation}, ${data.cost.replace("_", " ")}`;
  const parameters = networks.after.layers.reduce((sum, { inputs, outputs }) => sum + (inputs + 1) * outputs, 0);
  element("facts").textContent =
    `${data.name}: ${data.sizes.join("-")}, ${parameters.toLocaleString("en")} weights and biases; ${recipe}` +
    data.facts.map((fact) => `; ${fact}`).join("");
  const formula = data.cost === "squared_error" ? "(a\u00a0−\u00a0y)²" : "−y\u00a0ln\u00a0a";
  element("term-name").textContent = formula;
  element("cost-name").textContent = `cost C, the sum of ${formula}`;
  const thinned = data.sizes.slice(1).some((size, at) => size * data.sizes[at] > MOST_LINES);
  const signed = ["tanh", "silu"].includes(data.activation) && data.sizes.length > 2;
  element("remarks").textContent =
    (signed ? "An orange circle is a negative activation. " : "") +
    (thinned ? `Of each layer's lines the ${MOST_LINES} strongest are drawn.` : "");
}

function makeSampleButtons() {
  for (const { label: digit, bytes } of samples) {
    const button = document.createElement("button"), canvas = document.createElement("canvas");
    button.type = "button";
    button.setAttribute("aria-label", `Sample ${digit}`);
    [canvas.width, canvas.height] = [SIDE, SIDE];
    button.append(canvas);
    button.addEventListener("click", () => board.show({ kind: "sample", label: digit, bytes, smooth: true }));
    element("samples").append(button);
  }
}

function paintSamples() {
  document.querySelectorAll("#samples canvas").forEach((canvas, at) => {
    const picture = pictureOf(Array.from(samples[at].bytes, (byte) => byte / 255));
    canvas.getContext("2d").drawImage(picture, 0, 0);
  });
}

element("undo").addEventListener("click", () => board.undo());
element("clear").addEventListener("click", () => board.clear());
element("noise").addEventListener("click", showNoise);
element("pen").addEventListener("input", (event) => board.setPen(event.target.valueAsNumber));
for (const radio of document.querySelectorAll('[name="weights"]')) {
  radio.addEventListener("change", () => {
    weights = radio.value;
    show();
  });
}
document.addEventListener("keydown", (event) => {
  if (/^[0-9]$/.test(event.key) && !event.ctrlKey && !event.metaKey && !event.altKey) chooseLabel(Number(event.key));
  if (event.key === "z" && (event.ctrlKey || event.metaKey)) board.undo();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  readColours();
  paintSamples();
  board.paint();
  show();
});
new ResizeObserver(() => {
  board.paint();
  if (state) show();
}).observe(element("board"));

showFacts();
makeSampleButtons();
paintSamples();
update();

/** For whoever wants to look behind the page, from the browser's console. */
globalThis.jaxmnist = {
  normalise, decodeNetwork, forward, ledger, costGradient, outputGradient, networks, latencies, state: () => state,
};
