// Buttons that change an order: confirm if it cannot be undone, send once, show the result.

import { $, button } from "./dom.js";
import { errorText, request } from "./http.js";

// Handle the submit event of a form with `data-action`; `onDone` runs after the order has changed.
export async function submitAction(event, onDone) {
  const form = event.target.closest("form[data-action]");
  if (!form) return;
  event.preventDefault();
  const root = event.currentTarget; // gone after the first await
  if (form.dataset.confirm && !(await confirmed(form))) return;
  const show = (text) => ($("[data-result]", root).textContent = text);
  const submit = $("button[type=submit]", form);
  const reason = form.elements.reason?.value.trim();
  submit.disabled = true;
  show("Sending …");
  form.dataset.key ||= randomKey();
  try {
    await request(form.dataset.action, {
      method: "POST", body: reason ? { reason } : {}, headers: { "Idempotency-Key": form.dataset.key },
    });
    show("Request accepted."); // what follows, the page shows as it happens
    if (form.elements.reason) form.elements.reason.value = "";
    onDone();
  } catch (error) {
    show(`Failed: ${errorText(error)}`);
  } finally {
    delete form.dataset.key;
    submit.disabled = false;
  }
}

// Ask before an order is cancelled or refunded. The safe choice has the focus.
function confirmed(form) {
  return new Promise((resolve) => {
    const dialog = document.createElement("dialog");
    dialog.className = "confirm";
    dialog.setAttribute("aria-labelledby", "confirm-title");
    const title = Object.assign(document.createElement("h2"), { id: "confirm-title", textContent: form.dataset.confirm });
    const effects = Object.assign(document.createElement("p"), { textContent: $(".effects", form).textContent });
    const choices = Object.assign(document.createElement("div"), { className: "row" });
    choices.append(
      button(form.dataset.keep, () => dialog.close()),
      button(form.dataset.label, () => dialog.close("yes"), "danger solid"),
    );
    dialog.append(title, effects, choices);
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    // The panel below closes on a click on its backdrop, and must not see those in here.
    document.body.append(dialog);
    dialog.showModal();
  });
}

function randomKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
