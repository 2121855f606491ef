// Cards: the elements in the lanes, and what they show of an order.

import { $ } from "./dom.js";
import { age, money } from "./format.js";
import { LEGS } from "./legs.js";
import { ATTENTION, HELD, serverNow, STOPPED } from "./model.js";

export function newCard() {
  const element = $("#card-template").content.firstElementChild.cloneNode(true);
  element.parts = {
    link: $("a", element), number: $(".number", element), age: $(".age", element), amount: $(".amount", element),
    customer: $(".customer", element), bar: $(".bar > span", element), note: $(".note", element),
    legs: LEGS.map((leg) => [leg, $(`[data-leg=${leg.name}]`, element), $(`[data-leg=${leg.name}] .unseen`, element)]),
  };
  element.shown = {};
  return element;
}

// Write what has changed, and nothing else.
export function paint(element, card) {
  const { parts, shown } = element;
  set(shown, "id", card.id, () => (parts.link.href = `#order/${card.id}`));
  set(shown, "number", card.number, (value) => {
    parts.number.textContent = `#${card.id}`;
    parts.link.title = value;
  });
  set(shown, "age", card.placed ? age(serverNow() - card.placed) : "", (value) => (parts.age.textContent = value));
  set(shown, "customer", card.customer ?? "…", (value) => (parts.customer.textContent = value));
  set(shown, "amount", card.currency ? money(card.amount, card.currency) : "", (value) => (parts.amount.textContent = value));
  set(shown, "progress", card.progress, (value) => (parts.bar.style.transform = `scaleX(${value / 100})`));
  set(shown, "status", card.status, (value) => (element.dataset.status = value.toLowerCase()));
  set(shown, "note", noteOn(card), (value) => (parts.note.textContent = value));
  for (const [leg, light, words] of parts.legs) {
    set(shown, leg.name, card[leg.name], (value) => {
      const [state, meaning] = leg.states[value] ?? ["open", value];
      light.dataset.state = state;
      words.textContent = `: ${meaning}.`;
    });
  }
}

function set(shown, name, value, write) {
  if (shown[name] === value) return;
  shown[name] = value;
  if (value !== undefined) write(value);
}

function noteOn(card) {
  if (card.lane === ATTENTION) return card.why || "Our team is on it";
  if (card.waitsFor === HELD) return "On hold";
  if (card.waitsFor === STOPPED) return "Needs manual action";
  if (card.waitsFor) return `Waiting for ${card.waitsFor}`;
  if (card.status === "Cancelled" || card.status === "Rejected") {
    const outcome = card.payment === "refunded" ? `${card.status}, refunded` : card.status;
    return card.reason ? `${outcome}: ${card.reason}` : outcome;
  }
  return card.status === "Cancelling" && card.reason ? card.reason : "";
}
