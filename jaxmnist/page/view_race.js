// The Race view: the ravine, and four methods on the digits from the same starts.

function raceView() {
  return { show() {} };
}
