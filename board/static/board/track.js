// The customer's page at /track/<uuid>.

import { submitAction } from "./actions.js";
import { beginConnection, connection, showConnection } from "./connection.js";
import { $, announce, page } from "./dom.js";
import { clock, localDay } from "./format.js";
import { update } from "./fragments.js";
import { fetchFragment } from "./http.js";
import { LiveSocket } from "./socket.js";

const root = $("#track");
let sequence = Number(page.sequence);
let timer = 0;

async function refresh() {
  timer = 0;
  try {
    update(root, await fetchFragment(`${location.pathname}?body`));
    localise();
    document.title = `${$(".number", root).textContent} · ${$(".badge", root).textContent}`;
  } catch {
    timer ||= setTimeout(refresh, 2000);
  }
}

function receive(text) {
  const messages = JSON.parse(text).filter((message) => message.sequence);
  if (!messages.length) return;
  sequence = Math.max(sequence, ...messages.map((message) => message.sequence));
  announce(messages.at(-1).message ?? "");
  timer ||= setTimeout(refresh, 120);
}

// Customers read times in their own zone.
function localise() {
  const formats = { clock, day: localDay };
  for (const time of root.querySelectorAll("time[data-local]")) {
    time.title = `${time.dateTime.slice(0, 19).replace("T", " ")} UTC`;
    time.textContent = formats[time.dataset.local].format(Date.parse(time.dateTime));
  }
}

beginConnection();
connection.socket = new LiveSocket({
  address: () => `/ws/orders/${page.order}?batch=1&after=${sequence}`,
  onMessage: receive,
  onState: showConnection,
  onBadPosition: () => location.reload(),
});
root.addEventListener("submit", (event) => submitAction(event, refresh));
setInterval(() => showConnection({}), 1000);
localise();
connection.socket.open();
