// What every page has: elements that need JavaScript, and the choice between light and dark.

import { $ } from "./dom.js";

const prefersDark = matchMedia("(prefers-color-scheme: dark)");

document.querySelectorAll("[data-needs-script]").forEach((element) => (element.hidden = false));

$("#theme").addEventListener("click", () => {
  const root = document.documentElement;
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches;
  root.dataset.theme = isDark ? "light" : "dark";
  // A cookie, so the server writes it into the next page and nothing flashes.
  document.cookie = `theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=lax`;
  document.dispatchEvent(new Event("themechange"));
});
prefersDark.addEventListener("change", () => document.dispatchEvent(new Event("themechange")));
