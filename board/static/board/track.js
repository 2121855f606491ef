// The customer's page at /track/<signed link>.

import { beginConnection, connection, showConnection } from "./connection.js";
import { $, announce, page, word } from "./dom.js";
import { localDay } from "./format.js";
import { update } from "./fragments.js";
import { fetchFragment } from "./http.js";
import { LiveSocket } from "./socket.js";

const root = $("#track");
let sequence = Number(page.sequence);
let timer = 0;

async function refresh() {
  timer = 0;
  try {
    const before = $("h1", root).textContent;
    update(root, await fetchFragment(`${location.pathname}?body`));
    localise();
    if ($("h1", root).textContent !== before) announce($("h1", root).textContent);
    const shop = document.title.split(" · ").slice(2);
    document.title = [$(".number", root).textContent, $(".badge", root).textContent, ...shop].join(" · ");
  } catch {
    timer ||= setTimeout(refresh, 2000);
  }
}

function receive(text) {
  const messages = JSON.parse(text).filter((message) => message.sequence);
  if (!messages.length) return;
  sequence = Math.max(sequence, ...messages.map((message) => message.sequence));
  timer ||= setTimeout(refresh, 120);
}

// Customers read times in their own zone.
function localise() {
  for (const time of root.querySelectorAll("time[data-local]")) {
    time.title = `${time.dateTime.slice(0, 19).replace("T", " ")} UTC`;
    time.textContent = localDay(Date.parse(time.dateTime));
  }
}

// Ask in a dialog; without JavaScript the link leads to a page that asks. The safe choice has the focus.
function askToCancel(event) {
  if (!event.target.closest("#cancel")) return;
  event.preventDefault();
  const dialog = $("#confirm-cancel").content.firstElementChild.cloneNode(true);
  $("[data-keep]", dialog).addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  $("form", dialog).addEventListener("submit", (submitted) => {
    submitted.preventDefault();
    const form = submitted.target;
    dialog.close();
    cancel(form);
  });
  document.body.append(dialog);
  dialog.showModal();
}

async function cancel(form) {
  const show = (text) => ($("[data-result]", root).textContent = text);
  show(word("Sending", "Sending …"));
  try {
    const response = await fetch(form.action, { method: "POST", body: new FormData(form), signal: AbortSignal.timeout(15_000) });
    show(response.ok ? "" : word("NotPossible", "This order can no longer be cancelled."));
    refresh();
  } catch {
    show(word("NoAnswer", "The server cannot be reached. Try again."));
  }
}

beginConnection();
connection.socket = new LiveSocket({
  address: () => `/ws/orders/${page.order}?batch=1&after=${sequence}&ticket=${page.ticket}`,
  onMessage: receive,
  onState: showConnection,
  onBadPosition: () => location.reload(),
});
root.addEventListener("click", askToCancel);
setInterval(() => showConnection({}), 1000);
localise();
connection.socket.open();
