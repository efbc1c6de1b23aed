// Everything goes one way: drawing → 28×28 pixels → network → what the view shows.

readColours();
const networks = openNetworks();
const pad = readingPad(sampleDigits(data.digits.test), show);
const digits = { train: null, test: null }; // unpacked below, as it takes a while
const views = {
  draw: drawView(pad, networks), train: trainView(pad, digits), step: stepView(pad, networks), race: raceView(digits),
};
let view = null;

/** Show the view that the address names, with its controls as the address says. */
function open() {
  const next = readAddress(Object.keys(views));
  if (view !== next) views[view]?.leave?.();
  view = next;
  document.querySelector("main").dataset.view = view;
  for (const one of document.querySelectorAll("[data-views]")) one.hidden = !one.matches(`[data-views~=${view}]`);
  for (const link of document.querySelectorAll("nav a")) link.ariaCurrent = link.hash === `#${view}` ? "page" : null;
  writeAddress(view);
  repaint();
}

function show() {
  views[view]?.show();
}

/** Show everything anew, in the language, the colours and the sizes of now. */
function repaint() {
  language = element("language").value;
  translate();
  readColours();
  paintPad(pad);
  show();
}

document.addEventListener("input", show);
document.addEventListener("change", () => writeAddress(view));
element("language").addEventListener("input", repaint);
addEventListener("hashchange", open);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
new ResizeObserver(repaint).observe(document.querySelector("main"));

if (navigator.language.startsWith("ko")) element("language").value = "ko";
open();
inSlices(loadDigits(data.digits), ({ done, value }) => {
  if (!done) return;
  Object.assign(digits, value);
  show();
});

/** For whoever looks behind the page, from the browser's console. */
globalThis.jaxmnist = {
  words, normalise, forward, ledger, costGradient, outputGradient, networks, views, state: () => pad.state,
};
