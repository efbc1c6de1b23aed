// Long work in slices, so that the page stays responsive.

/**
 * Run a generator for so many milliseconds of each frame, which at most displays lasts 17, and call `onFrame(result)`
 * after them; returns a function that stops it.
 */
function inSlices(work, onFrame, milliseconds = 8) {
  let frame = requestAnimationFrame(slice);
  function slice() {
    const end = performance.now() + milliseconds;
    let result;
    do result = work.next(); while (!result.done && performance.now() < end);
    if (!result.done) frame = requestAnimationFrame(slice);
    onFrame(result);
  }
  return () => cancelAnimationFrame(frame);
}

const prefersStill = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
