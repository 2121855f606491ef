// One order beside the board. The address of the page names it: #order/<id, number or UUID>.

import { submitAction } from "./actions.js";
import { $, button } from "./dom.js";
import { update } from "./fragments.js";
import { errorText, fetchFragment } from "./http.js";

export const panel = {
  id: null,

  begin() {
    this.dialog = $("#panel");
    this.body = $("#panel-body");
    $("#panel-close").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    this.dialog.addEventListener("submit", (event) => submitAction(event, () => this.refresh()));
    this.dialog.addEventListener("close", () => {
      this.id = null;
      if (location.hash.startsWith("#order/")) history.replaceState(null, "", location.pathname + location.search);
    });
    addEventListener("hashchange", () => this.followHash());
    this.followHash();
  },

  followHash() {
    const match = location.hash.match(/^#order\/([\w-]+)$/);
    if (match) this.open(match[1]);
    else if (this.dialog.open) this.dialog.close();
  },

  open(reference) {
    this.id = /^\d+$/.test(reference) ? Number(reference) : reference;
    this.body.replaceChildren(loadingTitle());
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
      const html = await fetchFragment(`/board/orders/${id}`);
      if (this.id === id) update(this.body, html);
    } catch (error) {
      if (this.id !== id || this.body.querySelector("[data-part]")) return;
      this.body.replaceChildren(`The order cannot be loaded. ${errorText(error)} `, button("Try again", () => this.refresh()));
    }
  },
};

function loadingTitle() {
  return Object.assign(document.createElement("h2"), { id: "panel-title", className: "muted", textContent: "Loading …" });
}
