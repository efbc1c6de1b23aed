// The Train view: a network learns in the page, from a random start, while it reads the drawing.

const SOURCE = { sizes: [784, 16, 16, 10], activation: "sigmoid", cost: "squared_error" };
const EVALUATE_EVERY = 10000; // examples, and after each epoch; so many of the training set are evaluated at most
const SMOOTHED = 500; // examples whose mean cost is one point of the chart
const MOST_POINTS = 500; // of a line, which then keeps every other one
const TELL_EVERY = 5000; // milliseconds between what a screen reader is told

/** Train on the page's own `digits`, { train, test }, null until they are unpacked, or on the reader's files. */
function trainView(pad, digits) {
  const view = { sets: digits, problem: null, run: null, show, leave: () => view.run.stop && pause() };
  const section = document.querySelector(".training"), config = { ...SOURCE };
  let painted = 0, told = 0;

  function show() {
    for (const control of section.querySelectorAll("[name]")) {
      config[control.name] = control.type === "number" ? numberIn(control) : control.value;
    }
    if (view.run?.sets !== view.sets || view.run.seed !== config.seed) reset();
    showTraining(pad, view, config);
    speak(element("reading").textContent);
  }

  function reset() {
    view.run?.stop?.();
    view.run = newRun(view.sets, config);
  }

  function learn(steps) {
    view.run.goal = Math.max(view.run.goal, view.run.steps) + steps;
    view.run.stop ??= inSlices(towardsGoal(view.run), onFrame);
  }

  function onFrame({ done }) {
    const now = performance.now();
    if (done) view.run.stop = null;
    if (!done && prefersStill() && now - painted < 1000) return;
    painted = now;
    showTraining(pad, view, config);
    if (done || now - told > TELL_EVERY) tell("train.told");
  }

  function pause() {
    view.run.stop();
    Object.assign(view.run, { goal: view.run.steps, stop: null });
    showTraining(pad, view, config);
    tell("train.paused");
  }

  function tell(key) {
    told = performance.now();
    speak(words(key, countsOf(view.run)));
  }

  async function take(files) {
    if (!files.length) return;
    view.problem = { message: "reading" };
    show();
    Object.assign(view, await readMnist([...files]).then((sets) => ({ sets, problem: null }), (problem) => ({ problem })));
    if (section.hidden) return;
    show();
    speak(element(view.problem ? "train-problem" : "train-data").textContent);
  }

  element("train-run").addEventListener("click", () => (view.run.goal === Infinity ? pause() : learn(Infinity)));
  element("train-step").addEventListener("click", () => learn(1));
  element("train-reset").addEventListener("click", () => { reset(); show(); });
  element("train-files").addEventListener("change", ({ target }) => take(target.files));
  for (const name of ["dragover", "drop"]) document.addEventListener(name, (event) => {
    if (section.hidden) return;
    event.preventDefault();
    if (name === "drop") take(event.dataTransfer.files);
  });
  return view;
}

/** A training that hasn't begun. Its costs are points [examples seen, mean], its results evaluations after so many. */
function newRun(sets, config) {
  const state = start(random.key(config.seed), config), before = networkOf(config, state.params.slice());
  const run = { sets, seed: config.seed, state, before, steps: 0, seen: 0, goal: 0, stop: null, costs: [], results: [] };
  return Object.assign(run, { work: learning(run, config) });
}

/** Train without end; yields after each step and within evaluations. */
function* learning(run, config) {
  const { state, sets: { train, test } } = run, some = { ...train, labels: train.labels.subarray(0, EVALUATE_EVERY) };
  for (let sum = 0, since = 0; ; ) {
    yield* evaluation(run, some, test);
    for (const cost of trainEpoch(state, train, config)) {
      const { examples } = state.room;
      run.steps += 1;
      run.seen += examples;
      [sum, since] = [sum + cost * examples, since + examples];
      if (since >= SMOOTHED) {
        addPoint(run.costs, [run.seen - since / 2, sum / since]);
        [sum, since] = [0, 0];
      }
      yield;
      if (run.seen - run.results.at(-1).seen >= EVALUATE_EVERY) yield* evaluation(run, some, test);
    }
  }
}

function* evaluation({ state, seen, results }, train, test) {
  addPoint(results, { seen, train: yield* evaluate(state.network, train), test: yield* evaluate(state.network, test) });
}

function addPoint(points, point) {
  if (points.push(point) > MOST_POINTS) points.splice(0, Infinity, ...points.filter((_, at) => at % 2 === 0));
}

function* towardsGoal(run) {
  for (; run.steps < run.goal; yield) run.work.next();
}

const countsOf = ({ state: { epoch }, steps, seen, results }) => ({
  epoch, steps: steps.toLocaleString("en"), seen: seen.toLocaleString("en"), accuracy: percent(results.at(-1)?.test),
});
const percent = (result) => (result ? `${(100 * result.accuracy).toFixed(1)} %` : "–");

/** Show the buttons, the counts, the charts, the weights, and how the network reads the drawing by now. */
function showTraining(pad, { sets: { train, test }, problem, run }, { optimizer }) {
  const { network } = run.state, { costs, results, seen } = run, counts = countsOf(run);
  for (const name of ["run", "step", "reset"]) element(`train-${name}`).disabled = !train;
  element("train-momentum").disabled = optimizer === "sgd";
  element("train-run").textContent = words(run.goal === Infinity ? "train.pause" : "train.run");
  element("train-counts").textContent = words("train.counts", counts);
  element("train-accuracy").textContent = counts.accuracy;
  const sizes = { train: train?.labels.length.toLocaleString("en"), test: test?.labels.length.toLocaleString("en") };
  element("train-data").textContent = words(train ? run.sets.own ? "train.own" : "train.digits" : "train.unpacking", sizes);
  element("train-problem").textContent = problem ? words(`files.${problem.message}`, problem.values) : "";
  const x = { name: words("train.seen"), most: 5000 * 2 ** Math.max(0, Math.ceil(Math.log2(seen / 5000))) };
  const points = (set, value) => results.map((result) => [result.seen, value(result[set])]);
  const lines = (training, tested) => [{ colour: "muted", points: training }, { colour: "positive", points: tested }];
  const cost = lines(costs, points("test", (result) => result.cost));
  const accuracy = lines(...["train", "test"].map((set) => points(set, (result) => 100 * result.accuracy)));
  drawChart(element("train-cost"), cost, x, { most: 1 });
  drawChart(element("train-accuracies"), accuracy, x, { most: 100 });
  drawMaps(element("train-maps"), network.layers[0].weights);
  showReading(pad, network, { moment: words("moment.before"), network: run.before });
}
