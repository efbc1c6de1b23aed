// The panels beside the drawing: the cost ledger, one neuron in detail, and the gradient.

/** Make the ten rows of the ledger; `onLabel(label)` is called when the reader says which digit it is. */
function ledgerTable(onLabel) {
  return Array.from({ length: 10 }, (_, digit) => {
    const radio = made("input", { type: "radio", name: "label", value: digit, oninput: () => onLabel(digit) });
    const head = made("th", { scope: "row" }, made("label", {}, radio, digit));
    const bar = made("td", { className: "bar", ariaHidden: "true" }, made("span"), made("i"));
    const cells = [made("td"), made("td"), made("td")], row = made("tr", {}, head, bar, ...cells);
    element("ledger").append(row);
    return { row, radio, bar, cells };
  });
}

function showLedger(rows, { outputs, otherOutputs, read, ledger }, label, formula) {
  element("term-name").textContent = formula;
  element("cost-name").textContent = words("ledger.cost", { formula });
  rows.forEach(({ row, radio, bar, cells: [output, target, term] }, digit) => {
    row.classList.toggle("read", digit === read);
    radio.checked = digit === label;
    bar.firstChild.style.width = `${100 * outputs[digit]}%`;
    bar.lastChild.style.left = `calc(3px + (100% - 6px) * ${otherOutputs[digit].toFixed(4)} - 1px)`;
    output.textContent = short(outputs[digit], 2);
    target.textContent = label === null ? "–" : Number(digit === label);
    term.textContent = ledger ? short(ledger.terms[digit]) : "–";
  });
  element("cost").textContent = ledger ? short(ledger.cost) : "–";
}

/** Show one neuron: its weights as a map or as bars, its bias, z and a, and with a label ∂C/∂b. */
function showNeuron({ state: { passed }, label }, network, chosen) {
  const { layer, neuron } = chosen, { inputs, weights, biases } = network.layers[layer - 1];
  const own = weights.subarray(neuron * inputs, (neuron + 1) * inputs);
  const name = neuronName(network.sizes, chosen), canvas = element("weights");
  const count = words(layer === 1 ? "neuron.pixels" : "neuron.neurons", { count: inputs });
  element("neuron-title").textContent = name;
  (layer === 1 ? drawMap : drawBars)(canvas, own);
  canvas.ariaLabel = words("neuron.map", { neuron: name, weights: count, ...rangeOf(own) });
  element("weights-text").textContent = words("neuron.weights", { weights: count });
  const formula = layer === network.layers.length ? COSTS[network.cost].outputName : "σ(z)";
  const [z, a] = [passed.z, passed.a].map((layers) => short(layers[layer][neuron]));
  const rows = { [words("neuron.bias")]: short(biases[neuron]), "z = w · x + b": z, [`a = ${formula}`]: a };
  if (label !== null) rows["∂C/∂b"] = precise(costGradient(network, passed, label).deltas[layer][neuron]);
  const listed = Object.entries(rows).flatMap(([term, value]) => [made("dt", {}, term), made("dd", {}, value)]);
  element("numbers").replaceChildren(...listed);
}

/** Show how much more ink in each pixel would raise an output: the right, the largest or the read one. */
function showGradient(slopes, output, which) {
  element("gradient-title").textContent = words("gradient.title", { digit: output });
  drawMap(element("gradient"), slopes);
  element("gradient").ariaLabel = words("gradient.map", { digit: output, ...rangeOf(slopes) });
  const values = { digit: output, which: words(`gradient.${which}`), most: precise(largestSize(slopes)) };
  element("gradient-text").textContent = words("gradient.text", values);
}
