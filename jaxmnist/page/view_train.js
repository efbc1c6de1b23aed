// The Train view: a network learns in the page, from a random start, while it reads the drawing.

const SOURCE = { sizes: [784, 16, 16, 10], activation: "sigmoid", cost: "squared_error" };
const EVERY = 10000; // examples: after so many, or an epoch, both sets are evaluated
const MOST_TRAINING = 2000; // of the training set's examples are evaluated
const SPARSE = 1 / 200; // of all examples seen: in a long run, evaluations come no sooner
const TOLD = 5000; // milliseconds between what a screen reader is told

/** Train on the page's `digits`, { train, test }, which are null until they are unpacked, or on the reader's files. */
function trainView(pad, digits) {
  const section = document.querySelector(".training"), config = { ...SOURCE };
  const view = { sets: digits, problem: null, run: null, show };
  let painted = 0, told = 0;

  function show(anew) {
    for (const control of section.querySelectorAll("[name]")) {
      config[control.name] = control.type === "number" ? numberIn(control) : control.value;
    }
    config.batchSize = Math.min(config.batchSize, view.sets.train?.labels.length ?? Infinity);
    if (anew || view.run?.sets !== view.sets || view.run.seed !== config.seed) view.run = newRun(view.sets, config);
    showTraining(pad, view);
    speakReading();
  }

  function learn(goal) {
    const { run } = view;
    run.goal = goal;
    if (!run.busy) inSlices(towardsGoal(run), ({ done }) => {
      run.busy = !done;
      if (run !== view.run || section.hidden) run.goal = run.steps; // no more, as it isn't seen any longer
      else onFrame(done);
    });
    run.busy = true;
  }

  function onFrame(done) {
    const now = performance.now();
    if (!done && prefersStill() && now - painted < 1000) return;
    painted = now;
    showTraining(pad, view);
    if (!done && now - told < TOLD) return;
    told = now;
    speak(words(done ? "train.paused" : "train.told", progressOf(view.run)));
  }

  element("train-run").addEventListener("click", () => learn(view.run.goal === Infinity ? view.run.steps : Infinity));
  element("train-step").addEventListener("click", () => learn(Math.max(view.run.goal, view.run.steps) + 1));
  element("train-reset").addEventListener("click", () => show(true));
  listenToFiles(view, section);
  return view;
}

/** Files may be chosen, or dropped anywhere while the section is seen. */
function listenToFiles(view, section) {
  async function take(files) {
    view.problem = new Unreadable("reading");
    view.show();
    Object.assign(view, await readMnist(files).then((sets) => ({ sets, problem: null }), (problem) => ({ problem })));
    if (section.hidden) return;
    view.show();
    speak(element(view.problem ? "train-problem" : "train-data").textContent);
  }
  element("train-files").addEventListener("change", ({ target: { files } }) => take([...files]));
  for (const name of ["dragover", "drop"]) document.addEventListener(name, (event) => {
    if (section.hidden) return;
    event.preventDefault(); // or the browser would open the file
    if (name === "drop") take([...event.dataTransfer.files]);
  });
}

/** A training that hasn't begun: it learns until it has made `goal` steps, and a result is an evaluation. */
function newRun(sets, config) {
  const state = start(random.key(config.seed), config), before = networkOf(config, state.params.slice());
  const run = { sets, seed: config.seed, state, before, steps: 0, seen: 0, goal: 0, busy: false, results: [] };
  return Object.assign(run, { work: learning(run, config) });
}

/** Train without end; yields after each step, and within long ones and evaluations. */
function* learning(run, config) {
  const { state, sets: { train }, results } = run, most = Math.min(EVERY, train.labels.length);
  yield* evaluation(run);
  for (;;) {
    const { batchSize } = config; // a new one waits for the next epoch
    for (const cost of trainEpoch(state, train, config)) {
      if (cost !== undefined) Object.assign(run, { steps: run.steps + 1, seen: run.seen + batchSize });
      yield;
      const left = most - (run.seen - results.at(-1).seen); // less than a minibatch at an epoch's end
      if (left < batchSize && most - left > run.seen * SPARSE) yield* evaluation(run);
    }
  }
}

function* evaluation({ state: { network }, sets: { train, test }, seen, results }) {
  results.push({ seen, train: yield* evaluate(network, train, MOST_TRAINING), test: yield* evaluate(network, test) });
}

function* towardsGoal(run) {
  for (; run.steps < run.goal; yield) run.work.next();
}

/** How far a run is, for its texts. */
function progressOf({ state: { epoch }, steps, seen, results }) {
  const accuracy = results.length ? `${(100 * results.at(-1).test.accuracy).toFixed(1)} %` : "–";
  return { epoch, steps, seen, accuracy };
}

/** Show what the buttons do now, the progress, the weights, and how the network reads the drawing. */
function showTraining(pad, { sets: { train, test, own }, problem, run }) {
  const { network } = run.state, progress = progressOf(run);
  for (const name of ["run", "step", "reset"]) element(`train-${name}`).disabled = !train;
  element("train-momentum").disabled = element("train-optimizer").value === "sgd";
  element("train-run").textContent = words(run.goal === Infinity ? "train.pause" : "train.run");
  element("train-counts").textContent = words(run.steps ? "train.counts" : "train.lead", progress);
  element("train-accuracy").textContent = progress.accuracy;
  const sizes = { train: train?.labels.length, test: test?.labels.length };
  element("train-data").textContent = words(own ? "train.own" : train ? "train.digits" : "train.unpacking", sizes);
  element("train-problem").textContent = problem ? words(`files.${problem.message}`, problem.values) : "";
  drawProgress("accuracies", run, ({ accuracy }) => 100 * accuracy, 100);
  drawProgress("cost", run, ({ cost }) => cost, Math.max(1, Math.ceil(run.results.at(-1)?.test.cost ?? 0)));
  drawMaps(element("train-maps"), network.layers[0]);
  showReading(pad, network, { moment: words("moment.before"), network: run.before });
}

/** A chart of one value of the results, on the training and on the test set. */
function drawProgress(name, { seen, results }, value, most) {
  const [training, test] = ["train", "test"].map((set) => results.map((at) => [at.seen / 1000, value(at[set])]));
  const x = { name: words("train.seen"), most: 5 * 2 ** Math.ceil(Math.log2(Math.max(seen / 5000, 1))) };
  const canvas = element(`train-${name}`), last = (points) => (points.length ? short(points.at(-1)[1], 2) : "–");
  drawChart(canvas, [{ colour: "muted", points: training }, { colour: "positive", points: test }], x, { most });
  canvas.ariaLabel = words(`train.${name}.chart`, { seen, training: last(training), test: last(test) });
}

/** A picture of each neuron's weights, all on one scale. */
function drawMaps(canvas, { outputs, weights }) {
  const { context, width, height } = fitted(canvas), most = largestSize(weights);
  const side = Math.sqrt((width * height) / outputs), columns = Math.round(width / side);
  context.imageSmoothingEnabled = false;
  for (let j = 0; j < outputs; j++) {
    const shares = weights.subarray(j * SIDE ** 2, (j + 1) * SIDE ** 2).map((weight) => weight / most);
    const [x, y] = [(j % columns) * side, Math.floor(j / columns) * side];
    context.drawImage(pictureOf(shares, colours.positive), x, y, side - 3, side - 3);
  }
}
