// Server-rendered pieces of a page, updated in place.

import { $ } from "./dom.js";

// Replace the parts that differ, and leave alone a part in which someone types.
export function update(root, html) {
  const fresh = new DOMParser().parseFromString(html, "text/html").body;
  const parts = [...fresh.querySelectorAll("[data-part]")];
  if (!parts.length || !root.querySelector("[data-part]")) {
    root.replaceChildren(...fresh.childNodes);
    return;
  }
  for (const part of parts) {
    const old = root.querySelector(`[data-part=${part.dataset.part}]`);
    if (old && old.innerHTML !== part.innerHTML) replace(old, part);
  }
}

function replace(old, part) {
  const active = old.contains(document.activeElement) ? document.activeElement : null;
  if (active?.tagName === "INPUT" && active.value) return;
  const result = $("[data-result]", old)?.textContent;
  old.replaceChildren(...part.childNodes);
  if (result && $("[data-result]", old)) $("[data-result]", old).textContent = result;
  if (active) ((active.id && document.getElementById(active.id)) || old.closest("dialog, main"))?.focus();
}
