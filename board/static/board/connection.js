// The state of the connection: the pill in the header and the banner below it.

import { $, word } from "./dom.js";
import { clock } from "./format.js";

export const connection = { state: "loading", socket: null, lag: 0 };

const LABELS = {
  loading: word("Loading", "Loading"), live: word("Live", "Live"), lost: word("Lost", "Reconnecting"), failed: word("Failed", "Not loaded"),
  login: word("Login", "Logged out"), gone: word("Gone", "Gone"), behind: word("Behind", "Behind"),
};

export function showConnection(change) {
  Object.assign(connection, change);
  const element = $("#connection");
  const isBehind = connection.state === "live" && connection.lag > 3;
  element.dataset.state = isBehind ? "behind" : connection.state;
  $("[data-text]", element).textContent = LABELS[isBehind ? "behind" : connection.state];
  showBanner(isBehind);
}

// Seconds that count down stand outside of the text that screen readers announce, so it is announced once.
function showBanner(isBehind) {
  const [banner, words, detail, remedy] = ["#banner", "#banner-words", "#banner-detail", "#banner-remedy"].map((id) => $(id));
  const lostFor = connection.state === "lost" ? Date.now() - connection.since : 0;
  let [text, more, label] = ["", "", ""];
  if (connection.state === "failed") text = connection.words;
  if (connection.state === "login") [text, label] = [word("LoginBanner", "You are logged out. This page no longer updates."), word("Reload", "Reload")];
  if (connection.state === "gone") [text, label] = [word("GoneBanner", "This order no longer exists, or you don't have access to it."), word("Reload", "Reload")];
  if (lostFor > 1200) {
    const wait = Math.max(0, Math.ceil((connection.retryAt - Date.now()) / 1000));
    text = word("LostBanner", "Connection lost. Last updated at {time}; you won't miss any updates.", { time: clock(connection.since) });
    more = wait ? word("RetryIn", "Reconnecting in {seconds} s.", { seconds: wait }) : word("RetryNow", "Reconnecting now.");
    label = word("Reconnect", "Reconnect now");
  }
  if (isBehind) [text, more] = [word("CatchingUp", "Catching up."), word("LateBy", "Updates are {seconds} s behind.", { seconds: Math.round(connection.lag) })];
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
