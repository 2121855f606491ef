// What the board knows of orders: counts and cards per lane, kept up to date event by event.

import { legAfter, legsAt, pending, pick } from "./legs.js";

export const LANES = ["pending", "processing", "confirmed", "completed", "undoing", "ended", "attention"];
const STATUSES = ["Pending", "Processing", "Confirmed", "Completed", "Cancelling", "Cancelled", "Rejected"];
const LANE_OF_STATUS = [0, 1, 2, 3, 4, 5, 5];
export const ATTENTION = 6;
const IN_PROGRESS = [true, true, false, false, true, false, false];
// The status that an unseen order must have had before such an event; after others it stays unknown.
const STATUS_BEFORE = { processing_started: 0, order_confirmed: 1, order_completed: 2 };
// Events that do not carry all that a card shows, such as the final amount: fetch it afterwards.
const FETCH_AFTER = new Set(["order_confirmed", "order_rejected", "order_cancelled", "order_waiting", "attention_needed", "order_retried", "payment_arrived_late"]);
export const HELD = "manual release"; // as the server writes it
export const STOPPED = "manual action";
const RESERVE = 120; // cards a lane keeps, shown or not
const KNOWN_ORDERS = 200_000; // orders whose status is kept, for the counts

export const model = {
  cards: new Map(), // by order id: those of the lanes
  standings: new Map(), // by order id: status and attention as one number, of every order seen
  counted: new Map(), // by order id: the sequence up to which the counts include it
  counts: new Array(LANES.length).fill(0),
  estimates: new Array(LANES.length).fill(false),
  lanes: LANES.map(() => []), // order ids, the latest change first
  position: "",
  clockOffset: 0, // the server's clock less ours, in milliseconds
  isUnsure: false, // an order changed lanes, and we do not know where it came from
};
export const tally = { placed: 0, confirmed: 0, ended: 0, attention: 0, events: 0 };
export const changes = { lanes: new Set(), counts: true }; // to draw

const laneOf = (standing) => (standing & 1 && IN_PROGRESS[standing >> 1] ? ATTENTION : LANE_OF_STATUS[standing >> 1]);
const standingOf = (status, attention) => STATUSES.indexOf(status) * 2 + (attention ? 1 : 0);

export const serverNow = () => Date.now() + model.clockOffset;

export function load(snapshot) {
  model.cards.clear();
  model.standings.clear();
  model.counted = new Map(Object.entries(snapshot.counted).map(([id, sequence]) => [Number(id), sequence]));
  model.position = snapshot.position;
  model.clockOffset = Date.parse(snapshot.at) - Date.now();
  model.isUnsure = false;
  LANES.forEach((name, lane) => {
    const content = snapshot.lanes[name];
    model.counts[lane] = content.count;
    model.estimates[lane] = content.isEstimate;
    model.lanes[lane] = content.cards.map((card) => card.id);
    for (const card of content.cards) {
      model.cards.set(card.id, { ...card, lane, placed: Date.parse(card.placedAt), isComplete: true });
      model.standings.set(card.id, standingOf(card.status, card.attention));
    }
    changes.lanes.add(lane);
  });
  changes.counts = true;
}

// Apply an event. Returns whether it was new.
export function apply(message) {
  const { orderId: id, sequence, event } = message;
  const card = model.cards.get(id);
  if (card ? sequence <= card.version : sequence <= (model.counted.get(id) ?? 0)) return false;
  tally.events += 1;
  const before = model.standings.get(id) ?? standingBefore(event);
  const after = standingAfter(before, message);
  if (after !== undefined && after !== before) move(id, before, after, message);
  const known = model.cards.get(id);
  if (known) updateCard(known, message);
  return true;
}

function standingBefore(event) {
  return event in STATUS_BEFORE ? STATUS_BEFORE[event] * 2 : undefined;
}

function standingAfter(before, { event, status }) {
  let attention = (before ?? 0) & 1;
  if (event === "attention_needed") attention = 1;
  if (event === "order_retried") attention = 0;
  if (status) return standingOf(status, attention);
  return before === undefined ? undefined : (before & ~1) | attention;
}

function move(id, before, after, message) {
  const to = laneOf(after);
  const isNew = message.event === "order_placed";
  if (before === undefined && !isNew) model.isUnsure = true;
  if (before !== undefined) model.counts[laneOf(before)] -= 1;
  model.counts[to] += 1;
  changes.counts = true;
  keepStanding(id, after);
  countEvent(message.event);
  if (before === undefined || laneOf(before) !== to || !model.cards.has(id)) putOnTop(id, to, message);
}

function keepStanding(id, standing) {
  model.standings.delete(id); // moves it to the end: the longest unchanged go first
  model.standings.set(id, standing);
  if (model.standings.size <= KNOWN_ORDERS) return;
  let excess = KNOWN_ORDERS / 10;
  for (const oldest of model.standings.keys()) {
    if (excess-- <= 0) break;
    model.standings.delete(oldest);
  }
}

function countEvent(event) {
  if (event === "order_placed") tally.placed += 1;
  if (event === "order_confirmed") tally.confirmed += 1;
  if (event === "order_cancelled" || event === "order_rejected") tally.ended += 1;
  if (event === "attention_needed") tally.attention += 1;
}

function putOnTop(id, lane, message) {
  let card = model.cards.get(id);
  if (card) {
    const ids = model.lanes[card.lane];
    const at = ids.indexOf(id);
    if (at >= 0) ids.splice(at, 1);
    changes.lanes.add(card.lane);
  } else {
    card = { id, number: message.orderNumber, version: 0, progress: 0, ...pending(), waitsFor: "" };
    model.cards.set(id, card);
  }
  card.lane = lane;
  const ids = model.lanes[lane];
  ids.unshift(id);
  if (ids.length > RESERVE) model.cards.delete(ids.pop());
  changes.lanes.add(lane);
}

function updateCard(card, message) {
  const { event, sequence, progress, status, reason, reasonCode } = message;
  card.version = sequence;
  if (event === "order_placed") {
    const { customerName: customer, amount, currency, held, timestamp } = message;
    Object.assign(card, { customer, amount, currency, placed: Date.parse(timestamp), isComplete: true, waitsFor: held ? HELD : "" });
  }
  if (status) Object.assign(card, legsAt(status));
  card.progress = progress;
  if (status) card.status = status;
  if (status && status !== "Pending") card.waitsFor = "";
  if (reason) card.reason = reasonCode ? reason.replaceAll("_", " ") : reason;
  const leg = legAfter(event);
  if (leg) card[leg[0]] = leg[1];
  if ((leg || event === "order_released") && card.waitsFor) Object.assign(card, { waitsFor: "", isComplete: false });
  if (FETCH_AFTER.has(event)) card.isComplete = false;
  changes.lanes.add(card.lane);
}

// Take from a fetched card what events do not carry. Events may be ahead of it.
export function complete(fresh) {
  const card = model.cards.get(fresh.id);
  if (!card) return;
  const { customer, amount, currency, uuid, why } = fresh;
  Object.assign(card, { customer, amount, currency, uuid, why, placed: Date.parse(fresh.placedAt) });
  if (fresh.version >= card.version) {
    const { waitsFor, progress } = fresh;
    Object.assign(card, { ...pick(fresh), waitsFor, progress });
  }
  changes.lanes.add(card.lane);
}
