// The ravine: gradient descent, momentum and Nesterov's method on the bowl C = ½ (x²/κ + y²), whose curvatures are 1/κ
// along and 1 across.

const MOST_STEPS = 60, PATIENCE = 5000; // steps that are shown, and after which a method hasn't arrived
const ALONG = { name: "x", least: -1.2, most: 1.2 }, ACROSS = { least: -0.6, most: 0.6 }; // what is seen of the bowl

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
function* descent(method, kappa, { eta, mu }, start) {
  const looksAhead = method === "nesterov", kept = method === "gd" ? 0 : mu, curvatures = [1 / kappa, 1];
  let ahead = start, m = [0, 0];
  for (;;) {
    yield { position: looksAhead ? ahead.map((theta, axis) => theta + eta * mu * m[axis]) : ahead, ahead };
    const gradient = ahead.map((theta, axis) => curvatures[axis] * theta);
    m = gradient.map((g, axis) => g + kept * m[axis]);
    ahead = ahead.map((theta, axis) => theta - eta * (looksAhead ? gradient[axis] + mu * m[axis] : m[axis]));
  }
}

/** The steps after which a method stays within 1 % of its start's distance; or "slow", or "diverges". */
function arrivalOf(method, kappa, constants, start) {
  let step = 0, arrived = 0;
  for (const { position } of descent(method, kappa, constants, start)) {
    const distance = Math.hypot(...position) / Math.hypot(...start);
    if (distance > 0.01) arrived = step + 1;
    if (distance > 1e6 || (step === PATIENCE && distance > 1)) return "diverges";
    if (distance < 1e-6 || step === PATIENCE) return arrived > PATIENCE ? "slow" : arrived;
    step++;
  }
}

/** Draw contour lines and so many steps of each method; and of Nesterov's next step the velocity, then the gradient. */
function drawRavine(canvas, { kappa, steps }, paths) {
  const turn = Array.from({ length: 181 }, (_, at) => (at * Math.PI) / 90);
  const contours = Array.from({ length: 12 }, (_, at) => Math.SQRT1_2 ** at).map((across) => ({
    colour: "line", points: turn.map((angle) => [across * kappa ** 0.5 * Math.cos(angle), across * Math.sin(angle)]),
  }));
  const ways = Object.entries(paths).flatMap(([colour, path]) => {
    const points = path.slice(0, steps + 1).map(({ position }) => position);
    return [{ colour, points, dots: 2.5 }, { colour, points: points.slice(-1), dots: 6 }];
  });
  const [{ position, ahead }, next] = paths.nesterov.slice(steps);
  const velocity = { colour: "nesterov", points: [position, ahead], dashed: true };
  const gradient = { colour: "ink", points: [ahead, next.position], dots: 3.5 };
  drawChart(canvas, [...contours, ...ways, velocity, gradient], ALONG, ACROSS);
}

/** The controls, of which all that is shown is a function. */
function ravinePanel() {
  const control = (name) => element(`ravine-${name}`), valueOf = (name) => numberIn(control(name));
  const panel = { timer: null, paths: {}, pause: () => (panel.timer = clearInterval(panel.timer) ?? null) };
  const set = (values) => {
    for (const [name, value] of Object.entries(values)) control(name).value = value;
    for (const event of panel.timer ? ["input"] : ["input", "change"]) document.dispatchEvent(new Event(event));
  };
  const step = (by) => set({ steps: valueOf("steps") + by });
  const moveStart = (x, y) => set({ x: Math.min(Math.max(x, -1.15), 1.15), y: Math.min(Math.max(y, -0.55), 0.55) });
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
    moveStart((2 * offsetX - left - right) / (right - left), (2 * offsetY - low - high) / (high - low));
  });
  control("map").addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!move) return;
    event.preventDefault();
    moveStart(valueOf("x") + 0.05 * move[0], valueOf("y") + 0.05 * move[1]);
  });
  panel.show = () => showRavine(panel, control, valueOf);
  return panel;
}

function showRavine(panel, control, valueOf) {
  const power = (name) => Number((10 ** valueOf(name)).toPrecision(2)), best = control("constants").value === "best";
  const numbers = { kappa: power("kappa"), eta: power("eta"), mu: valueOf("mu"), steps: valueOf("steps") };
  const begin = [valueOf("x"), valueOf("y")], distances = [];
  for (const [name, value] of Object.entries(numbers)) control(`${name}-value`).textContent = control(name).ariaValueText = value;
  for (const [method, bestFor] of Object.entries(BEST_CONSTANTS)) {
    const constants = best ? bestFor(Math.sqrt(numbers.kappa)) : numbers, way = descent(method, numbers.kappa, constants, begin);
    panel.paths[method] = Array.from({ length: MOST_STEPS + 2 }, () => way.next().value);
    const arrival = arrivalOf(method, numbers.kappa, constants, begin), distance = Math.hypot(...panel.paths[method][numbers.steps].position);
    const rates = `η = ${tickText(constants.eta)}${method === "gd" ? "" : `, μ = ${tickText(constants.mu)}`}`;
    const values = { constants: rates, steps: arrival, patience: PATIENCE };
    control(method).textContent = words(`ravine.${typeof arrival === "string" ? arrival : "arrives"}`, values);
    distances.push(`${words(`race.${method}`)} ${tickText(distance)}`);
  }
  control("play").textContent = words(panel.timer ? "race.pause" : "ravine.play");
  control("map").ariaLabel = words("ravine.map", { ...numbers, x: begin[0], y: begin[1], distances: distances.join(", ") });
  drawRavine(control("map"), numbers, panel.paths);
}
