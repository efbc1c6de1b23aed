// The Race view: the ravine, and four methods on the digits from the same starts.

const SEEDS = 8, ROUNDS = 25, GOAL = 0.2; // random starts; evaluations after the first; the cost to reach
const PROBE = 500, PIECE = 128; // training digits that measure the cost; those of a large step taken at a time
const RECIPE = { sizes: [784, 16, 16, 10], activation: "sigmoid", cost: "squared_error", momentum: 0.9 };

/** Each method's optimizer, examples a step, and steps from one evaluation to the next. */
const RACERS = { gd: ["sgd", 1437, 1], sgd: ["sgd", 32, 20], momentum: ["momentum", 32, 20], nesterov: ["nesterov", 32, 20] };

function raceView(digits) {
  const ravine = ravinePanel(), race = racePanel(digits), both = [ravine, race];
  return { ravine, race, show: () => both.forEach(({ show }) => show()), leave: () => both.forEach(({ pause }) => pause()) };
}

function racePanel(digits) {
  const race = { rates: null, stop: null, pause: () => (race.stop = race.stop?.() ?? null) };
  race.show = () => {
    const one = element("race-rates").value === "one";
    const rates = Object.keys(RACERS).map((method) => numberIn(element(`race-${one ? "one" : method}`)));
    if (String(rates) !== String(race.rates)) Object.assign(race, newRace(rates, digits), race.pause());
    for (const method in RACERS) element(`race-${method}`).disabled = one;
    element("race-one").parentElement.hidden = !one;
    element("race-run").textContent = words(race.stop ? "race.pause" : "race.run");
    element("race-run").disabled = !digits.train || race.done;
    showRace(race, element("race-axis").value === "steps");
  };
  element("race-run").addEventListener("click", () => {
    let shown = 0;
    if (race.stop) return race.show(race.pause());
    race.stop = inSlices(race.work, ({ done }) => {
      if (!done && performance.now() - shown < (prefersStill() ? 1000 : 200)) return;
      if (done) Object.assign(race, { stop: null, done });
      shown = performance.now();
      race.show();
      if (done) speak(element("race-verdict").textContent);
    });
    race.show();
  });
  element("race-reset").addEventListener("click", () => race.show((race.rates = null)));
  return race;
}

/** A race at these rates before it begins; `costs` will hold each start's costs at all evaluations. */
function newRace(rates, digits) {
  const racers = Object.entries(RACERS).map(([method, [optimizer, batchSize, steps]], at) => {
    const costs = Array.from({ length: SEEDS }, () => []);
    return { method, steps, costs, config: { ...RECIPE, optimizer, batchSize, learningRate: rates[at] } };
  });
  return { rates, racers, work: racing(racers, digits), done: false };
}

function* racing(racers, digits) {
  const { train } = digits; // which are there when it begins
  const probe = { images: train.images.subarray(0, PROBE * SIDE * SIDE), labels: train.labels.subarray(0, PROBE) };
  const courses = racers.flatMap((racer) => racer.costs.map((_, seed) => courseOf(racer, seed, train, probe)));
  for (let round = 0; round <= ROUNDS; round++) {
    for (const course of courses) while (!course.next().value) yield;
  }
}

/** One network's way: yields true after each evaluation, and where it may pause. */
function* courseOf({ config, steps, costs }, seed, train, probe) {
  const state = start(random.key(seed), config);
  for (let epoch = trainEpoch(state, train, config, PIECE); ; ) {
    costs[seed].push((yield* evaluate(state.network, probe)).cost);
    yield true;
    for (let made = 0; made < steps; yield) {
      const { done, value } = epoch.next();
      if (done) epoch = trainEpoch(state, train, config, PIECE);
      else if (value !== undefined) made++; // it isn't between two pieces of a step
    }
  }
}

/** The values that a quarter, half and three quarters don't exceed, as in studies/claims.py. */
function quartiles(values) {
  const sorted = Float64Array.from(values).sort();
  return [0.25, 0.5, 0.75].map((share) => sorted[Math.ceil(share * values.length) - 1]);
}

/** Draw the race as far as it is, tell what each method has reached, and at the end who was first. */
function showRace({ racers, done }, bySteps) {
  const unitOf = ({ config }) => (bySteps ? 1 : config.batchSize), names = racers.map(({ method }) => words(`race.${method}`));
  const most = Math.max(...racers.map((racer) => ROUNDS * racer.steps * unitOf(racer)));
  const lines = racers.map((racer) => {
    const spread = racer.costs.at(-1).map((_, at) => [at * racer.steps * unitOf(racer), ...quartiles(racer.costs.map((costs) => costs[at]))]);
    const band = spread.map(([at, low, , high]) => [at, low, high]);
    return { colour: racer.method, points: spread.map(([at, , middle]) => [at, middle]), band };
  });
  const goal = { colour: "muted", points: [[0, GOAL], [most, GOAL]], dashed: true };
  drawChart(element("race-chart"), [goal, ...lines], { name: words(bySteps ? "race.steps" : "race.examples"), most }, { most: 1.2 });
  const reached = racers.map(stepsToGoal), needed = racers.map((racer, at) => reached[at] * unitOf(racer)), least = Math.min(...needed);
  const results = racers.map((racer, at) => (element(`race-${racer.method}-result`).textContent = resultOf(racer, reached[at])));
  element("race-chart").ariaLabel = words("race.chart", { results: results.map((result, at) => `${names[at]}: ${result}`).join("; ") });
  const share = Math.round((100 * racers.at(-1).costs.at(-1).length) / (ROUNDS + 1)), first = names.filter((_, at) => needed[at] === least);
  const key = !done ? (share ? "share" : "begin") : least === Infinity ? "none" : bySteps ? "first.steps" : "first.examples";
  element("race-verdict").textContent = words(`race.${key}`, { share, goal: GOAL, seeds: SEEDS, count: least.toLocaleString("en"), first: first.join(", ") });
}

/** The median of the steps until the cost is at most the goal; infinite if half of the starts don't get there. */
function stepsToGoal({ costs, steps }) {
  return quartiles(costs.map((own) => (own.some((cost) => cost <= GOAL) ? own.findIndex((cost) => cost <= GOAL) * steps : Infinity)))[1];
}

function resultOf({ costs, steps, config }, reached) {
  const made = (costs.at(-1).length - 1) * steps, count = Math.min(reached, made), cost = quartiles(costs.map((own) => own[made / steps]))[1];
  if (made < 0) return "";
  return words(reached < Infinity ? "race.reached" : "race.not", { cost: short(cost, 2), goal: GOAL, steps: count, examples: (count * config.batchSize).toLocaleString("en") });
}
