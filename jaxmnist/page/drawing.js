// The drawing board: strokes by mouse, pen, finger or keyboard on a square of 140×140 units. A drawing is a value,
// { picture, strokes }: a picture is 28×28 bytes of ink, or null, and a stroke { width, points }.

/** Five pixels for each of the 28×28: enough to fit a digit well, and few enough to read between two frames. */
const BOARD = 140, KEY_STEP = 4;

const clamped = (value, most) => Math.min(Math.max(value, 0), most);

/** Make a canvas a drawing board; `onChange(event)` is called with the pointer's or key's event, if one changed it. */
function drawingBoard(canvas, onChange) {
  const raster = document.createElement("canvas");
  [raster.width, raster.height] = [BOARD, BOARD];
  const board = {
    canvas, onChange, raster: raster.getContext("2d", { willReadFrequently: true }),
    drawing: { picture: null, strokes: [] }, past: [], penWidth: 12, stroke: null, pointer: null, keyPen: null,
  };
  listenToPointer(board);
  listenToKeys(board);
  paintBoard(board);
  return board;
}

function paintBoard({ canvas, raster, drawing, penWidth, keyPen }) {
  paintDrawing(raster, 1, drawing, [0, 0, 0], [255, 255, 255]);
  const { context, width } = fitted(canvas), scale = width / BOARD;
  paintDrawing(context, scale, drawing, colours.ink, colours.paper);
  if (!keyPen) return;
  context.beginPath();
  context.arc(keyPen.x * scale, keyPen.y * scale, Math.max((penWidth / 2) * scale, 4), 0, 2 * Math.PI);
  context.lineWidth = 3;
  context.strokeStyle = css(keyPen.down ? colours.negative : colours.positive);
  context.stroke();
}

/** Replace the drawing by a picture and strokes; `undo` brings it back. */
function draw(board, picture, strokes, event) {
  board.past.push(board.drawing);
  board.drawing = { picture, strokes };
  paintBoard(board);
  board.onChange(event);
}

function undo(board) {
  if (!board.past.length) return;
  board.drawing = board.past.pop();
  board.stroke = null;
  if (board.keyPen) board.keyPen.down = false;
  paintBoard(board);
  board.onChange();
}

/** Begin a stroke, which replaces a picture. */
function beginStroke(board, x, y, event) {
  board.stroke = { width: board.penWidth, points: [[x, y]] };
  const { picture, strokes } = board.drawing;
  draw(board, null, picture ? [board.stroke] : [...strokes, board.stroke], event);
}

function extendStroke(board, points, event) {
  board.stroke.points.push(...points);
  paintBoard(board);
  board.onChange(event);
}

/** The drawing for `normalise`: a picture of ink, 0 paper to 1. */
function inkOf({ raster }) {
  const { data } = raster.getImageData(0, 0, BOARD, BOARD);
  const values = Float64Array.from({ length: BOARD * BOARD }, (_, at) => 1 - data[4 * at] / 255);
  return { height: BOARD, width: BOARD, values };
}

function listenToPointer(board) {
  const { canvas } = board;
  const pointOf = (event) => {
    const box = canvas.getBoundingClientRect();
    const along = (distance, size) => clamped((distance / size) * BOARD, BOARD);
    return [along(event.clientX - box.left, box.width), along(event.clientY - box.top, box.height)];
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || (board.stroke && !board.keyPen)) return;
    board.pointer = event.pointerId; // a second finger draws nothing
    canvas.setPointerCapture(board.pointer);
    board.keyPen = null;
    beginStroke(board, ...pointOf(event), event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!board.stroke || board.keyPen || event.pointerId !== board.pointer) return;
    const passed = event.getCoalescedEvents?.() ?? [];
    extendStroke(board, (passed.length ? passed : [event]).map(pointOf), event);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, (event) => {
      if (event.pointerId === board.pointer && !board.keyPen) board.stroke = null;
    });
  }
}

function listenToKeys(board) {
  board.canvas.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!move && event.key !== " ") return;
    event.preventDefault();
    const pen = (board.keyPen ??= { x: BOARD / 2, y: BOARD / 4, down: false });
    if (move) {
      pen.x = clamped(pen.x + KEY_STEP * move[0], BOARD);
      pen.y = clamped(pen.y + KEY_STEP * move[1], BOARD);
      if (pen.down) return extendStroke(board, [[pen.x, pen.y]], event);
    } else {
      pen.down = !pen.down;
      if (pen.down) return beginStroke(board, pen.x, pen.y, event);
      board.stroke = null;
    }
    paintBoard(board);
  });
  board.canvas.addEventListener("blur", () => {
    if (board.keyPen) board.stroke = board.keyPen = null;
    paintBoard(board);
  });
}

function paintDrawing(context, scale, { picture, strokes }, ink, paper) {
  context.fillStyle = css(paper);
  context.fillRect(0, 0, BOARD * scale, BOARD * scale);
  if (picture) {
    context.imageSmoothingEnabled = picture.smooth;
    context.imageSmoothingQuality = "high";
    context.drawImage(pictureOf(sharesOf(picture.bytes), ink, paper), 0, 0, BOARD * scale, BOARD * scale);
  }
  context.strokeStyle = css(ink);
  context.lineCap = context.lineJoin = "round";
  for (const { width, points } of strokes) {
    context.lineWidth = width * scale;
    context.beginPath();
    points.forEach(([x, y]) => context.lineTo(x * scale, y * scale));
    const [x, y] = points[0];
    if (points.every((point) => point[0] === x && point[1] === y)) context.lineTo(x * scale, y * scale + 0.01); // a dot
    context.stroke();
  }
}
