// What stands beside the drawing: the reading, the cost ledger, a neuron from near, and the gradient.

const element = (id) => document.getElementById(id);

/** A number in a few characters, with a true minus. */
const short = (value, digits = 3) => value.toFixed(digits).replace("-", "−");

/** The same, with the power of ten that a small one needs. */
const precise = (value) =>
  value !== 0 && Math.abs(value) < 5e-4 ? value.toExponential(0).replaceAll("-", "−") : short(value);

const named = (digit, article) => `${article}${digit === 8 ? "n" : ""} ${digit}`;

/** The ten rows of the ledger; `choose(label)` is called when the reader says which digit it is. */
function ledgerTable(body, choose) {
  const rows = Array.from({ length: 10 }, (_, digit) => {
    const row = body.insertRow();
    const head = document.createElement("th"), name = document.createElement("label");
    const radio = document.createElement("input"), bar = row.insertCell();
    head.scope = "row";
    Object.assign(radio, { type: "radio", name: "label", value: digit });
    radio.addEventListener("change", () => choose(digit));
    name.append(radio, String(digit));
    head.append(name);
    row.prepend(head);
    bar.className = "bar";
    bar.append(document.createElement("span"), document.createElement("i"));
    bar.setAttribute("aria-hidden", "true");
    return { row, radio, bar, cells: Array.from({ length: 3 }, () => row.insertCell()) };
  });
  return function show(outputs, others, read, label, terms) {
    rows.forEach(({ row, radio, bar, cells }, digit) => {
      row.classList.toggle("read", digit === read);
      row.classList.toggle("right", digit === label);
      radio.checked = digit === label;
      bar.firstChild.style.width = `${100 * outputs[digit]}%`;
      bar.lastChild.style.left = `calc(3px + (100% - 6px) * ${others[digit].toFixed(4)} - 1px)`;
      const [output, wanted, term] = cells;
      output.textContent = short(outputs[digit], 2);
      wanted.textContent = label === null ? "–" : Number(digit === label);
      term.textContent = terms ? short(terms[digit]) : "–";
    });
  };
}

/** What the reading is, and why it may be wrong, in a sentence or two. */
function readingText(state, limits) {
  const { outputs, problem, found, drawn } = state;
  const read = largestAt(outputs), second = largestAt(outputs.map((a, j) => (j === read ? -1 : a)));
  const confidence = short(outputs[read], 2);
  if (drawn === "noise") {
    const refused = problem ? "Refused as a picture. " : "";
    return `${refused}Straight into the pixels, noise is read as ${read}, with ${confidence}: a network can't say “no digit”.`;
  }
  if (drawn === "nothing") return "Nothing is drawn yet: these are the outputs for empty paper.";
  if (problem) return `It can't be read. It is ${problem}. These are the outputs for empty paper.`;
  const doubts = [];
  if (outputs[read] < limits.unlike) doubts.push("unlike any digit");
  else if (outputs[read] - outputs[second] < limits.unsure) {
    doubts.push(`unsure: next is ${second} with ${short(outputs[second], 2)}`);
  }
  if (found.pen > limits.widest_pen) doubts.push("the pen is wider than in all but 0.4 % of MNIST’s images");
  if (found.digits > 1) doubts.push(`${found.digits} strokes side by side: draw one digit`);
  return `${named(read, "A")}, with confidence ${confidence}${doubts.length ? `; ${doubts.join("; ")}` : ""}.`;
}

/** Show one neuron: its weights as a map or as bars, its bias, z, a, and where gradient descent would push its bias. */
function showNeuron(network, passed, deltas, { layer, neuron }) {
  const { inputs, weights, biases } = network.layers[layer - 1];
  const own = weights.subarray(neuron * inputs, (neuron + 1) * inputs);
  const name = neuronName(network.sizes, layer, neuron);
  const last = layer === network.layers.length;
  const sigma = last && network.cost === "cross_entropy" ? "softmax(z)" : "σ(z)";
  element("neuron-title").textContent = name;
  const canvas = element("weights");
  (layer === 1 ? drawMap : drawBars)(canvas, own);
  const what =
    layer === 1
      ? `Its ${inputs} weights, one for each pixel`
      : `Its ${inputs} weights, one for each neuron of the layer before`;
  element("weights-text").textContent = `${what}: blue raises it, orange lowers it.`;
  canvas.setAttribute("aria-label", `${name}: ${what}, from ${short(least(own))} to ${short(most(own))}`);
  const rows = [
    ["bias b", short(biases[neuron])],
    ["z = w · x + b", short(passed.z[layer][neuron])],
    [`a = ${sigma}`, short(passed.a[layer][neuron])],
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

/** Show by how much more ink in each pixel would raise an output; `which` one that is, in words. */
function showGradient(slopes, digit, which) {
  element("gradient-title").textContent = `Which pixels would make it more of ${named(digit, "a")}?`;
  drawMap(element("gradient"), slopes);
  element("gradient").setAttribute(
    "aria-label",
    `Slope of output ${digit} for each pixel, from ${short(least(slopes))} to ${short(most(slopes))}`,
  );
  element("gradient-text").textContent =
    `The gradient of output ${digit}, ${which}: more ink on blue raises it, more ink on orange lowers it. ` +
    `Full colour: ${precise(largestSize(slopes))} for a pixel from 0 to 1.`;
}
