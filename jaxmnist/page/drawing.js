// The drawing board: strokes by mouse, pen, finger or keyboard on a square of 140×140 units. A drawing is a value,
// { picture, strokes }: a picture is 28×28 bytes of ink with their kind, or null, and a stroke { width, points }.

/** Five pixels for each of the 28×28: enough to fit a digit well, and few enough to read between two frames. */
const BOARD = 140, KEY_STEP = 4;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const clamped = (value, most) => Math.min(Math.max(value, 0), most);

/** Make a canvas a drawing board; `onChange()` is called after any change of the drawing. */
function drawingBoard(canvas, onChange) {
  const raster = made("canvas", { width: BOARD, height: BOARD }).getContext("2d", { willReadFrequently: true });
  const drawing = { picture: null, strokes: [] }, now = { stroke: null, pointer: null, keyPen: null };
  const board = { canvas, onChange, raster, drawing, past: [], penWidth: 12, ...now };
  listenToPointer(board);
  listenToKeys(board);
  paintBoard(board);
  return board;
}

function paintBoard({ canvas, raster, drawing, penWidth, keyPen }) {
  paintDrawing(raster, drawing, [0, 0, 0], [255, 255, 255]);
  const { context, width } = fitted(canvas), scale = width / BOARD;
  context.scale(scale, scale);
  paintDrawing(context, drawing, colours.ink, colours.paper);
  if (!keyPen) return;
  context.beginPath();
  context.arc(...keyPen.point, Math.max(penWidth / 2, 4 / scale), 0, 2 * Math.PI);
  context.lineWidth = 3 / scale;
  context.strokeStyle = css(keyPen.down ? colours.negative : colours.positive);
  context.stroke();
}

function changed(board) {
  paintBoard(board);
  board.onChange();
}

/** Replace the drawing by a picture and strokes; `undo` brings it back. */
function draw(board, picture, strokes = []) {
  board.past.push(board.drawing);
  board.drawing = { picture, strokes };
  changed(board);
}

function undo(board) {
  if (!board.past.length) return;
  board.drawing = board.past.pop();
  board.stroke = null;
  if (board.keyPen) board.keyPen.down = false;
  changed(board);
}

/** Lengthen the stroke, or begin one, which replaces a picture. */
function drawStroke(board, points) {
  if (board.stroke) {
    board.stroke.points.push(...points);
    return changed(board);
  }
  board.stroke = { width: board.penWidth, points };
  draw(board, null, [...board.drawing.strokes, board.stroke]);
}

/** The drawing for `normalise`: a picture of ink, 0 paper to 1. */
function inkOf({ raster }) {
  const { data } = raster.getImageData(0, 0, BOARD, BOARD);
  const values = Float64Array.from({ length: BOARD * BOARD }, (_, at) => 1 - data[4 * at] / 255);
  return { height: BOARD, width: BOARD, values };
}

function listenToPointer(board) {
  const { canvas } = board;
  const pointOf = ({ clientX, clientY }) => {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    return [(clientX - left) / width, (clientY - top) / height].map((share) => clamped(share * BOARD, BOARD));
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || (board.stroke && !board.keyPen)) return;
    board.pointer = event.pointerId; // a second finger draws nothing
    canvas.setPointerCapture(board.pointer);
    board.stroke = board.keyPen = null;
    drawStroke(board, [pointOf(event)]);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!board.stroke || board.keyPen || event.pointerId !== board.pointer) return;
    const passed = event.getCoalescedEvents?.() ?? [];
    drawStroke(board, (passed.length ? passed : [event]).map(pointOf));
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, ({ pointerId }) => {
    if (pointerId === board.pointer && !board.keyPen) board.stroke = null;
  });
}

function listenToKeys(board) {
  board.canvas.addEventListener("keydown", (event) => {
    const move = ARROWS[event.key];
    if (!move && event.key !== " ") return;
    event.preventDefault();
    const pen = (board.keyPen ??= { point: [BOARD / 2, BOARD / 4], down: false });
    if (move) pen.point = pen.point.map((at, axis) => clamped(at + KEY_STEP * move[axis], BOARD));
    else [pen.down, board.stroke] = [!pen.down, null];
    if (pen.down) drawStroke(board, [pen.point]);
    else paintBoard(board);
  });
  board.canvas.addEventListener("blur", () => {
    if (board.keyPen) board.stroke = board.keyPen = null;
    paintBoard(board);
  });
}

/** Paint a drawing, in the board's units. */
function paintDrawing(context, { picture, strokes }, ink, paper) {
  context.fillStyle = css(paper);
  context.fillRect(0, 0, BOARD, BOARD);
  if (picture) {
    context.imageSmoothingEnabled = picture.kind === "sample";
    context.imageSmoothingQuality = "high";
    context.drawImage(pictureOf(sharesOf(picture.bytes), ink, paper), 0, 0, BOARD, BOARD);
  }
  context.strokeStyle = css(ink);
  context.lineCap = context.lineJoin = "round";
  for (const { width, points } of strokes) {
    context.lineWidth = width;
    context.beginPath();
    context.moveTo(points[0][0], points[0][1] + 0.01); // so that a point alone is a dot
    for (const point of points) context.lineTo(...point);
    context.stroke();
  }
}
