// The page's state in its address, so that a view can be linked to: #train?optimizer=sgd is the view and every named
// control that isn't as it was at first.

const namedControls = () => [...document.querySelectorAll("[name]:is(input, select)")];

/** Set the controls that the address names; returns the view that it names, or the first. */
function readAddress(views) {
  const [view, query] = location.hash.slice(1).split("?");
  for (const [name, value] of new URLSearchParams(query)) {
    for (const control of namedControls().filter((control) => control.name === name)) setControl(control, value);
  }
  return views.includes(view) ? view : views[0];
}

function setControl(control, value) {
  const before = control.value;
  if (control.type === "radio") control.checked ||= control.value === value;
  else control.value = value;
  if (!control.value || !control.checkValidity()) control.value = before; // the address asks for what there isn't
  if (control.type !== "radio" ? control.value !== before : control.checked) {
    control.dispatchEvent(new Event(control.type === "radio" ? "change" : "input"));
  }
}

function writeAddress(view) {
  const query = new URLSearchParams();
  for (const control of namedControls()) {
    if (control.type === "radio" ? control.checked && !control.defaultChecked : control.value !== defaultOf(control)) {
      query.set(control.name, control.value);
    }
  }
  const text = query.toString();
  history.replaceState(null, "", `#${view}${text && `?${text}`}`);
}

function defaultOf({ defaultValue, options }) {
  return options ? ([...options].find(({ defaultSelected }) => defaultSelected) ?? options[0]).value : defaultValue;
}

/** A number that the reader typed, or the one at first if it is out of its range. */
const numberIn = ({ validity, valueAsNumber, defaultValue }) => (validity.valid ? valueAsNumber : Number(defaultValue));
