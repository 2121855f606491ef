// The last five minutes as charts, drawn by uPlot.

import { $ } from "./dom.js";
import { axisSeconds, clock, rate, seconds, short, whole } from "./format.js";
import { request } from "./http.js";
import { poll } from "./polling.js";

const HEIGHT = 112;
const charts = [];
let series;

export function beginCharts() {
  poll(2000, refresh);
  document.addEventListener("themechange", () => {
    for (const each of charts.splice(0)) each.plot.destroy();
    draw();
  });
}

async function refresh() {
  const answer = await request("/api/board/series").catch(() => null);
  $(".charts").classList.toggle("is-stale", !answer);
  if (!answer) return;
  series = answer;
  const now = series.now;
  const figures = {
    "rate-placed": rate(now.placedPerSecond), "rate-confirmed": rate(now.confirmedPerSecond),
    "time-p50": seconds(now.p50Seconds), "time-p95": seconds(now.p95Seconds),
    "backlog-way": whole.format(now.underWay), "backlog-due": whole.format(now.due),
  };
  for (const [id, text] of Object.entries(figures)) if ($(`#${id}`).textContent !== text) $(`#${id}`).textContent = text;
  draw();
}

function draw() {
  if (typeof uPlot === "undefined" || !series) return;
  if (!charts.length) {
    charts.push(
      chart("#chart-rate", [["Placed", "--blue"], ["Confirmed", "--green"]], (value) => short.format(value), 1, () => [series.placed, series.confirmed]),
      chart("#chart-time", [["p50", "--blue"], ["p95", "--amber"]], axisSeconds, 1, () => [series.p50, series.p95], true),
      chart("#chart-backlog", [["In progress", "--blue"], ["Due now", "--red"]], (value) => short.format(value), 5, () => [series.underWay, series.due]),
    );
  }
  for (const each of charts) each.plot.setData([series.times, ...each.data()]);
}

function chart(selector, lines, labelOf, least, data, isSparse = false) {
  const root = $(selector);
  const colour = (name) => {
    root.style.color = `var(${name})`; // resolves light-dark()
    return getComputedStyle(root).color;
  };
  const axis = { stroke: colour("--muted"), font: "11px system-ui, sans-serif", ticks: { show: false } };
  const plot = new uPlot(
    {
      width: root.clientWidth || 300,
      height: HEIGHT,
      padding: [8, 18, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: { y: { range: (_, low, high) => [0, Math.max(high ?? 0, least) * 1.12] } },
      axes: [
        { ...axis, grid: { show: false }, size: 22, space: 38, values: (_, times) => times.map((time, at) => clock(time * 1000).slice(0, 5) + (at ? "" : " UTC")) },
        { ...axis, grid: { stroke: colour("--line"), width: 1 }, size: 50, space: 34, values: (_, values) => values.map(labelOf) },
      ],
      series: [{}, ...lines.map(([label, name], at) => ({
        label, stroke: colour(name), width: 1.75, points: { show: isSparse, size: 4, fill: colour(name) },
        fill: at ? undefined : colour(name).replace("rgb(", "rgba(").replace(")", ", 0.13)"),
      }))],
    },
    [series.times, ...data()],
    root,
  );
  new ResizeObserver(() => root.clientWidth && plot.setSize({ width: root.clientWidth, height: HEIGHT })).observe(root);
  return { plot, data };
}
