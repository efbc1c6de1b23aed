// Long work in slices, so that the page stays responsive.

const SLICE = 8; // milliseconds of each frame, which at most displays lasts 17

/** Run a generator, a slice a frame, and call `onFrame(result)` after each slice; returns a function that stops it. */
function inSlices(work, onFrame) {
  let frame = requestAnimationFrame(slice);
  function slice() {
    const end = performance.now() + SLICE;
    let result;
    do result = work.next(); while (!result.done && performance.now() < end);
    if (!result.done) frame = requestAnimationFrame(slice);
    onFrame(result);
  }
  return () => cancelAnimationFrame(frame);
}

const prefersStill = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
