// Arithmetic on lists of numbers.

/** The median; of an even number of values the mean of the middle two. Changes their order. */
function median(values) {
  const middle = values.length >> 1;
  const upper = select(values, middle);
  if (values.length % 2) return upper;
  let lower = -Infinity;
  for (let at = 0; at < middle; at++) if (values[at] > lower) lower = values[at];
  return (lower + upper) / 2;
}

/** Hoare's selection: the value that sorting would put at this place; smaller ones come to stand before it. */
function select(values, place) {
  let first = 0, last = values.length - 1;
  while (first < last) {
    const pivot = values[(first + last) >> 1];
    let up = first, down = last;
    while (up <= down) {
      while (values[up] < pivot) up++;
      while (values[down] > pivot) down--;
      if (up <= down) {
        [values[up], values[down]] = [values[down], values[up]];
        up++;
        down--;
      }
    }
    if (place <= down) last = down;
    else if (place >= up) first = up;
    else break;
  }
  return values[place];
}

/** Gauss's elimination with pivots; each row ends with its right side. */
function solve(rows) {
  const size = rows.length;
  for (let step = 0; step < size; step++) {
    let pivot = step;
    for (let row = step + 1; row < size; row++) {
      if (Math.abs(rows[row][step]) > Math.abs(rows[pivot][step])) pivot = row;
    }
    [rows[step], rows[pivot]] = [rows[pivot], rows[step]];
    for (let row = step + 1; row < size; row++) {
      const share = rows[row][step] / rows[step][step];
      for (let column = step; column <= size; column++) rows[row][column] -= share * rows[step][column];
    }
  }
  const solution = new Array(size);
  for (let row = size - 1; row >= 0; row--) {
    let rest = rows[row][size];
    for (let column = row + 1; column < size; column++) rest -= rows[row][column] * solution[column];
    solution[row] = rest / rows[row][row];
  }
  return solution;
}

function dot(one, other) {
  let sum = 0;
  for (let at = 0; at < one.length; at++) sum += one[at] * other[at];
  return sum;
}

const least = (values) => values.reduce((one, other) => Math.min(one, other));
const most = (values) => values.reduce((one, other) => Math.max(one, other));
const largestAt = (values) => values.reduce((best, value, at) => (value > values[best] ? at : best), 0);
const largestSize = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
