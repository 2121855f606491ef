// Keys for people who work at the desk all day. They can be switched off: a voice control may press them by mistake.

const OFF = "desk-keys-off";
const GO = { o: "[data-go=orders]", h: "[data-go=home]", p: "[data-go=products]" };
const HELP = [
  ["/", "search"], ["j k", "next, previous row"], ["Enter", "open it"], ["n", "write a note"],
  ["g h", "start page"], ["g o", "orders"], ["g p", "products"], ["?", "these keys"],
];

let pressed = "";

function isTyping(target) {
  return target.closest("input, textarea, select, [contenteditable]") !== null;
}

function step(by) {
  const rows = [...document.querySelectorAll("#result_list tbody th a, .desk-causes tbody .is-number a")];
  const at = rows.indexOf(document.activeElement);
  const next = rows[Math.min(Math.max(at + by, 0), rows.length - 1)];
  next?.focus();
}

function toggleHelp() {
  const dialog = document.getElementById("desk-keys") ?? build();
  if (dialog.open) dialog.close(); else dialog.showModal();
}

function build() {
  const dialog = document.createElement("dialog");
  dialog.id = "desk-keys";
  dialog.setAttribute("aria-label", "Keyboard shortcuts");
  const list = document.createElement("dl");
  list.className = "desk-facts";
  for (const [keys, what] of HELP) {
    const name = document.createElement("dt"), text = document.createElement("dd");
    name.textContent = keys;
    text.textContent = what;
    list.append(name, text);
  }
  const off = document.createElement("button");
  off.type = "button";
  off.textContent = localStorage.getItem(OFF) ? "Switch shortcuts on" : "Switch shortcuts off";
  off.addEventListener("click", () => {
    if (localStorage.getItem(OFF)) localStorage.removeItem(OFF); else localStorage.setItem(OFF, "1");
    dialog.remove();
  });
  dialog.append(list, off);
  document.body.append(dialog);
  return dialog;
}

const ACTIONS = {
  "/": () => document.getElementById("searchbar")?.focus(),
  j: () => step(1),
  k: () => step(-1),
  n: () => document.getElementById("note")?.focus(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isTyping(event.target)) return;
  if (event.key === "?") return toggleHelp();
  if (localStorage.getItem(OFF)) return;
  const link = pressed === "g" && GO[event.key] && document.querySelector(GO[event.key]);
  pressed = event.key;
  if (link) {
    event.preventDefault();
    link.click();
  } else if (ACTIONS[event.key]) {
    event.preventDefault();
    ACTIONS[event.key]();
  }
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-keys]")) toggleHelp();
});
