// Every text of the page, in the reader's language, out of words.json.

const element = (id) => document.getElementById(id);
const data = JSON.parse(element("data").textContent);
let language = "en";

/** A new element with these properties and children. */
function made(tag, properties = {}, ...children) {
  const one = Object.assign(document.createElement(tag), properties);
  one.append(...children);
  return one;
}

/** The text of that key; each {name} in it becomes the value of that name, a number with commas. */
function words(key, values = {}) {
  return data.words[key][language].replace(/\{(\w+)\}/g, (_, name) => values[name].toLocaleString("en"));
}

/** Write all texts that elements name: data-text, data-label for screen readers, data-hint for the mouse. */
function translate() {
  document.documentElement.lang = language;
  document.title = words("title");
  for (const [attribute, property] of [["text", "textContent"], ["label", "ariaLabel"], ["hint", "title"]]) {
    for (const one of document.querySelectorAll(`[data-${attribute}]`)) {
      one[property] = words(one.dataset[attribute], one.dataset);
    }
  }
}
