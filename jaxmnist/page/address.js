// The page's state in its address, so that a view can be linked to: #train?optimizer=sgd is the view and every named
// control that isn't as it was at first.

const namedControls = () => [...document.querySelectorAll("[name]:is(input, select)")];

/** Set the controls that the address names; returns the view that it names, or the first. */
function readAddress(views) {
  const [view, query] = location.hash.slice(1).split("?"), values = new URLSearchParams(query);
  for (const control of namedControls()) if (values.has(control.name)) setControl(control, values.get(control.name));
  return views.includes(view) ? view : views[0];
}

function setControl(control, value) {
  const property = control.type === "radio" ? "checked" : "value", before = control[property];
  control[property] = property === "value" ? value : before || control.value === value;
  if (!control[property] || !control.checkValidity()) control[property] = before; // there isn't what it asks for
  // Only samples and labels are heard from outside; a number from the address mustn't reset a choice beside it.
  if (control[property] !== before) control.dispatchEvent(new Event("input", { bubbles: property === "checked" }));
}

let later;

function writeAddress(view) {
  const changed = namedControls().filter((control) => !isAsAtFirst(control)), query = new URLSearchParams();
  for (const { name, value } of changed) query.set(name, value);
  clearTimeout(later);
  try {
    history.replaceState(null, "", `#${view}${changed.length ? `?${query}` : ""}`);
  } catch {
    later = setTimeout(writeAddress, 1000, view); // Safari refuses more than a hundred in half a minute
  }
}

const isAsAtFirst = ({ type, checked, selectedOptions, value, defaultValue }) =>
  type === "radio" ? !checked : selectedOptions ? selectedOptions[0].defaultSelected : value === defaultValue;

/** A number that the reader typed, or the one at first if it is out of its range. */
const numberIn = ({ validity, valueAsNumber, defaultValue }) => (validity.valid ? valueAsNumber : Number(defaultValue));
