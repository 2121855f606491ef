// The legs of an order, as the server declares them (`orders/legs.py`): names, states with light and words, events.

import { $ } from "./dom.js";

const declared = $("#legs");
export const LEGS = declared ? JSON.parse(declared.textContent) : [];

const AFTER = new Map(LEGS.flatMap(({ name, events }) => Object.entries(events).map(([event, code]) => [event, [name, code]])));

// The leg that an event moves, and the state to which; undefined for other events.
export const legAfter = (event) => AFTER.get(event);

// How all legs stand when an order comes to a status; empty for most.
export const legsAt = (status) =>
  Object.fromEntries(LEGS.flatMap(({ name, at }) => (status in at ? [[name, at[status]]] : [])));

export const pending = () => Object.fromEntries(LEGS.map(({ name }) => [name, ""]));

export const pick = (card) => Object.fromEntries(LEGS.map(({ name }) => [name, card[name]]));
