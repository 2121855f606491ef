// The live board at / and the customer's page at /track/<uuid>. One module, no build step, nothing inline.
//
// What comes over the socket changes a small model at once; what is shown follows once a frame, as far as the
// frame has room. So a flood drops intermediate looks of a card, and never a count.

const $ = (selector, root = document) => root.querySelector(selector);
const page = document.body.dataset;

// --- Words -------------------------------------------------------------------------------------------------

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const moneyFormats = new Map();

function money(amount, currency) {
  if (!moneyFormats.has(currency)) {
    moneyFormats.set(currency, new Intl.NumberFormat("en", { style: "currency", currency, currencyDisplay: "narrowSymbol" }));
  }
  return moneyFormats.get(currency).format(amount);
}

function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  return value < 120 ? `${value.toFixed(1)} s` : `${Math.round(value / 60)} min`;
}

// On an axis there is room for a few letters only.
function briefly(value) {
  if (value < 1) return value ? `${Math.round(value * 1000)} ms` : "0";
  return value < 120 ? `${short.format(value)} s` : `${short.format(value / 60)} min`;
}

function rate(value) {
  return value >= 100 ? whole.format(Math.round(value)) : value.toFixed(1);
}

function counted(count, estimate) {
  return (estimate ? "≈ " : "") + (count < 100_000 ? whole.format(count) : short.format(count));
}

// --- Asking the server -------------------------------------------------------------------------------------

class Refused extends Error {
  constructor(status, error) {
    super(error?.message || `The server answered with ${status}.`);
    this.status = status;
    this.code = error?.code || "";
  }
}

function cookie(name) {
  const found = document.cookie.split("; ").find((each) => each.startsWith(`${name}=`));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
}

async function ask(path, { method = "GET", body, headers = {}, patience = 15_000 } = {}) {
  const options = { method, headers: { Accept: "application/json", ...headers }, signal: AbortSignal.timeout(patience) };
  if (method !== "GET") {
    options.headers["X-CSRFToken"] = cookie("csrftoken");
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body ?? {});
  }
  const answer = await fetch(path, options);
  const text = await answer.text();
  const json = answer.headers.get("Content-Type")?.includes("json") && text ? JSON.parse(text) : null;
  if (!answer.ok) throw new Refused(answer.status, json?.error);
  return json ?? text;
}

async function askForPiece(path) {
  const answer = await fetch(path, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(15_000) });
  if (answer.redirected) throw new Refused(401, { message: "Log in again." });
  if (!answer.ok && answer.status !== 404) throw new Refused(answer.status);
  return answer.text();
}

function inWords(error) {
  if (error instanceof Refused) return error.message;
  return error.name === "TimeoutError" ? "The server did not answer in time." : "The server cannot be reached.";
}

// --- A socket that comes back by itself ----------------------------------------------------------------------

const SILENCE = 12_000; // after so long without a word we ask whether the server is there …
const PATIENCE = 8_000; // … and wait so long for its answer
const LONGEST_PAUSE = 15_000;
const GO_ON = 4413; // the server has more of what was missed: come back at once
const LOG_IN = 4401;
const NOT_THERE = 4404;
const NONSENSE = 4400;

class LiveSocket {
  // `address` says where to go on from each time; `told` gets the raw frames; `changed` the state of the link.
  constructor({ address, told, changed, beginAnew }) {
    Object.assign(this, { address, told, changed, beginAnew });
    this.failures = 0;
    this.heardAt = 0;
    setInterval(() => this.listen(), 2000);
    addEventListener("online", () => this.hurry());
    document.addEventListener("visibilitychange", () => document.hidden || this.hurry());
  }

