// What all views but the race share: the reader's drawing as 28×28 pixels, and how a network reads it.

const PAUSE = 500; // milliseconds without a change until a screen reader is told

/** Make the drawing board, its tools and the samples; `onChange(event)` is called when pixels or label change. */
function readingPad(samples, onChange) {
  const pad = { label: null, state: null, samples, latencies: [] };
  pad.board = drawingBoard(element("board"), (event) => {
    readPixels(pad);
    onChange();
    if (!event) return;
    pad.latencies.push(performance.now() - event.timeStamp);
    if (pad.latencies.length > 1000) pad.latencies.shift();
  });
  pad.choose = (label) => {
    pad.label = label;
    onChange();
  };
  pad.rows = ledgerTable(element("ledger"), pad.choose);
  makeSamples(pad);
  listenToTools(pad);
  readPixels(pad);
  return pad;
}

/** Make of what is on the board the pixels for the network. */
function readPixels(pad) {
  const { picture, strokes } = pad.board.drawing;
  if (picture?.label !== undefined) pad.label = picture.label;
  else if (pad.state?.kind === "sample" || !strokes.length) pad.label = null;
  const kind = strokes.length ? "strokes" : picture?.kind ?? "nothing";
  const ink = inkOf(pad.board);
  let image = kind === "noise" ? picture.bytes : new Uint8Array(SIDE * SIDE), problem = null, digit = null;
  try {
    digit = normalise(ink);
    if (kind !== "noise") image = digit.image;
  } catch (refusal) {
    if (!(refusal instanceof Unreadable)) throw refusal;
    problem = refusal;
  }
  pad.state = { kind, ink, problem, digit, image, pixels: sharesOf(image) };
  element("undo").disabled = !pad.board.past.length;
  for (const radio of element("samples").elements) {
    radio.checked = kind === "sample" && Number(radio.value) === picture.label;
  }
}

/** Show how a network reads the pixels, and mark how another one does: { moment, network }. */
function showReading(pad, network, other) {
  const { state, label } = pad, passed = forward(network, state.pixels), outputs = passed.a.at(-1);
  const unread = state.kind === "nothing" || (state.problem && state.kind !== "noise");
  const otherPassed = forward(other.network, state.pixels);
  Object.assign(state, {
    passed, outputs, otherOutputs: otherPassed.a.at(-1), read: unread ? null : largestAt(outputs),
    ledger: label === null ? null : ledger(network, passed, label),
  });
  element("digit").textContent = state.read ?? "?";
  element("reading").textContent = readingText(state, data.limits);
  showLedger(pad.rows, state, label, COSTS[network.cost].formula);
  const digit = largestAt(state.otherOutputs), confidence = short(state.otherOutputs[digit], 2);
  const cost = label === null ? null : short(ledger(other.network, otherPassed, label).cost);
  const marks = cost === null ? "ledger.marks" : "ledger.marks.cost";
  element("marks").textContent = words(marks, { moment: other.moment, digit, confidence, cost });
}

/** The reading, and why it may be wrong, in a sentence or two. */
function readingText({ outputs, problem, digit, kind }, limits) {
  const read = largestAt(outputs), second = largestAt(outputs.map((a, j) => (j === read ? -1 : a)));
  const values = { digit: read, confidence: short(outputs[read], 2) };
  const refusal = problem && words(`unreadable.${problem.message}`, problem.values);
  if (kind === "noise") return `${refusal ? `${words("reading.refused")} ` : ""}${words("reading.noise", values)}`;
  if (kind === "nothing") return words("reading.nothing");
  if (problem) return words("reading.problem", { problem: refusal });
  const doubts = [];
  if (outputs[read] < limits.unlike) doubts.push(words("reading.unlike"));
  else if (outputs[read] - outputs[second] < limits.unsure) {
    doubts.push(words("reading.unsure", { digit: second, confidence: short(outputs[second], 2) }));
  }
  if (digit.pen > limits.widest_pen) doubts.push(words("reading.pen"));
  if (digit.digits > 1) doubts.push(words("reading.digits", { count: digit.digits }));
  return `${[words("reading.read", values), ...doubts].join("; ")}.`;
}

let speaking;

/** Tell a screen reader, after a pause in the drawing. */
function speak(text) {
  clearTimeout(speaking);
  speaking = setTimeout(() => (element("spoken").textContent = text), PAUSE);
}

function makeSamples(pad) {
  for (const { label, bytes } of pad.samples) {
    const name = document.createElement("label"), radio = document.createElement("input");
    const canvas = document.createElement("canvas");
    Object.assign(radio, { type: "radio", name: "sample", value: label });
    [canvas.width, canvas.height] = [SIDE, SIDE];
    radio.addEventListener("change", () => draw(pad.board, { kind: "sample", label, bytes, smooth: true }, []));
    name.append(radio, canvas);
    element("samples").append(name);
  }
}

function paintPad({ board, samples }) {
  paintBoard(board);
  document.querySelectorAll("#samples canvas").forEach((canvas, at) => {
    canvas.getContext("2d").drawImage(pictureOf(sharesOf(samples[at].bytes)), 0, 0);
    canvas.previousSibling.ariaLabel = words("draw.sample", { digit: samples[at].label });
  });
}

function listenToTools({ board, choose }) {
  element("undo").addEventListener("click", () => undo(board));
  element("clear").addEventListener("click", () => draw(board, null, []));
  element("noise").addEventListener("click", () => {
    const bytes = crypto.getRandomValues(new Uint8Array(SIDE * SIDE));
    draw(board, { kind: "noise", bytes, smooth: false }, []);
  });
  element("pen").addEventListener("input", (event) => (board.penWidth = event.target.valueAsNumber));
  document.addEventListener("keydown", (event) => {
    if (!element("board").checkVisibility() || event.target.matches("input[type=number]")) return;
    const modified = event.ctrlKey || event.metaKey;
    if (/^[0-9]$/.test(event.key) && !modified && !event.altKey) choose(Number(event.key));
    if (event.key === "z" && modified) undo(board);
  });
}
