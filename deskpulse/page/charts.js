// The two charts of the last hour, as inline SVG in the pixels that are there.

import { clockTime, duration } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";
const LEFT = 46;
const RIGHT = 6;

function element(parent, name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

function canvas(box, height) {
  const width = Math.max(240, box.clientWidth);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("height", height);
  svg.setAttribute("aria-hidden", "true");
  box.replaceChildren(svg);
  return { svg, width };
}

// The least round number that is not below `value`, and whose half is round too.
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.2, 1.6, 2, 4, 6, 8, 10].map((step) => step * power).find((step) => step >= value - 1e-9);
}

const NICE_SECONDS = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 86400, 172800, 604800];
const niceSeconds = (value) => NICE_SECONDS.find((step) => step >= value) ?? nice(value);

function timeAxis(svg, minutes, x, y) {
  minutes.forEach((minute, index) => {
    const every = x(1) - x(0) < 8 ? 15 : 10;
    if (Math.round(minute.at_ms / 60000) % every) return;
    element(svg, "text", { x: x(index + 0.5), y, "text-anchor": "middle" }, clockTime(minute.at_ms));
  });
}

function cursor(svg, at, x, top, bottom) {
  if (at === null) return;
  element(svg, "line", { class: "cursor", x1: x(at + 0.5), x2: x(at + 0.5), y1: top, y2: bottom });
}

// Created above the line, solved below it: what the desk takes in and what it gets done.
export function flow(box, minutes, at) {
  const height = 170;
  const { svg, width } = canvas(box, height);
  const middle = height / 2 - 6;
  const reach = middle - 10;
  const most = nice(Math.max(4, ...minutes.map((m) => Math.max(m.created ?? 0, m.solves ?? 0))));
  const x = (index) => LEFT + ((width - LEFT - RIGHT) * index) / Math.max(1, minutes.length);
  for (const level of [most, most / 2, -most / 2, -most]) {
    const y = middle - (reach * level) / most;
    element(svg, "line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y, y2: y });
    element(svg, "text", { x: LEFT - 8, y: y + 4, "text-anchor": "end" }, String(Math.abs(level)));
  }
  const wide = Math.max(1.5, (x(1) - x(0)) * 0.68);
  minutes.forEach((minute, index) => {
    const left = x(index + 0.5) - wide / 2;
    const partial = index === minutes.length - 1 ? " partial" : "";
    for (const [name, value] of [["created", minute.created ?? 0], ["solved", minute.solves ?? 0]]) {
      const tall = (reach * value) / most;
      const y = name === "created" ? middle - tall : middle;
      element(svg, "rect", { class: name + partial, x: left, y, width: wide, height: tall, rx: 1.5 });
    }
  });
  element(svg, "line", { class: "axis", x1: LEFT, x2: width - RIGHT, y1: middle, y2: middle });
  element(svg, "text", { class: "name created", x: LEFT + 6, y: 14 }, "created per minute");
  element(svg, "text", { class: "name solved", x: LEFT + 6, y: 2 * middle - 6 }, "solved per minute");
  timeAxis(svg, minutes, x, height - 2);
  cursor(svg, at, x, 8, 2 * middle - 8);
}

// The median first reply of each minute before the benchmark's bands; a minute without a reply is a gap.
export function reply(box, minutes, benchmark, at) {
  const height = 130;
  const { svg, width } = canvas(box, height);
  const [top, bottom] = [10, height - 22];
  const values = minutes.map((m) => m.first_reply_seconds_p50 ?? null);
  const known = values.filter((value) => value !== null);
  const most = niceSeconds(Math.max(60, 1.05 * Math.max(benchmark?.industry_high ?? 0, ...known)));
  const x = (index) => LEFT + ((width - LEFT - RIGHT) * index) / Math.max(1, minutes.length);
  const y = (seconds) => bottom - ((bottom - top) * Math.min(seconds, most)) / most;
  const band = (name, low, high) =>
    element(svg, "rect", { class: name, x: LEFT, y: y(high), width: width - LEFT - RIGHT, height: y(low) - y(high) });
  if (benchmark) {
    band("usual", benchmark.industry_low, benchmark.industry_high);
    if (benchmark.best !== null) band("best", 0, benchmark.best);
  }
  for (const level of [0, most / 2, most]) {
    element(svg, "line", { class: level ? "grid" : "axis", x1: LEFT, x2: width - RIGHT, y1: y(level), y2: y(level) });
    if (level) element(svg, "text", { x: LEFT - 8, y: y(level) + 4, "text-anchor": "end" }, duration(level));
  }
  let path = "";
  values.forEach((value, index) => {
    if (value === null) return;
    const joined = index > 0 && values[index - 1] !== null;
    path += `${joined ? "L" : "M"}${x(index + 0.5).toFixed(1)} ${y(value).toFixed(1)}`;
    const alone = !joined && (values[index + 1] ?? null) === null;
    if (alone || index === at) element(svg, "circle", { class: "point", cx: x(index + 0.5), cy: y(value), r: 2.6 });
  });
  element(svg, "path", { class: "line", d: path });
  element(svg, "text", { class: "name reply", x: LEFT + 6, y: 22 }, "first reply, median");
  timeAxis(svg, minutes, x, height - 4);
  cursor(svg, at, x, top, bottom);
}

// Which minute is under the pointer, told to `show`; null when it leaves.
export function follow(box, minutesOf, show) {
  box.addEventListener("pointermove", (event) => {
    const bounds = box.getBoundingClientRect();
    const share = (event.clientX - bounds.left - LEFT) / (bounds.width - LEFT - RIGHT);
    const index = Math.floor(share * minutesOf());
    show(index >= 0 && index < minutesOf() ? index : null);
  });
  box.addEventListener("pointerleave", () => show(null));
}