  open() {
    clearTimeout(this.timer);
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}${this.address()}`);
    this.socket = socket;
    this.heardAt = performance.now();
    socket.onopen = () => {
      this.heardAt = performance.now();
      this.lostAt = null;
      this.changed({ state: "live" });
    };
    socket.onmessage = (event) => {
      this.heardAt = performance.now();
      this.failures = 0;
      this.askedAt = null;
      if (event.data !== '[{"type":"Pong"}]' && event.data !== '{"type":"Pong"}') this.told(event.data);
    };
    socket.onclose = (event) => socket === this.socket && this.lost(event.code);
  }

  lost(code) {
    this.socket = null;
    this.lostAt ??= Date.now();
    if (code === LOG_IN || code === NOT_THERE) {
      this.changed({ state: code === LOG_IN ? "login" : "gone" });
      return;
    }
    this.failures += 1;
    const pause = code === GO_ON ? 0 : Math.min(LONGEST_PAUSE, 400 * 2 ** this.failures) * (0.5 + Math.random() / 2);
    this.changed({ state: "lost", since: this.lostAt, again: Date.now() + pause });
    this.timer = setTimeout(() => (code === NONSENSE ? this.beginAnew() : this.open()), pause);
  }

  // Try now instead of later.
  hurry() {
    if (this.lostAt && !this.socket) this.open();
  }

  // A connection may be dead and look alive: a browser is told nothing when a cable is pulled.
  listen() {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    const silence = performance.now() - this.heardAt;
    if (this.askedAt && performance.now() - this.askedAt > PATIENCE) {
      const dead = this.socket;
      this.askedAt = null;
      this.socket = null;
      dead.onclose = null;
      dead.close();
      this.lost(0);
    } else if (!this.askedAt && silence > SILENCE) {
      this.askedAt = performance.now();
      this.socket.send('{"type":"Ping"}');
    }
  }
}

// --- How the link is, in words --------------------------------------------------------------------------------

const link = { state: "loading", socket: null, lag: 0 };

function showLink(change) {
  Object.assign(link, change);
  const element = $("#connection");
  const words = { loading: "Loading", live: "Live", lost: "Reconnecting", failed: "Not loaded", login: "Logged out", gone: "Gone" };
  const behind = link.state === "live" && link.lag > 3;
  element.dataset.state = behind ? "behind" : link.state;
  $("[data-text]", element).textContent = behind ? "Behind" : words[link.state];
  showBanner(behind);
}

// What changes every second stands beside the words that are read out, so that they are read out once.
function showBanner(behind) {
  const [banner, words, detail, remedy] = ["#banner", "#banner-words", "#banner-detail", "#banner-remedy"].map((id) => $(id));
  const lostFor = link.state === "lost" ? Date.now() - link.since : 0;
  let [text, more, label] = ["", "", ""];
  if (link.state === "failed") text = link.words;
  if (link.state === "login") [text, label] = ["You are logged out. What is shown here does not change any more.", "Load again"];
  if (link.state === "gone") [text, label] = ["There is no such order any more, or it is not yours to see.", "Load again"];
  if (lostFor > 1200) {
    const wait = Math.max(0, Math.ceil((link.again - Date.now()) / 1000));
    text = `The connection is lost. What you see is from ${clock.format(link.since)}; nothing of it will be missed.`;
    [more, label] = [wait ? `Trying again in ${wait} s.` : "Trying again now.", "Try now"];
  }
  if (behind) [text, more] = ["Catching up with what happened.", `What you see is ${Math.round(link.lag)} s old.`];
  document.body.classList.toggle("is-stale", Boolean(text) && !behind);
  banner.hidden = !text;
  remedy.hidden = !label;
  for (const [element, now] of [[words, text], [detail, more], [remedy, label]]) if (element.textContent !== now) element.textContent = now;
}

function remedyLink() {
  if (link.state === "lost") link.socket?.hurry();
  else location.reload();
}

function button(text, pressed) {
  const element = document.createElement("button");
  element.type = "button";
  element.textContent = text;
  element.addEventListener("click", pressed);
  return element;
}

// --- The model of the board -----------------------------------------------------------------------------------

const LANES = ["pending", "processing", "confirmed", "completed", "undoing", "ended", "attention"];
const STATUSES = ["Pending", "Processing", "Confirmed", "Completed", "Cancelling", "Cancelled", "Rejected"];
const LANE_OF_STATUS = [0, 1, 2, 3, 4, 5, 5];
const ATTENTION = 6;
const UNDER_WAY = [true, true, false, false, true, false, false];
// What an order that we have not seen before must have been before such an event; others leave it open.
const STATUS_BEFORE = { processing_started: 0, order_confirmed: 1, order_completed: 2 };
const LEG_AFTER = {
  stock_reserved: ["stock", "reserved"],
  stock_refused: ["stock", "refused"],
  stock_released: ["stock", "released"],
  order_completed: ["stock", "sold"],
  shipping_quoted: ["shipping", "quoted"],
  shipping_refused: ["shipping", "refused"],
  payment_authorized: ["payment", "authorized"],
  payment_arrived_late: ["payment", "authorized"],
  payment_declined: ["payment", "refused"],
  payment_captured: ["payment", "captured"],
  capture_declined: ["payment", "refused"],
  money_returned: ["payment", "refunded"],
};
// Events after which a card has to ask what it does not hear: the final amount, what it waits for.
const ASK_AFTER = new Set(["order_confirmed", "order_rejected", "order_cancelled", "order_waiting", "attention_needed", "order_retried"]);
const RESERVE = 120; // cards that a lane keeps in reserve behind those that it shows
const REMEMBERED = 200_000; // orders whose standing is remembered, for the counts

const model = {
  cards: new Map(), // by order id: those of the lanes
  standing: new Map(), // by order id: status and attention as one number, of every order seen
  counted: new Map(), // by order id: the sequence up to which the counts know it
  counts: new Array(LANES.length).fill(0),
  estimates: new Array(LANES.length).fill(false),
  lanes: LANES.map(() => []), // order ids, the latest change first
  position: "",
  clockOffset: 0, // the server's clock less ours, in milliseconds
  isUnsure: false, // an order moved of which we do not know from where
};
const tally = { placed: 0, confirmed: 0, ended: 0, attention: 0, events: 0 };

const laneOf = (standing) => (standing & 1 && UNDER_WAY[standing >> 1] ? ATTENTION : LANE_OF_STATUS[standing >> 1]);
const standingOf = (status, attention) => STATUSES.indexOf(status) * 2 + (attention ? 1 : 0);

function fill(snapshot) {
  model.cards.clear();
  model.standing.clear();
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
      model.cards.set(card.id, { ...card, lane, isAsked: true });
      model.standing.set(card.id, standingOf(card.status, card.attention));
    }
    view.dirty.add(lane);
  });
  view.countsChanged = true;
}

function happen(message) {
  const { orderId: id, sequence, event } = message;
  const card = model.cards.get(id);
  if (card ? sequence <= card.version : sequence <= (model.counted.get(id) ?? 0)) return;
  tally.events += 1;
  const before = model.standing.get(id) ?? guess(event);
  const after = standingAfter(before, message);
  if (after !== undefined && after !== before) move(id, before, after, message);
  const known = model.cards.get(id);
  if (known) note(known, message);
  if (panel.id === id) panel.refreshSoon();
}

function guess(event) {
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
  view.countsChanged = true;
  remember(id, after);
  count(message.event);
  if (before === undefined || laneOf(before) !== to || !model.cards.has(id)) hang(id, to, message);
}

function remember(id, standing) {
  model.standing.delete(id); // so that what changed last is forgotten last
  model.standing.set(id, standing);
  if (model.standing.size <= REMEMBERED) return;
  let excess = REMEMBERED / 10;
  for (const oldest of model.standing.keys()) {
    if (excess-- <= 0) break;
    model.standing.delete(oldest);
  }
}

function count(event) {
  if (event === "order_placed") tally.placed += 1;
  if (event === "order_confirmed") tally.confirmed += 1;
  if (event === "order_cancelled" || event === "order_rejected") tally.ended += 1;
  if (event === "attention_needed") tally.attention += 1;
}

// Put the order's card on top of a lane.
function hang(id, lane, message) {
  let card = model.cards.get(id);
  if (card) {
    const ids = model.lanes[card.lane];
    const at = ids.indexOf(id);
    if (at >= 0) ids.splice(at, 1);
    view.dirty.add(card.lane);
  } else {
    card = { id, number: message.orderNumber, version: 0, progress: 0, stock: "", shipping: "", payment: "", waitsFor: "" };
    model.cards.set(id, card);
  }
  card.lane = lane;
  const ids = model.lanes[lane];
  ids.unshift(id);
  if (ids.length > RESERVE) model.cards.delete(ids.pop());
  view.dirty.add(lane);
}

function note(card, message) {
  const { event, sequence, progress, status, reason } = message;
  card.version = sequence;
  if (event === "order_placed") {
    const { customerName: customer, amount, currency, held } = message;
    Object.assign(card, { customer, amount, currency, isAsked: true, waitsFor: held ? "somebody to start it" : "" });
  }
  if (status === "Confirmed") Object.assign(card, { stock: "reserved", shipping: "quoted", payment: "captured" });
  card.progress = progress;
  if (status) card.status = status;
  if (status && status !== "Pending") card.waitsFor = "";
  if (reason) card.reason = reason.replaceAll("_", " ");
  const leg = LEG_AFTER[event];
  if (leg) card[leg[0]] = leg[1];
  if (event.startsWith("payment_") || event === "order_released") card.waitsFor = "";
  if (ASK_AFTER.has(event)) card.isAsked = false;
  view.dirty.add(card.lane);
}

// --- What comes in, and when it is looked at --------------------------------------------------------------------

const MOST_FRAMES_WAITING = 200;
const inbox = [];

function receive(text) {
  inbox.push(text);
  // A hidden page has no frames to wait for; and what waits is bounded.
  if (document.hidden || inbox.length > MOST_FRAMES_WAITING) drain(Infinity);
  draw();
}

function drain(until) {
  let last;
  const before = tally.events;
  while (inbox.length && performance.now() < until) {
    for (const message of JSON.parse(inbox.shift())) {
      if (message.position) model.position = message.position;
      if (message.orderId) happen(message);
      last = message.timestamp ?? last;
    }
  }
  if (last) noteLag((Date.now() + model.clockOffset - Date.parse(last)) / 1000);
  if (model.isUnsure) startAnewSoon();
  if (tally.events - before > RUSH) view.isRush = true;
}

let lagNotedAt = 0;
function noteLag(lag) {
  lagNotedAt = performance.now();
  if (Math.abs(lag - link.lag) > 0.5) showLink({ lag });
}

// --- The view of the board ----------------------------------------------------------------------------------------

const FRAME_BUDGET = 7; // milliseconds of a frame that we take at most
const LANE_PAUSE = 200; // in a rush a lane is drawn again after so many milliseconds; nobody reads faster
const RUSH = 60; // events per second from which on it is a rush
const LEG_STATES = {
  "": ["open", "open"], reserved: ["done", "reserved"], sold: ["done", "handed over"], quoted: ["done", "price settled"],
  authorized: ["held", "held on the card"], captured: ["done", "paid"], refused: ["refused", "refused"],
  released: ["returned", "given back"], voided: ["returned", "let go"], refunded: ["returned", "given back"],
  nothing: ["returned", "nothing to give back"],
};

const view = {
  dirty: new Set(), // lanes to draw
  countsChanged: true,
  frame: 0,
  lanes: [],
  elements: new Map(), // by order id: the list items that are shown
  spare: [],
  isRush: false,
  limit: 8,
};
const stillness = matchMedia("(prefers-reduced-motion: reduce)");
const narrow = matchMedia("(max-width: 760px)");

function draw() {
  view.frame ||= requestAnimationFrame(frame);
}

function frame() {
  view.frame = 0;
  const until = performance.now() + FRAME_BUDGET;
  drain(until - 2);
  if (view.countsChanged) drawCounts();
  for (const lane of [...view.dirty]) {
    if (performance.now() > until) break;
    if (view.isRush && performance.now() - view.lanes[lane].drawnAt < LANE_PAUSE) continue;
    view.dirty.delete(lane);
    drawLane(lane);
    view.dirty.delete(lane);
  }
  if (view.dirty.size || inbox.length) draw();
}

function drawCounts() {
  view.countsChanged = false;
  view.lanes.forEach((lane, index) => {
    const text = counted(Math.max(0, model.counts[index]), model.estimates[index]);
    if (lane.shownCount === text) return;
    lane.count.textContent = lane.shownCount = text;
    if (lane.drawnAt) describeRest(lane, index);
  });
  showUrgent(Math.max(0, model.counts[ATTENTION]));
}

// The last lane may be out of sight: that there is something in it is said above all of them.
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
  if (view.isRush) wanted.forEach((id, at) => writeOver(id, at, lane));
  else {
    const keep = new Set(wanted);
    for (const id of lane.shown) if (!keep.has(id)) takeDown(id, index);
    wanted.forEach((id, at) => hangUp(id, at, lane));
  }
  for (const element of [...lane.list.children].slice(wanted.length)) if (!isAboutToMove(element, index)) discard(element);
  lane.shown = [...wanted];
  lane.isHeld = isHeld;
  describeRest(lane, index);
}

// Take a card away, unless it is about to move to another lane, which then takes it along.
function takeDown(id, index) {
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
  if (view.spare.length < 40) view.spare.push(element);
}

// In a rush the cards stay where they are, and show other orders.
function writeOver(id, at, lane) {
  const element = lane.list.children[at] ?? lane.list.appendChild(view.spare.pop() ?? newElement());
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

function hangUp(id, at, lane) {
  const card = model.cards.get(id);
  let element = view.elements.get(id);
  if (!card) return;
  if (!element) {
    element = view.spare.pop() ?? newElement();
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

// The one motion that says something: where a card went.
function fly(element, from) {
  const to = element.getBoundingClientRect();
  const way = `translate(${from.left - to.left}px, ${from.top - to.top}px)`;
  element.animate([{ transform: way, zIndex: 2 }, { transform: "none", zIndex: 2 }], { duration: 320, easing: "cubic-bezier(.2,.7,.2,1)" });
}

function newElement() {
  const element = $("#card-template").content.firstElementChild.cloneNode(true);
  element.parts = {
    link: $("a", element), number: $(".number", element), amount: $(".amount", element), customer: $(".customer", element),
    bar: $(".bar > span", element), note: $(".note", element),
    legs: ["stock", "shipping", "payment"].map((leg) => [leg, $(`[data-leg=${leg}]`, element), $(`[data-leg=${leg}] .unseen`, element)]),
  };
  element.shown = {};
  return element;
}

// Write what has changed, and nothing else.
function paint(element, card) {
  const { parts, shown } = element;
  set(shown, "id", card.id, () => (parts.link.href = `#order/${card.id}`));
  set(shown, "number", card.number, (value) => {
    parts.number.textContent = `#${card.id}`;
    parts.link.title = value;
  });
  set(shown, "customer", card.customer ?? "…", (value) => (parts.customer.textContent = value));
  set(shown, "amount", card.currency ? money(card.amount, card.currency) : "", (value) => (parts.amount.textContent = value));
  set(shown, "progress", card.progress, (value) => (parts.bar.style.transform = `scaleX(${value / 100})`));
  set(shown, "status", card.status, (value) => (element.dataset.status = value.toLowerCase()));
  set(shown, "note", noteOn(card), (value) => (parts.note.textContent = value));
  for (const [leg, light, words] of parts.legs) {
    set(shown, leg, card[leg], (value) => {
      const [state, meaning] = LEG_STATES[value] ?? ["open", value];
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
  if (card.lane === ATTENTION) return card.why || "Our staff is looking into it";
  if (card.waitsFor) return `Waits for ${card.waitsFor}`;
  if (card.status === "Cancelled" || card.status === "Rejected") return `${card.status}${card.reason ? `: ${card.reason}` : ""}`;
  return card.status === "Cancelling" && card.reason ? card.reason : "";
}

function describeRest(lane, index) {
  const count = model.counts[index];
  const rest = count - lane.shown.length;
  if (lane.isEmpty !== (count <= 0)) {
    lane.isEmpty = count <= 0;
    lane.empty.hidden = !lane.isEmpty;
    lane.empty.textContent = lane.empty.dataset.words;
  }
  const text = lane.isHeld ? "Standing still while you point at it" : rest > 0 ? `and ${counted(rest, model.estimates[index])} more` : "";
  if (lane.shownRest !== text) {
    lane.more.textContent = lane.shownRest = text;
    lane.more.hidden = !text;
  }
}

function redrawAll() {
  view.limit = narrow.matches ? 3 : 8;
  LANES.forEach((_, lane) => view.dirty.add(lane));
  view.countsChanged = true;
  draw();
}

// --- What cards do not hear, they ask ------------------------------------------------------------------------------

let isAsking = false;

async function askForFacts() {
  const ids = view.lanes.flatMap((lane) => lane.shown).filter((id) => model.cards.get(id)?.isAsked === false || !model.cards.get(id)?.currency);
  const wanted = [...new Set(ids)].filter((id) => model.cards.has(id)).slice(0, 100);
  if (isAsking || !wanted.length || document.hidden) return;
  isAsking = true;
  for (const id of wanted) model.cards.get(id).isAsked = true;
  try {
    const { cards } = await ask(`/api/board/cards?ids=${wanted.join(",")}`);
    cards.forEach(learn);
    draw();
  } catch {
    for (const id of wanted) if (model.cards.has(id)) model.cards.get(id).isAsked = false;
  } finally {
    isAsking = false;
  }
}

// Of what was asked only that counts which events do not say: they tell the rest, and may be ahead.
function learn(fresh) {
  const card = model.cards.get(fresh.id);
  if (!card) return;
  Object.assign(card, { customer: fresh.customer, amount: fresh.amount, currency: fresh.currency, uuid: fresh.uuid, why: fresh.why });
  if (fresh.version >= card.version) {
    const { stock, shipping, payment, waitsFor, progress } = fresh;
    Object.assign(card, { stock, shipping, payment, waitsFor, progress });
  }
  view.dirty.add(card.lane);
}

// --- The board's life ------------------------------------------------------------------------------------------------

let startTimer;

async function start(failures = 0) {
  clearTimeout(startTimer);
  startTimer = 0;
  try {
    const snapshot = await ask("/api/board");
    inbox.length = 0;
    fill(snapshot);
    redrawAll();
    link.socket.open();
  } catch (error) {
    const pause = Math.min(LONGEST_PAUSE, 1000 * 2 ** failures);
    const state = error.status === 401 || error.status === 403 ? "login" : "failed";
    showLink({ state, words: `The board cannot be loaded. ${inWords(error)} Trying again in ${Math.round(pause / 1000)} s.` });
    for (const { empty } of view.lanes) if (!empty.hidden) empty.textContent = "Not loaded yet.";
    if (state === "failed") startTimer = setTimeout(() => start(failures + 1), pause);
  }
}

// A lane has more orders than cards: those above them went on, and the others were not kept.
function hasGaps() {
  return model.lanes.some((ids, lane) => ids.length < Math.min(view.limit, model.counts[lane]));
}

// The counts or the cards are not sure: ask for all of it once more, and go on from there.
function startAnewSoon() {
  model.isUnsure = false;
  startTimer ||= setTimeout(() => {
    const old = link.socket.socket;
    link.socket.socket = null;
    old?.close();
    start();
  }, 1500);
}

function beginBoard() {
  for (const name of LANES) {
    const section = $(`[data-lane=${name}]`);
    const [list, empty, more, count] = ["[data-cards]", "[data-empty]", "[data-more]", "[data-count]"].map((part) => $(part, section));
    view.lanes.push({ section, list, empty, more, count, shown: [], drawnAt: 0 });
    list.addEventListener("pointerleave", redrawAll);
  }
  link.socket = new LiveSocket({
    address: () => {
      drain(Infinity); // what waits here has been told, and would be told again
      return `/ws/orders?batch=1&after=${encodeURIComponent(model.position)}`;
    },
    told: receive,
    changed: showLink,
    beginAnew: start,
  });
  narrow.addEventListener("change", redrawAll);
  document.addEventListener("visibilitychange", redrawAll);
  setInterval(everySecond, 1000);
  setInterval(askForFacts, 350);
  setInterval(announce, 15_000);
  $("#urgent").addEventListener("click", goToUrgent);
  beginSearch();
  panel.begin();
  if (page.demo) beginDemo();
  if (page.seesShop) beginWatch();
  start();
}

function goToUrgent(event) {
  event.preventDefault();
  const heading = $("#lane-attention");
  heading.scrollIntoView({ block: "center", inline: "end", behavior: stillness.matches ? "auto" : "smooth" });
  heading.focus({ preventScroll: true });
}

let eventsBefore = 0;
let filledAt = 0;

function everySecond() {
  const isRush = tally.events - eventsBefore > RUSH;
  eventsBefore = tally.events;
  if (view.isRush && !isRush) redrawAll();
  view.isRush = isRush;
  document.body.classList.toggle("is-rush", isRush);
  if (!isRush && link.state === "live" && hasGaps() && performance.now() - filledAt > 5000) {
    filledAt = performance.now();
    startAnewSoon();
  }
  // Silence is not lag: who has been told nothing is behind nothing.
  if (!inbox.length && performance.now() - lagNotedAt > 2000) link.lag = 0;
  showLink({});
}

// --- For those who listen ------------------------------------------------------------------------------------------------

const announced = { placed: 0, confirmed: 0, ended: 0, attention: 0 };

function announce() {
  const news = [];
  const words = { placed: "placed", confirmed: "confirmed", ended: "cancelled or refused", attention: "needing attention" };
  for (const [name, what] of Object.entries(words)) {
    const count = tally[name] - announced[name];
    announced[name] = tally[name];
    if (count) news.push(`${whole.format(count)} ${what}`);
  }
  if (news.length) $("#said").textContent = `Orders: ${news.join(", ")}.`;
}

// --- One order: the panel ---------------------------------------------------------------------------------------------------

// Replace the parts of a page that differ from those of a fresh one, and leave alone where somebody types.
function renew(root, html) {
  const fresh = new DOMParser().parseFromString(html, "text/html").body;
  const parts = [...fresh.querySelectorAll("[data-part]")];
  if (!parts.length || !root.querySelector("[data-part]")) {
    root.replaceChildren(...fresh.childNodes);
    return;
  }
  for (const part of parts) {
    const old = root.querySelector(`[data-part=${part.dataset.part}]`);
    if (!old || old.dataset.html === part.innerHTML) continue;
    if (!old.dataset.html && old.innerHTML === part.innerHTML) continue;
    renewPart(old, part);
  }
}

function renewPart(old, part) {
  const active = old.contains(document.activeElement) ? document.activeElement : null;
  if (active?.tagName === "INPUT" && active.value) return;
  const told = $("[data-told]", old)?.textContent;
  old.replaceChildren(...part.childNodes);
  if (told && $("[data-told]", old)) $("[data-told]", old).textContent = told;
  if (active) ((active.id && document.getElementById(active.id)) || old.closest("dialog, main"))?.focus();
}

function randomKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// A form of a panel was sent: do what it says, once, and say what came of it.
async function act(event, after) {
  const form = event.target.closest("form[data-action]");
  if (!form) return;
  event.preventDefault();
  const submit = $("button[type=submit]", form);
  const told = $("[data-told]", form.closest("[data-part]"));
  const reason = form.elements.reason?.value.trim();
  submit.disabled = true;
  told.textContent = "Asking …";
  form.dataset.key ||= randomKey();
  try {
    const order = await ask(form.dataset.action, { method: "POST", body: reason ? { reason } : {}, headers: { "Idempotency-Key": form.dataset.key } });
    told.textContent = `Done. The order is ${order.status.toLowerCase()}.`;
    if (form.elements.reason) form.elements.reason.value = "";
    after();
  } catch (error) {
    told.textContent = `Not done. ${inWords(error)}`;
  } finally {
    delete form.dataset.key;
    submit.disabled = false;
  }
}

const panel = {
  id: null,

  begin() {
    this.dialog = $("#panel");
    this.body = $("#panel-body");
    $("#panel-close").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    this.dialog.addEventListener("submit", (event) => act(event, () => this.refresh()));
    this.dialog.addEventListener("close", () => {
      this.id = null;
      if (location.hash.startsWith("#order/")) history.replaceState(null, "", location.pathname + location.search);
    });
    addEventListener("hashchange", () => this.follow());
    this.follow();
  },

  follow() {
    const found = location.hash.match(/^#order\/([\w-]+)$/);
    if (found) this.open(found[1]);
    else if (this.dialog.open) this.dialog.close();
  },

  open(reference) {
    this.id = /^\d+$/.test(reference) ? Number(reference) : reference;
    this.body.replaceChildren(loadingNote());
    if (!this.dialog.open) this.dialog.showModal();
    this.refresh();
  },

  refreshSoon() {
    this.timer ||= setTimeout(() => this.refresh(), 150);
  },

  async refresh() {
    clearTimeout(this.timer);
    this.timer = 0;
    const id = this.id;
    if (id === null) return;
    try {
      const html = await askForPiece(`/board/orders/${id}`);
      if (this.id === id) renew(this.body, html);
    } catch (error) {
      if (this.id !== id || this.body.querySelector("[data-part]")) return;
      this.body.replaceChildren(`The order cannot be shown. ${inWords(error)} `, button("Try again", () => this.refresh()));
    }
  },
};

function loadingNote() {
  const note = document.createElement("h2");
  note.id = "panel-title";
  note.className = "muted";
  note.textContent = "Loading the order …";
  return note;
}

// --- Search -------------------------------------------------------------------------------------------------------------------

function beginSearch() {
  const form = $("#search");
  const [field, results] = [$("#q"), $("#found")];
  let timer;
  let asked = 0;

  const show = (isOpen) => {
    results.hidden = !isOpen;
  };
  const look = async () => {
    const text = field.value.trim();
    const number = ++asked;
    if (!text) return show(false);
    let content;
    try {
      const { cards } = await ask(`/api/board/search?q=${encodeURIComponent(text)}`);
      content = cards.length ? [listOf(cards)] : [`Nothing is found for “${text}”.`];
    } catch (error) {
      content = [inWords(error)];
    }
    if (number !== asked) return;
    results.replaceChildren(...content);
    $("#said").textContent = results.children.length ? `${results.querySelectorAll("a").length} found.` : results.textContent;
    show(true);
  };
  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, 200);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(timer);
    look().then(() => $("a", results)?.focus());
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
    const anchor = document.createElement("a");
    anchor.href = `#order/${card.id}`;
    const [number, who, status] = ["number", "who", "badge"].map((name) => Object.assign(document.createElement("span"), { className: name }));
    number.textContent = card.number;
    who.textContent = `${card.customer} · ${money(card.amount, card.currency)}`;
    status.textContent = card.status;
    status.dataset.status = card.status.toLowerCase();
    anchor.append(number, who, status);
    const item = document.createElement("li");
    item.append(anchor);
    list.append(item);
  }
  return list;
}

// --- Only in a demo -------------------------------------------------------------------------------------------------------------

const TROUBLES = {
  none: "It works. New orders are confirmed within a moment.",
  decline: "It declines every card. Place an order: its stock goes back on the shelf, and it ends as rejected.",
  slow: "It takes its time. Orders queue up in Processing and get there all the same.",
  timeout: "It takes the money and does not say so. Orders wait until it has been looked up: nobody pays twice.",
  down: "It hangs up on every call. Orders wait, say what for, and go on by themselves once it works.",
  other: "It follows a script of its own.",
};

function beginDemo() {
  $("#place").addEventListener("submit", placeOrders);
  $("#trouble").addEventListener("click", (event) => {
    const pressed = event.target.closest("[data-trouble]");
    if (pressed) makeTrouble(pressed.dataset.trouble);
  });
  ask("/api/board/trouble").then(({ payments }) => showTrouble(payments), (error) => ($("#trouble-told").textContent = inWords(error)));
}

async function placeOrders(event) {
  event.preventDefault();
  const told = $("#placed");
  const count = Number(event.submitter?.value ?? 1);
  const buttons = event.target.querySelectorAll("button");
  buttons.forEach((each) => (each.disabled = true));
  told.textContent = count > 1 ? "They are coming in …" : "Placing it …";
  try {
    const placed = await ask("/api/board/orders", { method: "POST", body: { count, kind: $("#kind").value }, patience: 60_000 });
    told.textContent = placed.placed === 1 ? "Placed. " : `${whole.format(placed.placed)} placed. `;
    told.append(linkTo(placed.lastId, placed.placed === 1 ? "Look into it" : "Look into the last one"));
  } catch (error) {
    told.textContent = `Not placed. ${inWords(error)}`;
  } finally {
    buttons.forEach((each) => (each.disabled = false));
    event.submitter?.focus();
  }
}

function linkTo(id, text) {
  return Object.assign(document.createElement("a"), { href: `#order/${id}`, textContent: text });
}

async function makeTrouble(name) {
  $("#trouble-told").textContent = "Asking …";
  try {
    const { payments } = await ask("/api/board/trouble", { method: "PUT", body: { payments: name } });
    showTrouble(payments);
  } catch (error) {
    $("#trouble-told").textContent = `Not done. ${inWords(error)}`;
  }
}

function showTrouble(name) {
  for (const each of document.querySelectorAll("[data-trouble]")) each.setAttribute("aria-pressed", String(each.dataset.trouble === name));
  $("#trouble-told").textContent = TROUBLES[name] ?? "";
  $("#trouble").dataset.now = name;
}

// --- How the system is ---------------------------------------------------------------------------------------------------------------

function beginWatch() {
  every(3000, watchLamps);
  every(2000, watchSeries);
}

// Repeat while somebody is there to see it; the next only after the last has come back.
function every(pause, work) {
  const again = async () => {
    if (!document.hidden) await work().catch(() => {});
    setTimeout(again, pause);
  };
  again();
}

async function watchLamps() {
  try {
    showLamps(lampsOf(await ask("/api/system/status")));
  } catch (error) {
    const known = [...document.querySelectorAll("#lamps .lamp")];
    known.forEach((lamp) => (lamp.dataset.state = "unknown"));
    showLamps([{ name: "Status", state: "unknown", words: inWords(error) }, ...known.filter((lamp) => lamp.lamp && lamp.lamp.name !== "Status").map((lamp) => ({ ...lamp.lamp, state: "unknown" }))]);
  }
}

function lampsOf(status) {
  const lamps = [];
  for (const [name, provider] of Object.entries(status.providers ?? {})) lamps.push(providerLamp(name, provider));
  const workers = status.processes?.workers ?? [];
  for (const [queue, { depth }] of Object.entries(status.queues ?? {})) lamps.push(queueLamp(queue, depth, workers));
  const others = status.processes?.others ?? [];
  const dispatcher = others.some((each) => each.name.startsWith("dispatcher") && each.alive);
  if (status.processes) lamps.push({ name: "Dispatcher", state: dispatcher ? "good" : "bad", words: dispatcher ? "" : "none is alive" });
  lamps.push(...scheduleLamp(status.schedule));
  lamps.push(...nodeLamps(status.nodes));
  for (const part of Object.keys(status.notKnown ?? {})) lamps.push({ name: part, state: "unknown", words: "does not answer" });
  return lamps;
}

// Of a cluster: who is there and leads what, how far behind it is, and how many orders it took up in the last minute.
function nodeLamps(nodes) {
  const present = (nodes?.present ?? []).map(({ node, database, stream, relaying, ordersLastMinute }) => {
    const leads = [database?.role === "leader" && "database", stream?.leader === node && "stream", relaying && "relay"].filter(Boolean);
    const lag = Number.isInteger(database?.lagBytes) && database.lagBytes > 0 ? `${whole.format(database.lagBytes / 1024)} kB behind` : "";
    const words = [leads.length ? `leads ${leads.join(", ")}` : "", lag, `${whole.format(ordersLastMinute)} orders/min`].filter(Boolean);
    return { name: node, state: database && !["running", "streaming"].includes(database.state) ? "warn" : "good", words: words.join(" · ") };
  });
  return [...present, ...(nodes?.missing ?? []).map((node) => ({ name: node, state: "bad", words: "missing" }))];
}

function providerLamp(name, { breaker, lastCheck }) {
  const title = { payments: "Payments", inventory: "Warehouse", email: "E-mail" }[name] ?? name;
  if (breaker.state === "open") return { name: title, state: "bad", words: "down, breaker open" };
  if (breaker.state !== "closed") return { name: title, state: "warn", words: "being tried again" };
  if (lastCheck && !lastCheck.ok) return { name: title, state: "warn", words: "failed its last check" };
  return { name: title, state: "good", words: "" };
}

function queueLamp(queue, depth, workers) {
  const alive = workers.filter((worker) => worker.alive && worker.queues?.includes(queue)).length;
  const words = depth ? `${whole.format(depth)} queued` : "";
  return { name: `Worker ${queue}`, state: alive ? (depth > 100 ? "warn" : "good") : "bad", words: alive ? words : "nobody works" };
}

function scheduleLamp(schedule) {
  if (!schedule) return [];
  const age = schedule.lastTick ? (Date.now() + model.clockOffset - Date.parse(schedule.lastTick)) / 1000 : Infinity;
  return [{ name: "Schedule", state: age < 60 ? "good" : "warn", words: age < 60 ? "" : "has not ticked lately" }];
}

const STATE_WORDS = { good: "works", warn: "ailing", bad: "not working", unknown: "not known" };

function showLamps(lamps) {
  const list = $("#lamps");
  lamps.forEach((lamp, at) => {
    const item = list.children[at] ?? list.appendChild(document.createElement("li"));
    const text = JSON.stringify(lamp);
    item.lamp = lamp;
    if (item.text === text && item.dataset.state === lamp.state) return;
    item.text = text;
    item.className = "lamp";
    item.dataset.state = lamp.state;
    const [dot, name, words] = ["dot", "name", lamp.words ? "words" : "unseen"].map((each) => Object.assign(document.createElement("span"), { className: each }));
    dot.setAttribute("aria-hidden", "true");
    name.textContent = lamp.name;
    words.textContent = lamp.words || STATE_WORDS[lamp.state];
    item.replaceChildren(dot, name, " ", words);
  });
  while (list.children.length > lamps.length) list.lastElementChild.remove();
}

// --- Charts -----------------------------------------------------------------------------------------------------------------------------

const charts = [];
let series;

async function watchSeries() {
  const answer = await ask("/api/board/series").catch(() => null);
  $(".charts").classList.toggle("is-stale", !answer);
  if (!answer) return;
  series = answer;
  const now = series.now;
  const figures = {
    "rate-placed": rate(now.placedPerSecond), "rate-confirmed": rate(now.confirmedPerSecond),
    "time-p50": seconds(now.p50Seconds), "time-p95": seconds(now.p95Seconds),
    "backlog-way": whole.format(now.underWay), "backlog-due": whole.format(now.due),
  };
  for (const [id, text] of Object.entries(figures)) if ($(`#${id}`).textContent !== text) $(`#${id}`).textContent = text;
  drawCharts();
}

function drawCharts() {
  if (typeof uPlot === "undefined" || !series) return;
  if (!charts.length) {
    charts.push(
      chart("#chart-rate", [["Placed", "--blue"], ["Confirmed", "--green"]], (value) => short.format(value), 1, () => [series.placed, series.confirmed]),
      chart("#chart-time", [["p50", "--blue"], ["p95", "--amber"]], briefly, 1, () => [series.p50, series.p95], true),
      chart("#chart-backlog", [["Under way", "--blue"], ["Due now", "--red"]], (value) => short.format(value), 5, () => [series.underWay, series.due]),
    );
  }
  for (const each of charts) each.plot.setData([series.times, ...each.data()]);
}

function chart(selector, lines, words, least, data, isSparse = false) {
  const root = $(selector);
  const colour = (name) => {
    root.style.color = `var(${name})`; // so that light or dark is decided
    return getComputedStyle(root).color;
  };
  const axis = { stroke: colour("--muted"), font: "11px system-ui, sans-serif", ticks: { show: false } };
  const plot = new uPlot(
    {
      width: root.clientWidth || 300,
      height: 112,
      padding: [8, 18, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: { y: { range: (_, low, high) => [0, Math.max(high ?? 0, least) * 1.12] } },
      axes: [
        { ...axis, grid: { show: false }, size: 22, space: 38, values: (_, times) => times.map((time) => clock.format(time * 1000).slice(0, 5)) },
        { ...axis, grid: { stroke: colour("--line"), width: 1 }, size: 50, space: 34, values: (_, values) => values.map(words) },
      ],
      series: [{}, ...lines.map(([label, name], at) => ({
        label, stroke: colour(name), width: 1.75, points: { show: isSparse, size: 4, fill: colour(name) },
        fill: at ? undefined : colour(name).replace("rgb(", "rgba(").replace(")", ", 0.13)"),
      }))],
    },
    [series.times, ...data()],
    root,
  );
  new ResizeObserver(() => root.clientWidth && plot.setSize({ width: root.clientWidth, height: 112 })).observe(root);
  return { plot, data };
}

function redrawCharts() {
  for (const each of charts.splice(0)) each.plot.destroy();
  drawCharts();
}

// --- Light and dark ---------------------------------------------------------------------------------------------------------------------

const prefersDark = matchMedia("(prefers-color-scheme: dark)");

function beginTheme() {
  $("#theme").addEventListener("click", () => {
    const root = document.documentElement;
    const isDark = root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches;
    root.dataset.theme = isDark ? "light" : "dark";
    // A cookie, so that the server writes it into the next page and nothing flashes.
    document.cookie = `theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=lax`;
    redrawCharts();
  });
  prefersDark.addEventListener("change", redrawCharts);
}

// --- The customer's page -----------------------------------------------------------------------------------------------------------------

function beginTrack() {
  const root = $("#track");
  let sequence = Number(page.sequence);
  let timer = 0;
  const refresh = async () => {
    timer = 0;
    try {
      renew(root, await askForPiece(`${location.pathname}?body`));
      localise(root);
      const [number, status] = [$(".number", root).textContent, $(".badge", root).textContent];
      document.title = `${number} · ${status}`;
    } catch {
      timer ||= setTimeout(refresh, 2000);
    }
  };
  link.socket = new LiveSocket({
    address: () => `/ws/orders/${page.order}?batch=1&after=${sequence}`,
    told: (text) => {
      const messages = JSON.parse(text).filter((message) => message.sequence);
      if (!messages.length) return;
      sequence = Math.max(sequence, ...messages.map((message) => message.sequence));
      $("#said").textContent = messages.at(-1).message ?? "";
      timer ||= setTimeout(refresh, 120);
    },
    changed: showLink,
    beginAnew: () => location.reload(),
  });
  root.addEventListener("submit", (event) => act(event, refresh));
  setInterval(() => showLink({}), 1000);
  localise(root);
  link.socket.open();
}

// A customer's times are those of their own clock.
function localise(root) {
  const formats = { clock, day: new Intl.DateTimeFormat(undefined, { dateStyle: "long", timeStyle: "short" }) };
  for (const time of root.querySelectorAll("time[data-local]")) {
    time.title = `${time.dateTime.slice(0, 19).replace("T", " ")} UTC`;
    time.textContent = formats[time.dataset.local].format(Date.parse(time.dateTime));
  }
}

// ---------------------------------------------------------------------------------------------------------------------------------------------

document.querySelectorAll("[data-needs-script]").forEach((element) => (element.hidden = false));
beginTheme();
if ($("#connection")) {
  showLink({ state: "loading" });
  $("#banner-remedy").addEventListener("click", remedyLink);
}
if (page.page === "board") beginBoard();
if (page.page === "track") beginTrack();
