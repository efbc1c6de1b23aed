// What all views but the race share: the reader's drawing as 28×28 pixels, and how a network reads it.

const PAUSE = 500; // milliseconds without a change until a screen reader is told

/** Make the drawing board, its tools and the samples; `onChange()` is called when pixels or label change. */
function readingPad(samples, onChange) {
  const pad = { label: null, state: null, samples: samples.map((sample) => ({ kind: "sample", ...sample })) };
  pad.board = drawingBoard(element("board"), () => {
    readPixels(pad);
    onChange();
  });
  pad.choose = (label) => {
    pad.label = label;
    onChange();
  };
  pad.rows = ledgerTable(pad.choose);
  listenToTools(pad);
  readPixels(pad);
  return pad;
}

/** Make of what is on the board the pixels for the network. */
function readPixels(pad) {
  const { picture, strokes } = pad.board.drawing;
  if (picture?.label !== undefined) pad.label = picture.label;
  else if (pad.state?.kind === "sample" || !strokes.length) pad.label = null;
  const kind = strokes.length ? "strokes" : picture?.kind ?? "nothing", ink = inkOf(pad.board);
  let problem = null, digit = null;
  try {
    digit = normalise(ink);
  } catch (refusal) {
    if (!(refusal instanceof Unreadable)) throw refusal;
    problem = refusal;
  }
  const image = kind === "noise" ? picture.bytes : digit?.image ?? new Uint8Array(SIDE * SIDE);
  pad.state = { kind, ink, problem, digit, image, pixels: sharesOf(image) };
  element("undo").disabled = !pad.board.past.length;
  for (const radio of element("samples").elements) radio.checked = Number(radio.value) === picture?.label;
}

/** Show how a network reads the pixels, and mark how another one does: { moment, network }. */
function showReading(pad, network, other) {
  const { state, label } = pad, unread = state.kind === "nothing" || (state.problem && state.kind !== "noise");
  const [own, others] = [network, other.network].map((one) => {
    const passed = forward(one, state.pixels);
    return { passed, outputs: passed.a.at(-1), ledger: label === null ? null : ledger(one, passed, label) };
  });
  Object.assign(state, own, { otherOutputs: others.outputs, read: unread ? null : largestAt(own.outputs) });
  element("digit").textContent = state.read ?? "?";
  element("reading").textContent = readingText(state, data.limits);
  showLedger(pad.rows, state, label, COSTS[network.cost].formula);
  const digit = largestAt(others.outputs), confidence = short(others.outputs[digit], 2);
  const values = { moment: other.moment, digit, confidence, cost: others.ledger && short(others.ledger.cost) };
  element("marks").textContent = words(others.ledger ? "ledger.marks.cost" : "ledger.marks", values);
}

/** The reading, and why it may be wrong, in a sentence or two. */
function readingText({ outputs, problem, digit, kind }, limits) {
  const [read, second] = strongest(outputs, 2);
  const [values, next] = [read, second].map((digit) => ({ digit, confidence: short(outputs[digit], 2) }));
  if (kind === "noise") return `${problem ? `${words("reading.refused")} ` : ""}${words("reading.noise", values)}`;
  if (kind === "nothing") return words("reading.nothing");
  if (problem) return words("reading.problem", { problem: words(`unreadable.${problem.message}`, problem.values) });
  const doubts = [];
  if (outputs[read] < limits.unlike) doubts.push(words("reading.unlike"));
  else if (outputs[read] - outputs[second] < limits.unsure) doubts.push(words("reading.unsure", next));
  if (digit.pen > limits.widest_pen) doubts.push(words("reading.pen"));
  if (digit.digits > 1) doubts.push(words("reading.digits", { count: digit.digits }));
  return `${[words("reading.read", values), ...doubts].join("; ")}.`;
}

let speaking, toldReading;

/** Tell a screen reader how the drawing is read, if that has changed. */
function speakReading() {
  const text = element("reading").textContent;
  if (text !== toldReading) speak(text);
  toldReading = text;
}

/** Tell a screen reader, after a pause in the drawing. */
function speak(text) {
  clearTimeout(speaking);
  speaking = setTimeout(() => (element("spoken").textContent = text), PAUSE);
}

function paintPad({ board, samples }) {
  paintBoard(board);
  document.querySelectorAll("#samples canvas").forEach((canvas, at) => {
    canvas.getContext("2d").drawImage(pictureOf(sharesOf(samples[at].bytes)), 0, 0);
  });
}

function listenToTools({ board, choose, samples }) {
  element("undo").addEventListener("click", () => undo(board));
  element("clear").addEventListener("click", () => draw(board, null));
  element("noise").addEventListener("click", () => {
    draw(board, { kind: "noise", bytes: crypto.getRandomValues(new Uint8Array(SIDE * SIDE)) });
  });
  element("pen").addEventListener("input", ({ target }) => (board.penWidth = target.valueAsNumber));
  element("samples").addEventListener("input", ({ target }) => draw(board, samples[target.value]));
  document.addEventListener("keydown", (event) => {
    if (!element("board").checkVisibility() || event.target.matches("input[type=number]")) return;
    const modified = event.ctrlKey || event.metaKey;
    if (/^[0-9]$/.test(event.key) && !modified && !event.altKey) choose(Number(event.key));
    if (event.key === "z" && modified) undo(board);
  });
}
