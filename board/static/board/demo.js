// Only in a demo: place orders, and break the payment provider.

import { $ } from "./dom.js";
import { whole } from "./format.js";
import { errorText, request } from "./http.js";

const FAULTS = {
  none: "Working. New orders are confirmed within a moment.",
  decline: "Declines every card. Place an order: its stock is released and it ends as rejected.",
  slow: "Responds slowly. Orders queue up in Processing, and still complete.",
  timeout: "Charges the card but the response times out. Orders wait until the outcome is looked up; no double charges.",
  down: "Refuses every connection. Orders wait, show why, and continue automatically once it is back.",
  other: "Custom fault script active.",
};

export function beginDemo() {
  $("#place").addEventListener("submit", placeOrders);
  $("#trouble").addEventListener("click", (event) => {
    const pressed = event.target.closest("[data-trouble]");
    if (pressed) injectFault(pressed.dataset.trouble);
  });
  request("/api/board/trouble").then(({ payments }) => showFault(payments), (error) => ($("#trouble-status").textContent = errorText(error)));
}

async function placeOrders(event) {
  event.preventDefault();
  const result = $("#placed");
  const count = Number(event.submitter?.value ?? 1);
  const buttons = event.target.querySelectorAll("button");
  buttons.forEach((each) => (each.disabled = true));
  result.textContent = count > 1 ? "Placing orders …" : "Placing an order …";
  try {
    const placed = await request("/api/board/orders", { method: "POST", body: { count, kind: $("#kind").value }, timeout: 60_000 });
    result.textContent = placed.placed === 1 ? "Placed. " : `${whole.format(placed.placed)} placed. `;
    result.append(linkTo(placed.lastId, placed.placed === 1 ? "View order" : "View the last order"));
  } catch (error) {
    result.textContent = `Failed: ${errorText(error)}`;
  } finally {
    buttons.forEach((each) => (each.disabled = false));
    event.submitter?.focus();
  }
}

function linkTo(id, text) {
  return Object.assign(document.createElement("a"), { href: `#order/${id}`, textContent: text });
}

async function injectFault(name) {
  $("#trouble-status").textContent = "Applying …";
  try {
    const { payments } = await request("/api/board/trouble", { method: "PUT", body: { payments: name } });
    showFault(payments);
  } catch (error) {
    $("#trouble-status").textContent = `Failed: ${errorText(error)}`;
  }
}

function showFault(name) {
  for (const each of document.querySelectorAll("[data-trouble]")) each.setAttribute("aria-pressed", String(each.dataset.trouble === name));
  $("#trouble-status").textContent = FAULTS[name] ?? "";
  $("#trouble").dataset.now = name;
}
