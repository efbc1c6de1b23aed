// The text and tables beside the drawing: the reading, the cost ledger, one neuron in detail, and the gradient.

const element = (id) => document.getElementById(id);

const named = (digit, article) => `${article}${digit === 8 ? "n" : ""} ${digit}`;

/** Make the ten rows of the ledger; `onLabel(label)` is called when the reader says which digit it is. */
function ledgerTable(body, onLabel) {
  return Array.from({ length: 10 }, (_, digit) => {
    const row = body.insertRow();
    const head = document.createElement("th"), name = document.createElement("label");
    const radio = document.createElement("input"), bar = row.insertCell();
    head.scope = "row";
    Object.assign(radio, { type: "radio", name: "label", value: digit });
    radio.addEventListener("change", () => onLabel(digit));
    name.append(radio, String(digit));
    head.append(name);
    row.prepend(head);
    bar.className = "bar";
    bar.append(document.createElement("span"), document.createElement("i"));
    bar.setAttribute("aria-hidden", "true");
    return { row, radio, bar, cells: Array.from({ length: 3 }, () => row.insertCell()) };
  });
}

function showLedger(rows, { outputs, otherOutputs, read, ledger }, label) {
  rows.forEach(({ row, radio, bar, cells: [output, target, term] }, digit) => {
    row.classList.toggle("read", digit === read);
    row.classList.toggle("right", digit === label);
    radio.checked = digit === label;
    bar.firstChild.style.width = `${100 * outputs[digit]}%`;
    bar.lastChild.style.left = `calc(3px + (100% - 6px) * ${otherOutputs[digit].toFixed(4)} - 1px)`;
    output.textContent = short(outputs[digit], 2);
    target.textContent = label === null ? "–" : Number(digit === label);
    term.textContent = ledger ? short(ledger.terms[digit]) : "–";
  });
  element("cost").textContent = ledger ? short(ledger.cost) : "–";
}

/** The reading, and why it may be wrong, in a sentence or two. */
function readingText({ outputs, problem, digit, kind }, limits) {
  const read = largestAt(outputs), second = largestAt(outputs.map((a, j) => (j === read ? -1 : a)));
  const confidence = short(outputs[read], 2);
  if (kind === "noise") {
    const refused = problem ? "As a picture it is refused. " : "";
    return `${refused}Straight into the pixels, noise is read as ${read}, with ${confidence}: a network can't say “no digit”.`;
  }
  if (kind === "nothing") return "Nothing is drawn yet: these are the outputs for empty paper.";
  if (problem) return `It can't be read. It is ${problem}. These are the outputs for empty paper.`;
  const doubts = [];
  if (outputs[read] < limits.unlike) doubts.push("unlike any digit");
  else if (outputs[read] - outputs[second] < limits.unsure) {
    doubts.push(`unsure: next is ${second} with ${short(outputs[second], 2)}`);
  }
  if (digit.pen > limits.widest_pen) doubts.push("the pen is wider than in all but 0.4 % of MNIST’s images");
  if (digit.digits > 1) doubts.push(`${digit.digits} strokes side by side: draw one digit`);
  return `${[`${named(read, "A")}, with confidence ${confidence}`, ...doubts].join("; ")}.`;
}

/** Show one neuron: its weights as a map or as bars, its bias, z and a, and ∂C/∂b. */
function showNeuron(network, { z, a }, deltas, { layer, neuron }) {
  const { inputs, weights, biases } = network.layers[layer - 1];
  const own = weights.subarray(neuron * inputs, (neuron + 1) * inputs);
  const name = neuronName(network.sizes, layer, neuron), canvas = element("weights");
  const count = `Its ${inputs} weights, one for each ${layer === 1 ? "pixel" : "neuron of the layer before"}`;
  element("neuron-title").textContent = name;
  (layer === 1 ? drawMap : drawBars)(canvas, own);
  canvas.setAttribute("aria-label", `${name}: ${count}, ${range(own)}`);
  element("weights-text").textContent = `${count}: blue raises it, orange lowers it.`;
  const last = layer === network.layers.length;
  const rows = [
    ["bias b", short(biases[neuron])],
    ["z = w · x + b", short(z[layer][neuron])],
    [`a = ${last ? COSTS[network.cost].outputName : "σ(z)"}`, short(a[layer][neuron])],
  ];
  if (deltas) rows.push(["∂C/∂b", precise(deltas[layer][neuron])]);
  element("numbers").replaceChildren(
    ...rows.flatMap(([term, value]) => {
      const [name, number] = [document.createElement("dt"), document.createElement("dd")];
      [name.textContent, number.textContent] = [term, value];
      return [name, number];
    }),
  );
}

/** Show how much more ink in each pixel would raise an output; `which` says in words which output it is. */
function showGradient(slopes, output, which) {
  element("gradient-title").textContent = `Which pixels would make it more of ${named(output, "a")}?`;
  drawMap(element("gradient"), slopes);
  element("gradient").setAttribute("aria-label", `Slope of output ${output} for each pixel, ${range(slopes)}`);
  element("gradient-text").textContent =
    `The gradient of output ${output}, ${which}: more ink on blue raises it, more ink on orange lowers it. ` +
    `Full colour: ${precise(largestSize(slopes))} for a pixel from 0 to 1.`;
}
