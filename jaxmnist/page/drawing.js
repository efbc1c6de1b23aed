// The drawing board: strokes by mouse, pen, finger or keyboard on a page of 140×140 units.

/** Five pixels for each of the 28×28: enough to be fitted well, and few enough to be read between two frames. */
const PAGE = 140, KEY_STEP = 4;

/**
 * Make a canvas a drawing board.
 *
 * `changed(event)` is called after every change; the event is the pointer's or key's that made it, if one did. What is
 * on the page is a value, { picture, strokes }: a picture is 28×28 ink, or nothing, and a stroke { width, points }.
 */
function drawingBoard(canvas, changed) {
  const raster = document.createElement("canvas");
  [raster.width, raster.height] = [PAGE, PAGE];
  const rasterContext = raster.getContext("2d", { willReadFrequently: true });
  const black = [0, 0, 0], white = [255, 255, 255];
  let page = { picture: null, strokes: [] }, past = [], pen = 12, stroke = null, pointer = null, byKeys = null;

  function paint() {
    paintPage(rasterContext, 1, page, black, white);
    const { context, width } = fitted(canvas);
    paintPage(context, width / PAGE, page, colours.ink, colours.paper);
    if (byKeys) paintPen(context, width / PAGE);
  }

  function paintPen(context, scale) {
    context.beginPath();
    context.arc(byKeys.x * scale, byKeys.y * scale, Math.max((pen / 2) * scale, 4), 0, 2 * Math.PI);
    context.lineWidth = 3;
    context.strokeStyle = css(byKeys.down ? colours.negative : colours.positive);
    context.stroke();
  }

  function become(next, event) {
    past.push(page);
    page = next;
    paint();
    changed(event);
  }

  /** A stroke on a picture begins a page of its own. */
  function begin(x, y, event) {
    stroke = { width: pen, points: [[x, y]] };
    become({ picture: null, strokes: page.picture ? [stroke] : [...page.strokes, stroke] }, event);
  }

  function extend(points, event) {
    stroke.points.push(...points);
    paint();
    changed(event);
  }

  const placed = (event) => {
    const box = canvas.getBoundingClientRect();
    const place = (at, from, size) => Math.min(Math.max(((at - from) / size) * PAGE, 0), PAGE);
    return [place(event.clientX, box.left, box.width), place(event.clientY, box.top, box.height)];
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || (stroke && !byKeys)) return;
    pointer = event.pointerId; // a second finger draws nothing
    canvas.setPointerCapture(pointer);
    byKeys = null;
    begin(...placed(event), event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!stroke || byKeys || event.pointerId !== pointer) return;
    const passed = event.getCoalescedEvents?.() ?? [];
    extend((passed.length ? passed : [event]).map(placed), event);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, (event) => {
      if (event.pointerId === pointer && !byKeys) stroke = null;
    });
  }

  canvas.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!move && event.key !== " ") return;
    event.preventDefault();
    byKeys ??= { x: PAGE / 2, y: PAGE / 4, down: false };
    if (move) {
      byKeys.x = Math.min(Math.max(byKeys.x + KEY_STEP * move[0], 0), PAGE);
      byKeys.y = Math.min(Math.max(byKeys.y + KEY_STEP * move[1], 0), PAGE);
      if (byKeys.down) return extend([[byKeys.x, byKeys.y]], event);
    } else {
      byKeys.down = !byKeys.down;
      if (byKeys.down) return begin(byKeys.x, byKeys.y, event);
      stroke = null;
    }
    paint();
  });
  canvas.addEventListener("blur", () => {
    if (byKeys) stroke = byKeys = null;
    paint();
  });

  return {
    paint,
    setPen: (width) => (pen = width),
    show: (picture) => become({ picture, strokes: [] }),
    clear: () => become({ picture: null, strokes: [] }),
    undo() {
      if (!past.length) return;
      page = past.pop();
      stroke = null;
      if (byKeys) byKeys.down = false;
      paint();
      changed();
    },
    canUndo: () => past.length > 0,
    page: () => page,
    /** The page as a picture for `normalise`: dark ink on white paper. */
    grey() {
      const { data } = rasterContext.getImageData(0, 0, PAGE, PAGE);
      const values = new Uint8Array(PAGE * PAGE);
      for (let at = 0; at < values.length; at++) values[at] = data[4 * at];
      return { height: PAGE, width: PAGE, values };
    },
  };
}

function paintPage(context, scale, { picture, strokes }, ink, paper) {
  context.fillStyle = css(paper);
  context.fillRect(0, 0, PAGE * scale, PAGE * scale);
  if (picture) {
    const small = document.createElement("canvas");
    [small.width, small.height] = [SIDE, SIDE];
    const pixels = small.getContext("2d").createImageData(SIDE, SIDE);
    picture.bytes.forEach((byte, at) => pixels.data.set([...mixed(paper, ink, byte / 255), 255], 4 * at));
    small.getContext("2d").putImageData(pixels, 0, 0);
    context.imageSmoothingEnabled = picture.smooth;
    context.imageSmoothingQuality = "high";
    context.drawImage(small, 0, 0, PAGE * scale, PAGE * scale);
  }
  context.strokeStyle = css(ink);
  context.lineCap = context.lineJoin = "round";
  for (const { width, points } of strokes) {
    context.lineWidth = width * scale;
    context.beginPath();
    points.forEach(([x, y]) => context.lineTo(x * scale, y * scale));
    if (points.length === 1) context.lineTo(points[0][0] * scale, points[0][1] * scale + 0.01);
    context.stroke();
  }
}
