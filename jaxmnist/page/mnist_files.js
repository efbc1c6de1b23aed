// The reader's own MNIST: four IDX files, gzipped or plain, as in jaxmnist/sources/idx.py.

const MOST_IMAGES = 70000; // in all of MNIST

/** Read { train, test }, each { images, labels } in bytes; the training set is the larger, or the one so named. */
async function readMnist(files) {
  const isNamed = ({ name }) => name.includes("train");
  const read = (await Promise.all(files.map(readIdx))).sort((a, b) => b.count - a.count || isNamed(b) - isNamed(a));
  const [images, labels] = [true, false].map((which) => read.filter(({ isImages }) => isImages === which));
  if (images.length !== 2 || labels.length !== 2) refuse("four", { images: images.length, labels: labels.length });
  const [train, test] = images.map(({ name, count, content }, at) => {
    if (labels[at].count !== count) refuse("pair", { name: labels[at].name, found: labels[at].count, images: name, count });
    return { images: content, labels: labels[at].content };
  });
  return { train, test, own: true };
}

function refuse(reason, values) {
  throw new Unreadable(reason, values);
}

/** Read one file: 28×28 images, or labels from 0 to 9. */
async function readIdx(file) {
  const { name } = file, bytes = await unpacked(file), view = new DataView(bytes.buffer), isImages = bytes[3] === 3;
  const [magic, count, rows, columns] = [0, 4, 8, 12].map((at) => (at + 4 > bytes.length ? 0 : view.getUint32(at)));
  if (magic !== (isImages ? 0x803 : 0x801)) {
    const isIdx = magic > 0x7ff && magic < 0xf00; // of other numbers than bytes, or of other dimensions
    refuse(isIdx ? "numbers" : "idx", { name, found: magic.toString(16).padStart(8, "0") });
  }
  if (isImages && (rows !== SIDE || columns !== SIDE)) refuse("pixels", { name, rows, columns });
  if (count < 1 || count > MOST_IMAGES) refuse("count", { name, count });
  const content = bytes.subarray(isImages ? 16 : 8), expected = isImages ? count * SIDE * SIDE : count;
  if (content.length !== expected) refuse("length", { name, found: content.length, expected, count });
  const at = isImages ? -1 : content.findIndex((label) => label > 9);
  if (at >= 0) refuse("label", { name, at, label: content[at] });
  return { name, isImages, count, content };
}

/** A file's bytes, or as many as MNIST could have and some more. */
async function unpacked(file) {
  const chunks = [], isGzip = (await file.slice(0, 2).text()).startsWith("\x1f");
  try {
    const stream = isGzip ? file.stream().pipeThrough(new DecompressionStream("gzip")) : file.stream();
    const reader = stream.getReader();
    for (let size = 0, read; size <= (MOST_IMAGES + 1) * SIDE * SIDE; size += read.value.length) {
      read = await reader.read();
      if (read.done) break;
      chunks.push(read.value);
    }
  } catch {
    refuse("damaged", { name: file.name });
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}
