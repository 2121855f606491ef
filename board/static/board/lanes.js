// Lanes: which cards are shown where, how many there are, and how they move.

import { newCard, paint } from "./cards.js";
import { $ } from "./dom.js";
import { approximate, whole } from "./format.js";
import { ATTENTION, changes, LANES, model } from "./model.js";

const RUSH_PAUSE = 200; // in a rush a lane is redrawn after this many milliseconds; a person reads no faster
const MOST_SPARE = 40;

export const view = {
  lanes: [],
  elements: new Map(), // by order id: the list items that are shown
  spare: [],
  isRush: false,
  limit: 8, // cards shown per lane
};
export const stillness = matchMedia("(prefers-reduced-motion: reduce)");

export function beginLanes(onLeave) {
  for (const name of LANES) {
    const section = $(`[data-lane=${name}]`);
    const [list, empty, more, count] = ["[data-cards]", "[data-empty]", "[data-more]", "[data-count]"].map((part) => $(part, section));
    view.lanes.push({ section, list, empty, more, count, shown: [], drawnAt: 0 });
    list.addEventListener("pointerleave", onLeave);
  }
  $("#urgent").addEventListener("click", goToUrgent);
}

// Draw what has changed, up to a moment. Returns whether something is left to draw.
export function drawChanges(until) {
  if (changes.counts) drawCounts();
  for (const lane of [...changes.lanes]) {
    if (performance.now() > until) break;
    if (view.isRush && performance.now() - view.lanes[lane].drawnAt < RUSH_PAUSE) continue;
    drawLane(lane);
    changes.lanes.delete(lane);
  }
  return changes.lanes.size > 0;
}

// A lane has more orders than cards: those above moved on, and the others were not kept.
export function hasGaps() {
  return model.lanes.some((ids, lane) => ids.length < Math.min(view.limit, model.counts[lane]));
}

export function showNotLoaded() {
  for (const { empty } of view.lanes) if (!empty.hidden) empty.textContent = "Not loaded yet.";
}

function goToUrgent(event) {
  event.preventDefault();
  const heading = $("#lane-attention");
  heading.scrollIntoView({ block: "center", inline: "end", behavior: stillness.matches ? "auto" : "smooth" });
  heading.focus({ preventScroll: true });
}

function drawCounts() {
  changes.counts = false;
  view.lanes.forEach((lane, index) => {
    const text = approximate(Math.max(0, model.counts[index]), model.estimates[index]);
    if (lane.shownCount === text) return;
    lane.count.textContent = lane.shownCount = text;
    if (lane.drawnAt) describeRest(lane, index);
  });
  showUrgent(Math.max(0, model.counts[ATTENTION]));
}

// The last lane may be out of sight, so a link above all lanes leads to it.
function showUrgent(count) {
  const urgent = $("#urgent");
  urgent.hidden = !count;
  urgent.textContent = `${whole.format(count)} ${count === 1 ? "needs" : "need"} attention`;
}

function drawLane(index) {
  const lane = view.lanes[index];
  lane.drawnAt = performance.now();
  const isHeld = view.isRush && lane.list.matches(":hover, :focus-within");
  const wanted = isHeld ? lane.shown : model.lanes[index].slice(0, view.limit);
  if (view.isRush) wanted.forEach((id, at) => overwriteCard(id, at, lane));
  else {
    const keep = new Set(wanted);
    for (const id of lane.shown) if (!keep.has(id)) removeCard(id, index);
    wanted.forEach((id, at) => showCard(id, at, lane));
  }
  for (const element of [...lane.list.children].slice(wanted.length)) if (!isAboutToMove(element, index)) discard(element);
  lane.shown = [...wanted];
  lane.isHeld = isHeld;
  describeRest(lane, index);
}

// Remove a card, unless it is about to move to another lane, which then takes the element along.
function removeCard(id, index) {
  const element = view.elements.get(id);
  if (element?.parentNode === view.lanes[index].list && !isAboutToMove(element, index)) discard(element);
}

function isAboutToMove(element, index) {
  const card = model.cards.get(element.order);
  if (view.isRush || !card || card.lane === index) return false;
  return model.lanes[card.lane].slice(0, view.limit).includes(element.order);
}

function discard(element) {
  element.remove();
  if (view.elements.get(element.order) === element) view.elements.delete(element.order);
  if (view.spare.length < MOST_SPARE) view.spare.push(element);
}

// In a rush the elements stay where they are, and show other orders.
function overwriteCard(id, at, lane) {
  const element = lane.list.children[at] ?? lane.list.appendChild(view.spare.pop() ?? newCard());
  const card = model.cards.get(id);
  if (!card) return;
  if (element.order !== id) assign(element, id);
  element.isFresh = false;
  paint(element, card);
}

function assign(element, id) {
  if (view.elements.get(element.order) === element) view.elements.delete(element.order);
  element.order = id;
  view.elements.set(id, element);
}

function showCard(id, at, lane) {
  const card = model.cards.get(id);
  let element = view.elements.get(id);
  if (!card) return;
  if (!element) {
    element = view.spare.pop() ?? newCard();
    assign(element, id);
    element.isFresh = true;
  }
  if (lane.list.children[at] !== element) place(element, lane, at);
  paint(element, card);
}

function place(element, lane, at) {
  const from = !view.isRush && !stillness.matches && element.isConnected ? element.getBoundingClientRect() : null;
  const hadFocus = element.contains(document.activeElement);
  const changesLane = element.parentNode !== lane.list;
  lane.list.insertBefore(element, lane.list.children[at] ?? null);
  if (hadFocus) element.firstElementChild.focus({ preventScroll: true });
  if (from && changesLane) fly(element, from);
  else if (element.isFresh && !view.isRush && !stillness.matches) {
    element.animate([{ opacity: 0, transform: "translateY(-6px)" }, { opacity: 1, transform: "none" }], { duration: 180, easing: "ease-out" });
  }
  element.isFresh = false;
}

// Shows where a card went.
function fly(element, from) {
  const to = element.getBoundingClientRect();
  const way = `translate(${from.left - to.left}px, ${from.top - to.top}px)`;
  element.animate([{ transform: way, zIndex: 2 }, { transform: "none", zIndex: 2 }], { duration: 320, easing: "cubic-bezier(.2,.7,.2,1)" });
}

function describeRest(lane, index) {
  const count = model.counts[index];
  const rest = count - lane.shown.length;
  if (lane.isEmpty !== (count <= 0)) {
    lane.isEmpty = count <= 0;
    lane.empty.hidden = !lane.isEmpty;
    lane.empty.textContent = lane.empty.dataset.words;
  }
  const text = lane.isHeld ? "Paused while hovering" : rest > 0 ? `and ${approximate(rest, model.estimates[index])} more` : "";
  if (lane.shownRest !== text) {
    lane.more.textContent = lane.shownRest = text;
    lane.more.hidden = !text;
  }
}

