// The Step view: one back-propagation on the reader's digit, stage by stage.

function stepView() {
  return { show() {} };
}
