// Long work in slices, so that the page stays responsive.

const BUSY = 12; // milliseconds of each frame to work and show, as at most displays it lasts 17

/** Run a generator, a slice a frame, and call `onFrame(result)` after each slice; returns a function that stops it. */
function inSlices(work, onFrame) {
  let frame = requestAnimationFrame(slice);
  let showing = 0; // milliseconds that it took to show the last slice
  function slice() {
    const end = performance.now() + BUSY - showing;
    let result;
    do result = work.next(); while (!result.done && performance.now() < end);
    if (!result.done) frame = requestAnimationFrame(slice);
    const worked = performance.now();
    onFrame(result);
    showing = performance.now() - worked;
  }
  return () => cancelAnimationFrame(frame);
}

const prefersStill = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
