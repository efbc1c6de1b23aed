// The Train view: a network learns in the page, from a random start, while it reads the drawing.

const SOURCE = { sizes: [784, 16, 16, 10], activation: "sigmoid", cost: "squared_error" };
const EVALUATED = 10000; // examples: after so many, or an epoch, both sets are evaluated, the training set on so many
const SPARSE = 1 / 200; // of all examples seen: in a long run, evaluations come no sooner
const TOLD = 5000; // milliseconds between what a screen reader is told

/** Train on the page's `digits`, { train, test }, which are null until they are unpacked, or on the reader's files. */
function trainView(pad, digits) {
  const view = { sets: digits, problem: null, run: null, show, leave: () => view.run.stop && pause() };
  const section = document.querySelector(".training"), config = { ...SOURCE };
  let painted = 0, told = 0;

  function show(anew) {
    for (const control of section.querySelectorAll("[name]")) {
      config[control.name] = control.type === "number" ? numberIn(control) : control.value;
    }
    config.batchSize = Math.min(config.batchSize, view.sets.train?.labels.length ?? Infinity);
    if (anew || view.run?.sets !== view.sets || view.run.seed !== config.seed) {
      view.run?.stop?.();
      view.run = newRun(view.sets, config);
    }
    showTraining(pad, view);
    speak(element("reading").textContent);
  }

  function learn(steps) {
    view.run.goal = Math.max(view.run.goal, view.run.steps) + steps;
    view.run.stop ??= inSlices(towardsGoal(view.run), ({ done }) => {
      if (done) view.run.stop = null;
      const now = performance.now();
      if (!done && prefersStill() && now - painted < 1000) return;
      painted = now;
      showTraining(pad, view);
      if (!done && now - told < TOLD) return;
      told = now;
      speak(words("train.told", progressOf(view.run)));
    });
  }

  function pause() {
    view.run.stop();
    Object.assign(view.run, { goal: view.run.steps, stop: null });
    showTraining(pad, view);
    speak(words("train.paused", progressOf(view.run)));
  }

  element("train-run").addEventListener("click", () => (view.run.goal === Infinity ? pause() : learn(Infinity)));
  element("train-step").addEventListener("click", () => learn(1));
  element("train-reset").addEventListener("click", () => show(true));
  listenToFiles(view, section);
  return view;
}

/** Files may be chosen, or dropped anywhere while the section is seen. */
function listenToFiles(view, section) {
  async function take(files) {
    view.problem = new Unreadable("reading");
    view.show();
    const read = await readMnist(files).then((sets) => ({ sets, problem: null }), (problem) => ({ problem }));
    Object.assign(view, read);
    if (section.hidden) return;
    view.show();
    speak(element(view.problem ? "train-problem" : "train-data").textContent);
  }
  element("train-files").addEventListener("change", ({ target }) => {
    take([...target.files]);
    target.value = ""; // so that the same files, mended, can be chosen again
  });
  for (const name of ["dragover", "drop"]) document.addEventListener(name, (event) => {
    if (section.hidden) return;
    event.preventDefault(); // or the browser would open the file
    if (name === "drop") take([...event.dataTransfer.files]);
  });
}

/** A training that hasn't begun. */
function newRun(sets, config) {
  const state = start(random.key(config.seed), config), before = networkOf(config, state.params.slice());
  const run = { sets, seed: config.seed, state, before, steps: 0, seen: 0, goal: 0, stop: null, results: [] };
  return Object.assign(run, { work: learning(run, config) });
}

/** Train without end; yields after each step and within evaluations. */
function* learning(run, config) {
  const { state, sets: { train }, results } = run, most = Math.min(EVALUATED, train.labels.length);
  yield* evaluation(run);
  for (;;) {
    for (const _ of trainEpoch(state, train, config)) {
      run.steps += 1;
      run.seen += state.room.examples;
      yield;
      const next = Math.max(most - state.room.examples, run.seen * SPARSE); // no whole minibatch is left of the epoch
      if (run.seen - results.at(-1).seen > next) yield* evaluation(run);
    }
  }
}

function* evaluation({ state: { network }, sets: { train, test }, seen, results }) {
  const some = { images: train.images, labels: train.labels.subarray(0, EVALUATED) };
  results.push({ seen, train: yield* evaluate(network, some), test: yield* evaluate(network, test) });
}

function* towardsGoal(run) {
  for (; run.steps < run.goal; yield) run.work.next();
}

const accuracyOf = ({ accuracy }) => `${(100 * accuracy).toFixed(1)} %`;

/** How far a run is, for its texts. */
function progressOf({ state: { epoch }, steps, seen, results }) {
  return { epoch, steps, seen, accuracy: results.length ? accuracyOf(results.at(-1).test) : "–" };
}

/** Show what the buttons do now, the progress, the weights, and how the network reads the drawing. */
function showTraining(pad, { sets: { train, test, own }, problem, run }) {
  const { network } = run.state, progress = progressOf(run);
  for (const name of ["run", "step", "reset"]) element(`train-${name}`).disabled = !train;
  element("train-momentum").disabled = element("train-optimizer").value === "sgd";
  element("train-run").textContent = words(run.goal === Infinity ? "train.pause" : "train.run");
  element("train-counts").textContent = words("train.counts", progress);
  element("train-accuracy").textContent = progress.accuracy;
  const sizes = { train: train?.labels.length, test: test?.labels.length };
  element("train-data").textContent = words(own ? "train.own" : train ? "train.digits" : "train.unpacking", sizes);
  element("train-problem").textContent = problem ? words(`files.${problem.message}`, problem.values) : "";
  drawProgress("cost", run, ({ cost }) => cost, Math.max(1, Math.ceil(run.results.at(-1)?.test.cost ?? 0)));
  drawProgress("accuracies", run, ({ accuracy }) => 100 * accuracy, 100);
  drawMaps(element("train-maps"), network.layers[0]);
  showReading(pad, network, { moment: words("moment.before"), network: run.before });
}

/** A chart of one value of the results, on the training and on the test set. */
function drawProgress(name, { seen, results }, value, most) {
  const [training, test] = ["train", "test"].map((set) => results.map((at) => [at.seen / 1000, value(at[set])]));
  const lines = [{ colour: "muted", points: training }, { colour: "positive", points: test }];
  const x = { name: words("train.seen"), most: 5 * 2 ** Math.ceil(Math.log2(Math.max(seen / 5000, 1))) };
  drawChart(element(`train-${name}`), lines, x, { most });
  const last = (points) => (points.length ? short(points.at(-1)[1], 2) : "–");
  element(`train-${name}`).ariaLabel = words(`train.${name}.chart`, { seen, training: last(training), test: last(test) });
}

/** A picture of each neuron's weights, all on one scale. */
function drawMaps(canvas, { outputs, weights }) {
  const { context, width, height } = fitted(canvas), most = largestSize(weights);
  const columns = Math.round(Math.sqrt((outputs * width) / height)), side = width / columns;
  context.clearRect(0, 0, width, height);
  context.imageSmoothingEnabled = false;
  for (let j = 0; j < outputs; j++) {
    const shares = weights.subarray(j * SIDE ** 2, (j + 1) * SIDE ** 2).map((weight) => weight / most);
    const place = [(j % columns) * side, Math.floor(j / columns) * side, side - 3, side - 3];
    context.drawImage(pictureOf(shares, colours.positive), ...place);
  }
}
