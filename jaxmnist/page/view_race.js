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
  const race = { rates: null, stop: null };
  race.pause = () => (race.stop = race.stop?.() ?? null);
  race.show = () => {
    const one = element("race-rates").value === "one";
    const rates = Object.keys(RACERS).map((method) => numberIn(element(`race-${one ? "one" : method}`)));
    if (String(rates) !== String(race.rates)) Object.assign(race, newRace(rates, digits), race.pause());
    for (const input of document.querySelectorAll(".racing input")) input.disabled = one !== (input.id === "race-one");
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
  element("race-reset").addEventListener("click", () => race.show(race.rates = null));
  return race;
}

/** A race at these rates that hasn't begun. A racer's `costs` will hold all its networks' costs at each evaluation. */
function newRace(rates, digits) {
  const racers = Object.entries(RACERS).map(([method, [optimizer, batchSize, steps]], at) => {
    return { method, steps, costs: [], config: { ...RECIPE, optimizer, batchSize, learningRate: rates[at] } };
  });
  return { rates, racers, work: racing(racers, digits), done: false };
}

function* racing(racers, digits) {
  const { train } = digits; // which are there when it begins
  const probe = { images: train.images.subarray(0, PROBE * SIDE * SIDE), labels: train.labels.subarray(0, PROBE) };
  for (const racer of racers) racer.courses = Array.from({ length: SEEDS }, (_, seed) => courseOf(seed, racer, train, probe));
  for (let round = 0; round <= ROUNDS; round++) {
    for (const { courses, costs } of racers) {
      const now = [];
      for (const course of courses) {
        let cost;
        while ((cost = course.next().value) === undefined) yield;
        now.push(cost);
      }
      costs.push(now);
    }
  }
}

/** One network's way: yields its cost at each evaluation, and nothing where it may pause. */
function* courseOf(seed, { config, steps }, train, probe) {
  const state = start(random.key(seed), config);
  let made = 0;
  yield (yield* evaluate(state.network, probe)).cost;
  for (;;) {
    for (const cost of trainEpoch(state, train, config, PIECE)) {
      if (cost !== undefined && ++made % steps === 0) yield (yield* evaluate(state.network, probe)).cost;
      else yield;
    }
  }
}

/** The values that a quarter, half and three quarters don't exceed, as in studies/claims.py. */
function quartiles(values) {
  const sorted = Float64Array.from(values).sort();
  return [0.25, 0.5, 0.75].map((share) => sorted[Math.ceil(share * values.length) - 1]);
}

/** The median of the steps until the cost is at most the goal; infinite if half of the starts don't get there. */
function stepsToGoal({ costs, steps }) {
  const first = (_, seed) => costs.findIndex((now) => now[seed] <= GOAL);
  return quartiles(Array.from({ length: SEEDS }, first).map((at) => (at < 0 ? Infinity : at * steps)))[1];
}

function showRace({ racers, done }, bySteps) {
  const unitOf = ({ config }) => (bySteps ? 1 : config.batchSize), results = [];
  const most = Math.max(...racers.map((racer) => ROUNDS * racer.steps * unitOf(racer)));
  const lines = [{ colour: "muted", points: [[0, GOAL], [most, GOAL]], dashed: true }];
  for (const racer of racers) {
    const spread = racer.costs.map((now, at) => [at * racer.steps * unitOf(racer), ...quartiles(now)]);
    const band = spread.map(([at, low, , high]) => [at, low, high]);
    lines.push({ colour: racer.method, band, points: spread.map(([at, , middle]) => [at, middle]) });
    results.push(`${words(`race.${racer.method}`)}: ${(element(`race-${racer.method}-result`).textContent = resultOf(racer))}`);
  }
  const x = { name: words(bySteps ? "race.steps" : "race.examples"), most };
  drawChart(element("race-chart"), lines, x, { name: words("race.cost"), most: 1.2 });
  element("race-chart").ariaLabel = words("race.chart", { results: results.join("; ") });
  const share = Math.round((100 * racers.at(-1).costs.length) / (ROUNDS + 1));
  element("race-verdict").textContent = done ? verdictOn(racers) : words(share ? "race.share" : "race.begin", { share });
}

function resultOf(racer) {
  const { costs, steps, config } = racer, needed = stepsToGoal(racer), reached = needed < Infinity;
  if (!costs.length) return "";
  const count = reached ? needed : (costs.length - 1) * steps, examples = (count * config.batchSize).toLocaleString("en");
  const cost = short(quartiles(costs.at(-1))[1], 2);
  return words(reached ? "race.reached" : "race.not", { cost, goal: GOAL, steps: count, examples });
}

/** Who was first at the goal, in steps and in examples. */
function verdictOn(racers) {
  const [steps, examples] = [() => 1, ({ config }) => config.batchSize].map((unitOf) => {
    const needed = racers.map((racer) => stepsToGoal(racer) * unitOf(racer)), least = Math.min(...needed);
    const names = racers.filter((_, at) => needed[at] === least).map(({ method }) => words(`race.${method}`));
    return least < Infinity && `${names.join(", ")} (${least.toLocaleString("en")})`;
  });
  return words(steps ? "race.first" : "race.none", { goal: GOAL, seeds: SEEDS, steps, examples });
}
