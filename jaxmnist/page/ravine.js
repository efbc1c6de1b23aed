// The ravine: gradient descent, momentum and Nesterov's method on the bowl C = ½ (x²/κ + y²), whose curvatures are 1/κ
// along and 1 across.

const MOST_STEPS = 60, PATIENCE = 2000; // steps that can be shown, and that are made to see a method arrive
const ALONG = { name: "x", least: -1.2, most: 0.6 }, ACROSS = { least: -0.45, most: 0.45 }; // what is seen of the bowl

/** Each method's best constants for the bowl, from √κ, as quadratics have them in closed form. */
const BEST_CONSTANTS = {
  gd: (root) => ({ eta: 2 / (1 + root ** -2), mu: 0 }),
  momentum: (root) => ({ eta: 4 / (1 + 1 / root) ** 2, mu: ((root - 1) / (root + 1)) ** 2 }),
  nesterov: (root) => ({ eta: 1, mu: (root - 1) / (root + 1) }),
};

/**
 * A method's way from a point at rest: at each step its position, and the point `ahead` where it takes the gradient.
 * optimizers.py steps Nesterov's points ahead, θ ← θ − η (g + μ m). With the velocity v = −η m they are θ = θ' + μ v,
 * and the positions θ' = θ + η μ m are the textbook's, v ← μ v − η ∇C(θ' + μ v), θ' ← θ' + v.
 */
function wayOf(method, kappa, { eta, mu }, begin) {
  const looksAhead = method === "nesterov", kept = method === "gd" ? 0 : mu, curvatures = [1 / kappa, 1];
  let ahead = begin, m = [0, 0];
  return Array.from({ length: PATIENCE + 1 }, () => {
    const here = { position: looksAhead ? ahead.map((theta, axis) => theta + eta * mu * m[axis]) : ahead, ahead };
    const gradient = ahead.map((theta, axis) => curvatures[axis] * theta);
    m = gradient.map((g, axis) => g + kept * m[axis]);
    ahead = ahead.map((theta, axis) => theta - eta * (looksAhead ? gradient[axis] + mu * m[axis] : m[axis]));
    return here;
  });
}

/** Draw contour lines and so many steps of each method; and of Nesterov's next step the velocity, then the gradient. */
function drawRavine(canvas, { kappa, steps }, ways) {
  const turn = Array.from({ length: 181 }, (_, at) => (at * Math.PI) / 90);
  const contours = Array.from({ length: 12 }, (_, at) => Math.SQRT1_2 ** at).map((across) => ({
    colour: "line", points: turn.map((angle) => [across * kappa ** 0.5 * Math.cos(angle), across * Math.sin(angle)]),
  }));
  const walked = Object.entries(ways).flatMap(([colour, way]) => {
    const points = way.slice(0, steps + 1).map(({ position }) => position);
    return [{ colour, points, dots: 2.5 }, { colour, points: points.slice(-1), dots: 5 }];
  });
  const [{ position, ahead }, next] = ways.nesterov.slice(steps);
  const velocity = { colour: "nesterov", points: [position, ahead], dashed: true };
  const gradient = { colour: "ink", points: [ahead, next.position], dots: 3 };
  drawChart(canvas, [...contours, ...walked, velocity, gradient], ALONG, ACROSS);
}

/** The controls, of which all that is shown is a function. */
function ravinePanel() {
  const control = (name) => element(`ravine-${name}`), valueOf = (name) => numberIn(control(name));
  const panel = { timer: null, ways: {}, show: () => showRavine(panel, control, valueOf) };
  panel.pause = () => (panel.timer = clearInterval(panel.timer) ?? null);
  const set = (values) => {
    for (const [name, value] of Object.entries(values)) control(name).value = value;
    for (const event of panel.timer ? ["input"] : ["input", "change"]) document.dispatchEvent(new Event(event));
  };
  const step = (by) => set({ steps: valueOf("steps") + by });
  control("play").addEventListener("click", () => {
    if (panel.timer || prefersStill()) return step(panel.timer ? 0 : MOST_STEPS, panel.pause());
    if (valueOf("steps") === MOST_STEPS) control("steps").value = 0;
    panel.timer = setInterval(() => step(1, valueOf("steps") >= MOST_STEPS - 1 && panel.pause()), 150);
    step(0);
  });
  control("back").addEventListener("click", () => step(-1, panel.pause()));
  control("forward").addEventListener("click", () => step(1, panel.pause()));
  control("rates").addEventListener("input", () => (control("constants").value = "same"));
  control("map").addEventListener("click", ({ target, offsetX, offsetY }) => {
    const place = placer(ALONG, ACROSS, target.clientWidth, target.clientHeight);
    const [[left, low], [right, high]] = [place([-1, -1]), place([1, 1])];
    set({ x: (2 * offsetX - left - right) / (right - left), y: (2 * offsetY - low - high) / (high - low) });
  });
  control("map").addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!move) return;
    event.preventDefault();
    set({ x: valueOf("x") + 0.05 * move[0], y: valueOf("y") + 0.05 * move[1] });
  });
  return panel;
}

function showRavine({ timer, ways }, control, valueOf) {
  const power = (name) => Number((10 ** valueOf(name)).toPrecision(2)), best = control("constants").value === "best";
  const numbers = { kappa: power("kappa"), eta: power("eta"), mu: valueOf("mu"), steps: valueOf("steps") };
  const begin = [valueOf("x"), valueOf("y")], from = (here) => Math.hypot(...here.position) / Math.hypot(...begin);
  for (const [name, value] of Object.entries(numbers)) {
    control(`${name}-value`).textContent = control(name).ariaValueText = value;
  }
  const distances = Object.entries(BEST_CONSTANTS).map(([method, bestFor]) => {
    const { eta, mu } = best ? bestFor(Math.sqrt(numbers.kappa)) : numbers;
    const way = (ways[method] = wayOf(method, numbers.kappa, { eta, mu }, begin));
    const steps = 1 + way.findLastIndex((here) => !(from(here) <= 0.01)); // NaN is far, too
    const outcome = steps <= PATIENCE ? "arrives" : from(way.at(-1)) <= 1 ? "slow" : "diverges";
    const constants = `η = ${rounded(eta)}${method === "gd" ? "" : `, μ = ${rounded(mu)}`}`;
    control(method).textContent = words(`ravine.${outcome}`, { constants, steps: Math.min(steps, PATIENCE) });
    return `${words(`race.${method}`)} ${rounded(Math.hypot(...way[numbers.steps].position))}`;
  }).join(", ");
  control("play").textContent = words(timer ? "race.pause" : "ravine.play");
  control("map").ariaLabel = words("ravine.map", { ...numbers, x: begin[0], y: begin[1], distances });
  drawRavine(control("map"), numbers, ways);
}

const rounded = (value) => Number(value.toPrecision(3));
