// The lamps: providers, workers, dispatcher, schedule.

import { $, span } from "./dom.js";
import { whole } from "./format.js";
import { errorText, request } from "./http.js";
import { poll } from "./polling.js";

const STATE_LABELS = { good: "working", warn: "degraded", bad: "not working", unknown: "unknown" };
const PROVIDERS = { payments: "Payments", inventory: "Warehouse", email: "E-mail" };

// `serverNow` returns the server's time in milliseconds.
export function beginStatus(serverNow) {
  poll(3000, async () => {
    try {
      showLamps(lampsOf(await request("/api/system/status"), serverNow()));
    } catch (error) {
      showUnknown(errorText(error));
    }
  });
}

function showUnknown(words) {
  const known = [...document.querySelectorAll("#lamps .lamp")].map((element) => element.lamp).filter((lamp) => lamp && lamp.name !== "Status");
  showLamps([{ name: "Status", state: "unknown", words }, ...known.map((lamp) => ({ ...lamp, state: "unknown" }))]);
}

function lampsOf(status, now) {
  const lamps = [];
  for (const [name, provider] of Object.entries(status.providers ?? {})) lamps.push(providerLamp(name, provider));
  const workers = status.processes?.workers ?? [];
  for (const [queue, { depth }] of Object.entries(status.queues ?? {})) lamps.push(queueLamp(queue, depth, workers));
  const others = status.processes?.others ?? [];
  const dispatcher = others.some((each) => each.name.startsWith("dispatcher") && each.alive);
  if (status.processes) lamps.push({ name: "Dispatcher", state: dispatcher ? "good" : "bad", words: dispatcher ? "" : "not running" });
  lamps.push(...scheduleLamp(status.schedule, now));
  lamps.push(...nodeLamps(status.nodes));
  for (const part of Object.keys(status.notKnown ?? {})) lamps.push({ name: part, state: "unknown", words: "not responding" });
  return lamps;
}

function providerLamp(name, { breaker, lastCheck }) {
  const title = PROVIDERS[name] ?? name;
  if (breaker.state === "open") return { name: title, state: "bad", words: "down, circuit breaker open" };
  if (breaker.state !== "closed") return { name: title, state: "warn", words: "testing recovery" };
  if (lastCheck && !lastCheck.ok) return { name: title, state: "warn", words: "last check failed" };
  return { name: title, state: "good", words: "" };
}

function queueLamp(queue, depth, workers) {
  const alive = workers.filter((worker) => worker.alive && worker.queues?.includes(queue)).length;
  const words = depth ? `${whole.format(depth)} queued` : "";
  return { name: `Worker ${queue}`, state: alive ? (depth > 100 ? "warn" : "good") : "bad", words: alive ? words : "no workers" };
}

// Nodes of a cluster: what each leads, how far behind it is, and the orders it claimed in the last minute.
function nodeLamps(nodes) {
  const present = (nodes?.present ?? []).map(({ node, database, stream, relaying, ordersLastMinute }) => {
    const leads = [database?.role === "leader" && "database", stream?.leader === node && "stream", relaying && "relay"].filter(Boolean);
    const lag = Number.isInteger(database?.lagBytes) && database.lagBytes > 0 ? `${whole.format(database.lagBytes / 1024)} kB behind` : "";
    const words = [leads.length ? `leads ${leads.join(", ")}` : "", lag, `${whole.format(ordersLastMinute)} orders/min`].filter(Boolean);
    return { name: node, state: database && !["running", "streaming"].includes(database.state) ? "warn" : "good", words: words.join(" · ") };
  });
  return [...present, ...(nodes?.missing ?? []).map((node) => ({ name: node, state: "bad", words: "missing" }))];
}

function scheduleLamp(schedule, now) {
  if (!schedule) return [];
  if (!schedule.lastTick) return [{ name: "Scheduler", state: "unknown", words: "starting" }];
  const age = (now - Date.parse(schedule.lastTick)) / 1000;
  return [{ name: "Scheduler", state: age < 60 ? "good" : "warn", words: age < 60 ? "" : "not responding" }];
}

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
    const dot = span("dot");
    dot.setAttribute("aria-hidden", "true");
    item.replaceChildren(dot, span("name", lamp.name), " ", span(lamp.words ? "words" : "unseen", lamp.words || STATE_LABELS[lamp.state]));
  });
  while (list.children.length > lamps.length) list.lastElementChild.remove();
}
