// The Draw view: a trained network at a moment of its training, its neurons, and the pixels that would raise an output.

/** The networks of the page: each { name, about, moments }, a moment { name: () => text, network }, the last trained. */
function openNetworks() {
  return data.networks.map((saved) => {
    const moments = saved.epochs.map(({ epoch, weights }) => ({
      name: () => words("moment.epoch", { epoch }), network: networkOf(saved, halvesIn(weights)),
    }));
    const before = { name: () => words("moment.before"), network: start(random.key(saved.seed), saved).network };
    const after = { name: () => words("moment.after"), network: networkOf(saved, floatsIn(saved.weights)) };
    return { ...saved, moments: [before, ...moments, after] };
  });
}

function drawView(pad, networks) {
  const select = element("network"), slider = element("moment");
  let neuron = { layer: 1, neuron: 0 }, shown;
  const diagram = networkDiagram(element("diagram"), (layer, index, steady) => {
    neuron = { layer, neuron: index };
    showNeuron(shown.network, pad.state.passed, deltasOf(shown.network, pad), neuron);
    if (steady) speak(`${element("neuron-title").textContent}: ${element("numbers").innerText}`);
  });
  select.append(...networks.map(({ name }, at) => new Option(name, at, at === 0)));
  select.hidden = networks.length === 1;
  const fit = () => {
    slider.max = networks[select.value].moments.length - 1;
    slider.defaultValue = slider.value = slider.max;
  };
  select.addEventListener("input", fit);
  fit();

  return {
    show() {
      const { moments } = networks[select.value], at = slider.valueAsNumber;
      const other = moments[at ? 0 : moments.length - 1];
      shown = moments[at];
      element("moment-name").textContent = shown.name();
      element("facts").textContent = factsOf(networks[select.value]);
      element("remarks").textContent = remarksOn(shown.network);
      showReading(pad, shown.network, { moment: other.name(), network: other.network });
      speak(element("reading").textContent);
      showNetwork(diagram, shown.network, pad.state.passed, pad.state.read);
      showNeuron(shown.network, pad.state.passed, deltasOf(shown.network, pad), neuron);
      const { outputs, read, passed } = pad.state, output = pad.label ?? largestAt(outputs);
      pad.state.raising = outputGradient(shown.network, passed, output);
      showGradient(pad.state.raising, output, pad.label !== null ? "right" : read === null ? "largest" : "read");
    },
  };
}

const deltasOf = (network, { state, label }) => (label === null ? null : costGradient(network, state.passed, label).deltas);

/** What a network is, and what its file says of its training. */
function factsOf({ name, sizes, activation, cost, dataset, accuracy, examples }) {
  const count = sizes.slice(1).reduce((sum, size, at) => sum + (sizes[at] + 1) * size, 0).toLocaleString("en");
  const told = (key) => data.words[key] ? words(key) : key.split(".")[1];
  let training = dataset === undefined ? "" : words("network.trained", { dataset });
  if (accuracy !== undefined) {
    training += words("network.accuracy", { accuracy: `${(100 * accuracy).toFixed(1)} %`, examples: examples.toLocaleString("en") });
  }
  const recipe = { activation: told(`activation.${activation}`), cost: told(`cost.${cost}`) };
  return words("network.facts", { name, sizes: sizes.join("-"), count, ...recipe, training });
}

function remarksOn({ sizes, activation }) {
  const remarks = [];
  if (ACTIVATIONS[activation].value(-1) < 0 && sizes.length > 2) remarks.push(words("network.negative"));
  if (sizes.slice(1).some((size, at) => size * sizes[at] > MOST_LINES)) {
    remarks.push(words("network.strongest", { count: MOST_LINES }));
  }
  return remarks.join(" ");
}
