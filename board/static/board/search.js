// Searching orders from the header.

import { $, announce, span } from "./dom.js";
import { money } from "./format.js";
import { errorText, request } from "./http.js";

export function beginSearch() {
  const form = $("#search");
  const [field, results] = [$("#q"), $("#found")];
  let timer;
  let latest = 0;

  const show = (isOpen) => {
    results.hidden = !isOpen;
  };
  const search = async () => {
    const text = field.value.trim();
    const number = ++latest;
    if (!text) return show(false);
    let content;
    try {
      const { cards } = await request(`/api/board/search?q=${encodeURIComponent(text)}`);
      content = cards.length ? [listOf(cards)] : [`No results for “${text}”.`];
    } catch (error) {
      content = [errorText(error)];
    }
    if (number !== latest) return;
    results.inert = false;
    results.replaceChildren(...content);
    announce(results.children.length ? `${results.querySelectorAll("a").length} found.` : results.textContent);
    show(true);
  };
  field.addEventListener("input", () => {
    clearTimeout(timer);
    results.inert = true; // those are results of another text
    timer = setTimeout(search, 200);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(timer);
    search().then(() => $("a", results)?.focus());
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") show(false);
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const stops = [field, ...results.querySelectorAll("a")];
    const at = stops.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1);
    stops[Math.max(0, Math.min(stops.length - 1, at))].focus();
    event.preventDefault();
  });
  results.addEventListener("click", () => show(false));
  document.addEventListener("click", (event) => form.contains(event.target) || show(false));
  document.addEventListener("keydown", (event) => {
    if (event.key === "k" && (event.ctrlKey || event.metaKey) && !event.target.closest?.("dialog")) {
      event.preventDefault();
      field.focus();
    }
  });
}

function listOf(cards) {
  const list = document.createElement("ul");
  for (const card of cards) {
    const anchor = Object.assign(document.createElement("a"), { href: `#order/${card.id}` });
    const status = span("badge", card.status);
    status.dataset.status = card.status.toLowerCase();
    anchor.append(span("number", card.number), span("who", `${card.customer} · ${money(card.amount, card.currency)}`), status);
    const item = document.createElement("li");
    item.append(anchor);
    list.append(item);
  }
  return list;
}
