// The live board at /.
//
// Events change the model at once; the page follows once a frame, as far as the frame has time. So a flood drops
// intermediate states of a card, and never a count.

import { beginCharts } from "./charts.js";
import { beginConnection, connection, showConnection } from "./connection.js";
import { beginDemo } from "./demo.js";
import { announce, page } from "./dom.js";
import { whole } from "./format.js";
import { errorText, request } from "./http.js";
import { beginLanes, drawChanges, hasGaps, showNotLoaded, view } from "./lanes.js";
import { apply, changes, complete, LANES, load, model, serverNow, tally } from "./model.js";
import { panel } from "./panel.js";
import { beginSearch } from "./search.js";
import { LiveSocket, LONGEST_PAUSE } from "./socket.js";
import { beginStatus } from "./status.js";

// --- Events in, frames out ------------------------------------------------------------------------------------

const FRAME_BUDGET = 7; // milliseconds of a frame that we use at most
const RUSH = 60; // events per second from which on it is a rush
const MOST_QUEUED = 200;
const queue = []; // frames of the socket that are not applied yet
let nextFrame = 0;
let lagMeasuredAt = 0;

function receive(text) {
  queue.push(text);
  // A hidden page gets no animation frames; and the queue is bounded.
  if (document.hidden || queue.length > MOST_QUEUED) drain(Infinity);
  draw();
}

function drain(until) {
  let last;
  const before = tally.events;
  while (queue.length && performance.now() < until) {
    for (const message of JSON.parse(queue.shift())) {
      if (message.position) model.position = message.position;
      if (message.orderId && apply(message) && panel.id === message.orderId) panel.refreshSoon();
      last = message.timestamp ?? last;
    }
  }
  if (last) measureLag((serverNow() - Date.parse(last)) / 1000);
  if (model.isUnsure) restartSoon();
  if (tally.events - before > RUSH) view.isRush = true;
}

function measureLag(lag) {
  lagMeasuredAt = performance.now();
  if (Math.abs(lag - connection.lag) > 0.5) showConnection({ lag });
}

function draw() {
  nextFrame ||= requestAnimationFrame(() => {
    nextFrame = 0;
    const until = performance.now() + FRAME_BUDGET;
    drain(until - 2);
    if (drawChanges(until) || queue.length) draw();
  });
}

const narrow = matchMedia("(max-width: 760px)");

function redrawAll() {
  view.limit = narrow.matches ? 3 : 8;
  LANES.forEach((_, lane) => changes.lanes.add(lane));
  changes.counts = true;
  draw();
}

// --- What events do not carry -----------------------------------------------------------------------------------

let isFetching = false;

async function completeCards() {
  const shown = view.lanes.flatMap((lane) => lane.shown).filter((id) => model.cards.has(id));
  const ids = [...new Set(shown)].filter((id) => !model.cards.get(id).isComplete || !model.cards.get(id).currency).slice(0, 100);
  if (isFetching || !ids.length || document.hidden) return;
  isFetching = true;
  for (const id of ids) model.cards.get(id).isComplete = true;
  try {
    const { cards } = await request(`/api/board/cards?ids=${ids.join(",")}`);
    cards.forEach(complete);
    draw();
  } catch {
    for (const id of ids) if (model.cards.has(id)) model.cards.get(id).isComplete = false;
  } finally {
    isFetching = false;
  }
}

// --- Start, and start over --------------------------------------------------------------------------------------

let startTimer;

async function start(failures = 0) {
  clearTimeout(startTimer);
  startTimer = 0;
  try {
    const snapshot = await request("/api/board");
    queue.length = 0;
    load(snapshot);
    redrawAll();
    connection.socket.open();
  } catch (error) {
    const pause = Math.min(LONGEST_PAUSE, 1000 * 2 ** failures);
    const state = error.status === 401 || error.status === 403 ? "login" : "failed";
    showConnection({ state, words: `The board cannot be loaded. ${errorText(error)} Retrying in ${Math.round(pause / 1000)} s.` });
    showNotLoaded();
    if (state === "failed") startTimer = setTimeout(() => start(failures + 1), pause);
  }
}

// The counts or the cards may be wrong: load the board again, and resume from there.
function restartSoon() {
  model.isUnsure = false;
  startTimer ||= setTimeout(() => {
    connection.socket.drop();
    start();
  }, 1500);
}

// --- Every second, and now and then ---------------------------------------------------------------------------

let eventsBefore = 0;
let restartedAt = 0;

function everySecond() {
  const isRush = tally.events - eventsBefore > RUSH;
  eventsBefore = tally.events;
  if (view.isRush && !isRush) redrawAll();
  view.isRush = isRush;
  document.body.classList.toggle("is-rush", isRush);
  if (!isRush && connection.state === "live" && hasGaps() && performance.now() - restartedAt > 5000) {
    restartedAt = performance.now();
    restartSoon();
  }
  // Silence is not lag.
  if (!queue.length && performance.now() - lagMeasuredAt > 2000) connection.lag = 0;
  showConnection({});
}

const announced = { placed: 0, confirmed: 0, ended: 0, attention: 0 };

// Screen readers get a summary instead of every event.
function announceSummary() {
  const news = [];
  const words = { placed: "placed", confirmed: "confirmed", ended: "cancelled or rejected", attention: "needing attention" };
  for (const [name, what] of Object.entries(words)) {
    const count = tally[name] - announced[name];
    announced[name] = tally[name];
    if (count) news.push(`${whole.format(count)} ${what}`);
  }
  if (news.length) announce(`Orders: ${news.join(", ")}.`);
}

beginConnection();
beginLanes(redrawAll);
connection.socket = new LiveSocket({
  address: () => {
    drain(Infinity); // what is queued here would be sent again
    return `/ws/orders?batch=1&after=${encodeURIComponent(model.position)}`;
  },
  onMessage: receive,
  onState: showConnection,
  onBadPosition: start,
});
narrow.addEventListener("change", redrawAll);
document.addEventListener("visibilitychange", redrawAll);
setInterval(everySecond, 1000);
setInterval(completeCards, 350);
setInterval(announceSummary, 15_000);
setInterval(redrawAll, 30_000); // ages
beginSearch();
panel.begin();
if (page.demo) beginDemo();
if (page.seesShop) {
  beginStatus(serverNow);
  beginCharts();
}
start();
