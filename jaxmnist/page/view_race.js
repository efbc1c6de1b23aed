// The Race view: the ravine, and four methods on the digits from the same starts.

const SEEDS = 8, EPOCHS = 18, GOAL = 0.2; // random starts; passes over the training digits; the cost to reach
const PROBE = 500; // training digits that measure the cost
const RACERS = { gd: "sgd", sgd: "sgd", momentum: "momentum", nesterov: "nesterov" }; // and their optimizers

function raceView(digits) {
  const ravine = ravinePanel(), race = racePanel(digits), both = (call) => () => [ravine, race].forEach(call);
  return { ravine, race, show: both((panel) => panel.show()), leave: both((panel) => panel.pause()) };
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
    }, 12); // as it is shown so rarely
    race.show();
  });
  element("race-reset").addEventListener("click", () => race.show((race.rates = null)));
  return race;
}

/** A race at these rates before it begins; `costs` will hold each start's costs after 0, 1, 2, … epochs. */
function newRace(rates, digits) {
  const racers = Object.entries(RACERS).map(([method, optimizer], at) => {
    const [batchSize, steps] = method === "gd" ? [1437, 1] : [32, 44], costs = Array.from({ length: SEEDS }, () => []);
    const config = { ...SOURCE, optimizer, learningRate: rates[at], momentum: 0.9, batchSize };
    return { method, steps, costs, states: [], config };
  });
  return { rates, racers, work: racing(racers, digits), done: false };
}

function* racing(racers, digits) {
  const { train } = digits; // which are there when it begins
  for (let epoch = 0; epoch <= EPOCHS; epoch++) {
    for (const { config, states, costs } of racers) {
      for (let seed = 0; seed < SEEDS; seed++) {
        states[seed] ??= start(random.key(seed), config);
        if (epoch) yield* trainEpoch(states[seed], train, config);
        costs[seed].push((yield* evaluate(states[seed].network, train, PROBE)).cost);
      }
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
  const lengths = racers.map(({ steps, config }) => steps * (bySteps ? 1 : config.batchSize)); // of an epoch
  const results = racers.map(resultOf), most = EPOCHS * Math.max(...lengths);
  const lines = results.map(({ spread }, racer) => {
    const band = spread.map(([low, , high], epoch) => [epoch * lengths[racer], low, high]);
    const points = spread.map(([, middle], epoch) => [epoch * lengths[racer], middle]);
    return { colour: racers[racer].method, points, band };
  });
  const goal = { colour: "muted", points: [[0, GOAL], [most, GOAL]], dashed: true };
  const x = { name: words(bySteps ? "race.steps" : "race.examples"), most };
  drawChart(element("race-chart"), [goal, ...lines], x, { most: 1.2 });
  results.forEach(({ text }, at) => (element(`race-${racers[at].method}-result`).textContent = text));
  const needed = results.map(({ reached }, at) => reached * lengths[at]), least = Math.min(...needed);
  const winners = racers.filter((_, at) => needed[at] === least);
  const first = winners.map(({ method }) => words(`race.${method}`)).join(", ");
  const share = results.at(-1).spread.length / (EPOCHS + 1);
  const end = least === Infinity ? "none" : bySteps ? "first.steps" : "first.examples";
  const values = { first, share: Math.round(100 * share), goal: GOAL, seeds: SEEDS, count: least.toLocaleString("en") };
  element("race-verdict").textContent = words(`race.${done ? end : share ? "share" : "begin"}`, values);
}

/** A method's quartiles of the cost after each epoch, and the median of the epochs to the goal; with them as text. */
function resultOf({ costs, steps, config }) {
  const spread = costs.at(-1).map((_, epoch) => quartiles(costs.map((own) => own[epoch])));
  const epochs = costs.map((own) => own.findIndex((cost) => cost <= GOAL));
  const reached = quartiles(epochs.map((epoch) => (epoch < 0 ? Infinity : epoch)))[1];
  if (!spread.length) return { spread, reached, text: "" };
  const made = Math.min(reached, spread.length - 1) * steps, examples = (made * config.batchSize).toLocaleString("en");
  const values = { cost: short(spread.at(-1)[1], 2), goal: GOAL, steps: made, examples };
  return { spread, reached, text: words(reached < Infinity ? "race.reached" : "race.not", values) };
}
