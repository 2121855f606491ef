// The state of the connection: the pill in the header and the banner below it.

import { $ } from "./dom.js";
import { clock } from "./format.js";

export const connection = { state: "loading", socket: null, lag: 0 };

const LABELS = { loading: "Loading", live: "Live", lost: "Reconnecting", failed: "Not loaded", login: "Logged out", gone: "Gone" };

export function showConnection(change) {
  Object.assign(connection, change);
  const element = $("#connection");
  const isBehind = connection.state === "live" && connection.lag > 3;
  element.dataset.state = isBehind ? "behind" : connection.state;
  $("[data-text]", element).textContent = isBehind ? "Behind" : LABELS[connection.state];
  showBanner(isBehind);
}

// Seconds that count down stand outside of the text that screen readers announce, so it is announced once.
function showBanner(isBehind) {
  const [banner, words, detail, remedy] = ["#banner", "#banner-words", "#banner-detail", "#banner-remedy"].map((id) => $(id));
  const lostFor = connection.state === "lost" ? Date.now() - connection.since : 0;
  let [text, more, label] = ["", "", ""];
  if (connection.state === "failed") text = connection.words;
  if (connection.state === "login") [text, label] = ["You are logged out. This page no longer updates.", "Reload"];
  if (connection.state === "gone") [text, label] = ["This order no longer exists, or you don't have access to it.", "Reload"];
  if (lostFor > 1200) {
    const wait = Math.max(0, Math.ceil((connection.retryAt - Date.now()) / 1000));
    text = `Connection lost. Last updated at ${clock.format(connection.since)}; you won't miss any updates.`;
    [more, label] = [wait ? `Reconnecting in ${wait} s.` : "Reconnecting now.", "Reconnect now"];
  }
  if (isBehind) [text, more] = ["Catching up.", `Updates are ${Math.round(connection.lag)} s behind.`];
  document.body.classList.toggle("is-stale", Boolean(text) && !isBehind);
  banner.hidden = !text;
  remedy.hidden = !label;
  for (const [element, now] of [[words, text], [detail, more], [remedy, label]]) if (element.textContent !== now) element.textContent = now;
}

export function beginConnection() {
  showConnection({ state: "loading" });
  $("#banner-remedy").addEventListener("click", () => {
    if (connection.state === "lost") connection.socket?.reconnectNow();
    else location.reload();
  });
}
