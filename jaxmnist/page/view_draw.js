// The Draw view: a trained network at a moment of its training, its neurons, and the pixels that would raise an output.

/** The networks of the page: each with its moments, { moment, network }: the moment's name, and how it was then. */
function openNetworks() {
  return data.networks.map((saved) => {
    const at = (key, network, values) => ({ network, get moment() { return words(`moment.${key}`, values); } });
    const early = saved.epochs.map(({ epoch, weights }) => at("epoch", networkOf(saved, halvesIn(weights)), { epoch }));
    const before = at("before", start(random.key(saved.seed), saved).network);
    return { ...saved, moments: [before, ...early, at("after", networkOf(saved, floatsIn(saved.weights)))] };
  });
}

function drawView(pad, networks) {
  const select = element("network"), slider = element("moment");
  let chosen, network;
  const diagram = networkDiagram(element("diagram"), (neuron, steady) => {
    chosen = neuron;
    showNeuron(pad, network, chosen);
    if (steady) speak(`${element("neuron-title").textContent}: ${element("numbers").innerText}`);
  });
  select.append(...networks.map(({ name }, at) => new Option(name, at, at === 0)));
  select.hidden = networks.length === 1;
  const fit = () => {
    slider.max = networks[select.value].moments.length - 1;
    slider.defaultValue = slider.value = slider.max;
    chosen = { layer: 1, neuron: 0 }; // the other network may not have the one that was chosen
  };
  select.addEventListener("input", fit);
  fit();
  return { show };

  function show() {
    const { moments } = networks[select.value], now = moments[slider.value], { state, label } = pad;
    network = now.network;
    element("moment-name").textContent = now.moment;
    element("facts").textContent = factsOf(networks[select.value]);
    element("remarks").textContent = remarksOn(network);
    showReading(pad, network, otherThan(now, moments));
    speakReading();
    showNetwork(diagram, network, state.passed, state.read);
    showNeuron(pad, network, chosen);
    const output = label ?? largestAt(state.outputs);
    state.raising = outputGradient(network, state.passed, output);
    showGradient(state.raising, output, label !== null ? "right" : state.read === null ? "largest" : "read");
  }
}

/** What a moment is compared with: the first, and that with the last. */
const otherThan = (moment, moments) => moments.at(moment === moments[0] ? -1 : 0);

/** What a network is, and what its file says of its training. */
function factsOf({ name, sizes, activation, cost, dataset, accuracy, examples }) {
  const count = sizes.slice(1).reduce((sum, size, at) => sum + (sizes[at] + 1) * size, 0);
  const told = (key) => data.words[key] ? words(key) : key.split(".")[1];
  const share = accuracy === undefined ? "" : `${(100 * accuracy).toFixed(1)} %`;
  const trained = dataset === undefined ? "" : words("network.trained", { dataset });
  const training = trained + (share && words("network.accuracy", { accuracy: share, examples }));
  const recipe = { activation: told(`activation.${activation}`), cost: told(`cost.${cost}`) };
  return words("network.facts", { name, sizes: sizes.join("-"), count, ...recipe, training });
}

function remarksOn({ sizes, activation }) {
  const lowers = ACTIVATIONS[activation].value(-1) < 0 && sizes.length > 2;
  const many = sizes.slice(1).some((size, at) => size * sizes[at] > MOST_LINES);
  return `${lowers ? words("network.negative") : ""} ${many ? words("network.strongest", { count: MOST_LINES }) : ""}`;
}
