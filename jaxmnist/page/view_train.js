// The Train view: a network learns in the page, from a random start, while it reads the drawing.

function trainView() {
  return { show() {} };
}
