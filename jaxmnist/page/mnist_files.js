// The reader's own MNIST: four IDX files, gzipped or plain, as in jaxmnist/sources/idx.py.

const MOST_IMAGES = 70000; // in all of MNIST

/** Read { train, test }, each { images, labels } in bytes; the training set is the larger, or the one so named. */
async function readMnist(files) {
  const isNamed = ({ name }) => name.includes("train");
  const read = (await Promise.all(files.map(readIdx))).sort((a, b) => b.count - a.count || isNamed(b) - isNamed(a));
  const [images, labels] = [true, false].map((which) => read.filter(({ isImages }) => isImages === which));
  const counts = { images: images.length, labels: labels.length };
  if (counts.images !== 2 || counts.labels !== 2) throw new Unreadable("four", counts);
  const [train, test] = images.map(({ name, count, content }, at) => {
    const its = labels[at];
    if (its.count !== count) throw new Unreadable("pair", { name: its.name, found: its.count, images: name, count });
    return { images: content, labels: its.content };
  });
  return { train, test, own: true };
}

/** Read one file: 28×28 images, or labels from 0 to 9. */
async function readIdx(file) {
  const refuse = (reason, values) => { throw new Unreadable(reason, { name: file.name, ...values }); };
  const bytes = await unpacked(file).catch(() => refuse("damaged"));
  const [magic, count, rows, columns] = [0, 4, 8, 12].map((at) => numberAt(bytes, at)), isImages = magic === 0x803;
  if (!isImages && magic !== 0x801) refuse("idx", { found: magic.toString(16).padStart(8, "0") });
  if (isImages && (rows !== SIDE || columns !== SIDE)) refuse("pixels", { rows, columns });
  if (count < 1 || count > MOST_IMAGES) refuse("count", { count });
  const content = bytes.subarray(isImages ? 16 : 8), expected = isImages ? count * SIDE * SIDE : count;
  if (content.length !== expected) refuse("length", { found: content.length, expected });
  const wrong = isImages ? -1 : content.findIndex((label) => label > 9);
  if (wrong >= 0) refuse("label", { wrong, label: content[wrong] });
  return { name: file.name, isImages, count, content };
}

const numberAt = (bytes, at) => bytes.subarray(at, at + 4).reduce((number, byte) => number * 256 + byte, 0);

async function unpacked(file) {
  const isGzip = numberAt(new Uint8Array(await file.slice(0, 2).arrayBuffer()), 0) === 0x1f8b;
  const stream = isGzip ? file.stream().pipeThrough(new DecompressionStream("gzip")) : file.stream();
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
