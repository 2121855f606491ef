// Elements, and what the server wrote into the page about itself.

export const $ = (selector, root = document) => root.querySelector(selector);
export const page = document.body.dataset;

// A text in the page's language, which its template wrote into the body; else the English one.
export function word(name, english, values = {}) {
  const text = page[`word${name}`] ?? english;
  return text.replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

export function button(text, onClick, className = "") {
  const element = Object.assign(document.createElement("button"), { type: "button", textContent: text, className });
  element.addEventListener("click", onClick);
  return element;
}

export function span(className, text = "") {
  return Object.assign(document.createElement("span"), { className, textContent: text });
}

// Read out by screen readers, shown to nobody else.
export function announce(text) {
  $("#said").textContent = text;
}
