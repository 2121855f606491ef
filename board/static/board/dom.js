// Elements, and what the server wrote into the page about itself.

export const $ = (selector, root = document) => root.querySelector(selector);
export const page = document.body.dataset;

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
