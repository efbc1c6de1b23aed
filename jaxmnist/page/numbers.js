// Lists of numbers, and numbers as text.

/** The median; of an even number of values the mean of the middle two. */
function median(values) {
  const sorted = values.slice().sort(), middle = sorted.length >> 1; // typed arrays sort by size
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

const largestAt = (values) => values.indexOf(Math.max(...values));
const largestSize = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/** A number in a few characters, with a true minus. */
const short = (value, digits = 3) => value.toFixed(digits).replace("-", "−");

/** The same; a small one as a power of ten. */
const precise = (value) =>
  value !== 0 && Math.abs(value) < 5e-4 ? value.toExponential(0).replaceAll("-", "−") : short(value);

const rangeOf = (values) => ({ least: short(Math.min(...values)), most: short(Math.max(...values)) });

const bytesIn = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));

/** Numbers of float32 in base64. */
const floatsIn = (base64) => new Float32Array(bytesIn(base64).buffer);

/** Numbers of float16 in base64. */
function halvesIn(base64) {
  return Float32Array.from(new Uint16Array(bytesIn(base64).buffer), (bits) => {
    const exponent = (bits >> 10) & 31, fraction = bits & 1023;
    return (bits >> 15 ? -1 : 1) * (exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24);
  });
}
