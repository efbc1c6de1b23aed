// The panels beside the drawing: the cost ledger, one neuron in detail, and the gradient.

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

function showLedger(rows, { outputs, otherOutputs, read, ledger }, label, formula) {
  element("term-name").textContent = formula;
  element("cost-name").textContent = words("ledger.cost", { formula });
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

/** Show one neuron: its weights as a map or as bars, its bias, z and a, and ∂C/∂b. */
function showNeuron(network, { z, a }, deltas, { layer, neuron }) {
  const { inputs, weights, biases } = network.layers[layer - 1];
  const own = weights.subarray(neuron * inputs, (neuron + 1) * inputs);
  const name = neuronName(network.sizes, layer, neuron), canvas = element("weights");
  const count = words(layer === 1 ? "neuron.pixels" : "neuron.neurons", { count: inputs });
  element("neuron-title").textContent = name;
  (layer === 1 ? drawMap : drawBars)(canvas, own);
  canvas.ariaLabel = words("neuron.map", { neuron: name, weights: count, ...rangeOf(own) });
  element("weights-text").textContent = words("neuron.weights", { weights: count });
  const last = layer === network.layers.length;
  const rows = [
    [words("neuron.bias"), short(biases[neuron])],
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

/** Show how much more ink in each pixel would raise an output: the right, the largest or the read one. */
function showGradient(slopes, output, which) {
  element("gradient-title").textContent = words("gradient.title", { digit: output });
  drawMap(element("gradient"), slopes);
  element("gradient").ariaLabel = words("gradient.map", { digit: output, ...rangeOf(slopes) });
  const values = { digit: output, which: words(`gradient.${which}`), most: precise(largestSize(slopes)) };
  element("gradient-text").textContent = words("gradient.text", values);
}
