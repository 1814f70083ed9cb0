// Asks the worker for its figures once a second and shows them. When the worker is silent, what is shown stays and is
// marked as stale.

import { flow, follow, reply } from "./charts.js";
import { NONE, WINDOW_NAMES, clockTime, count, duration, percent, rate, words } from "./format.js";
import { SLA_STATES, STATUSES, everything, made, showTiles } from "./tiles.js";
import { asked, signIn } from "./token.js";

const EVERY_MS = 1000;
const PATIENCE_MS = 4000;
const MOST_BARS = 8;
const RATE_OVER_MS = 5000;
const byId = (id) => document.getElementById(id);

let chosen = WINDOW_NAMES[location.hash.slice(1)] ? location.hash.slice(1) : "1h";
let data = null;
let heardAt = null;
let minuteAt = null;
let seenEvents = [];

function showWindows() {
  for (const [name, told] of Object.entries(WINDOW_NAMES)) {
    const input = made("input");
    Object.assign(input, { type: "radio", name: "window", value: name, checked: name === chosen });
    input.addEventListener("change", () => {
      chosen = name;
      history.replaceState(null, "", `#${name}`);
      ask();
    });
    byId("windows").append(made("label", "", input, made("span", "", told)));
  }
}

function showStatus() {
  const now = Date.now();
  const stale = heardAt !== null && now - heardAt > 2.5 * EVERY_MS;
  const [state, text] =
    heardAt === null ? ["waiting", "connecting…"]
    : stale ? ["stale", `Stale since ${clockTime(heardAt, true)}: the worker does not answer`]
    : data.ready ? ["live", "Live"]
    : ["starting", `Not ready: ${data.reasons.join("; ")}`];
  document.body.classList.toggle("stale", stale);
  byId("status").dataset.state = state;
  if (byId("status-text").textContent !== text) byId("status-text").textContent = text;
}

function showClock() {
  const at = new Date(data.now_ms);
  const day = at.toLocaleDateString([], { weekday: "long", day: "numeric", month: "long", year: "numeric" });
  byId("clock").textContent = `${day}, ${clockTime(data.now_ms, true)}`;
}

function showMinute() {
  const minute = data.minutes[minuteAt ?? data.minutes.length - 1];
  const text = minute && `${clockTime(minute.at_ms)}${minuteAt === null ? " (not over yet)" : ""}: ${count(minute.created ?? 0)} created, `
    + `${count(minute.solves ?? 0)} solved, first reply ${duration(minute.first_reply_seconds_p50)}`;
  byId("minute").textContent = text ?? "";
}

function showHour() {
  flow(byId("flow"), data.minutes, minuteAt);
  reply(byId("reply"), data.minutes, data.benchmarks.first_reply, minuteAt);
  showMinute();
  if (!byId("minutes-table").closest("details").open) return;
  fill(byId("minutes-table"), data.minutes.toReversed().map((m) => [
    clockTime(m.at_ms), count(m.created ?? 0), count(m.solves ?? 0), count(m.first_reply_count ?? 0), duration(m.first_reply_seconds_p50),
  ]));
}

function fill(table, rows) {
  table.tBodies[0].replaceChildren(...rows.map(([first, ...rest]) => {
    const head = made("th", "", first);
    head.scope = "row";
    return made("tr", "", head, ...rest.map((text) => made("td", text === NONE ? "none" : "", text)));
  }));
}

// What bars are made of: the parts of a group, what stands beside its bar, and what is said of none.
const OPEN = { parts: STATUSES, of: (group) => group.by_status, aside: (group) => `oldest ${duration(group.oldest_seconds)}`, none: "none open" };
const LATE = {
  parts: ["breached", "at_risk"], of: (group) => group.sla, aside: (group) => `${count(group.sla.breached)} breached`, none: "none at risk or breached",
};
const size = (kind, group) => kind.parts.reduce((all, part) => all + (kind.of(group)[part] ?? 0), 0);

function stack(kind, group, most) {
  const parts = kind.parts.filter((name) => kind.of(group)[name]).map((name) => {
    const part = made("i", `s-${name}`);
    part.style.flexGrow = kind.of(group)[name];
    part.title = `${words(name)}: ${count(kind.of(group)[name])}`;
    return part;
  });
  const bar = made("div", "stack", ...parts);
  bar.style.width = `${(100 * size(kind, group)) / Math.max(1, most)}%`;
  bar.setAttribute("aria-hidden", "true");
  return bar;
}

function bars(kind, dimension) {
  const groups = data.backlog.filter((group) => group.dimension === dimension && size(kind, group)).sort((a, b) => size(kind, b) - size(kind, a));
  const most = Math.max(1, ...groups.map((group) => size(kind, group)));
  const rows = groups.slice(0, MOST_BARS).map((group) => made("div", "bar",
    made("span", "label", words(group.value || NONE)), stack(kind, group, most), made("span", "number", count(size(kind, group))),
    made("span", "age", kind.aside(group))));
  const left = groups.length - rows.length;
  if (left > 0) rows.push(made("p", "readout", `and ${left} more`));
  return made("div", "bars", made("h3", "", `by ${words(dimension)}`), ...(rows.length ? rows : [made("p", "readout", kind.none)]));
}

const dimensions = () => [...new Set(data.backlog.concat(data.groups).map((group) => group.dimension))].filter((name) => name !== "all");

function barsOfAll(kind) {
  const present = dimensions();
  const preferred = ["channel", "priority"].filter((name) => present.includes(name));
  return (preferred.length ? preferred : present.slice(0, 2)).map((dimension) => bars(kind, dimension));
}

const legend = (parts, counts) => parts.map((name) => made("span", "", made("i", `s-${name}`), `${words(name)} ${count(counts[name] ?? 0)}`));

function showBacklog() {
  byId("backlog").replaceChildren(...barsOfAll(OPEN));
  byId("legend").replaceChildren(...legend(STATUSES, everything(data).by_status));
}

// Rounded down: 100 % is nothing breached.
const attained = (of) => (of.attainment === null ? null : Math.floor(1000 * of.attainment) / 1000);

function showSla() {
  byId("sla").hidden = !data.sla.length;
  byId("sla-window").textContent = `over ${WINDOW_NAMES[data.sla_window]}`;
  fill(byId("sla-table"), data.sla.map((of) => [
    words(of.target), percent(attained(of)), count(of.missed), count(of.running.in_time), count(of.running.at_risk), count(of.running.breached),
  ]));
  const [beside, ...below] = barsOfAll(LATE);
  byId("sla-beside").replaceChildren(...(beside ? [beside] : []));
  byId("sla-below").replaceChildren(...below);
  byId("sla-legend").replaceChildren(...legend(SLA_STATES, everything(data).sla));
}

function showGroups() {
  const select = byId("dimension");
  const present = dimensions();
  if (present.join() !== [...select.options].map((option) => option.value).join()) {
    const before = select.value;
    select.replaceChildren(...present.map((name) => new Option(words(name), name)));
    if (present.includes(before)) select.value = before;
  }
  select.closest("section").hidden = !present.length;
  const groups = data.groups.filter((group) => group.dimension === select.value).sort((a, b) => b.created - a.created);
  fill(byId("groups-table"), groups.map((group) => [
    words(group.value || NONE), count(group.created), count(group.solves), duration(group.first_reply_seconds_p50),
    percent(group.fcr_ratio), percent(group.csat_ratio),
  ]));
  byId("groups-window").textContent = `over the last ${WINDOW_NAMES[data.window]}`;
}

function eventsPerSecond(events) {
  const now = performance.now();
  seenEvents = [...seenEvents.filter(([at, n]) => now - at <= RATE_OVER_MS && n <= events), [now, events]];
  const [at, n] = seenEvents[0];
  return now - at < 500 ? null : (1000 * (events - n)) / (now - at);
}

const sum = (counts) => Object.values(counts).reduce((all, n) => all + n, 0);

function showHealth() {
  const health = data.health;
  const lags = Object.values(health.watermark_lag_seconds);
  const lag = lags.length ? Math.max(...lags) : null;
  const dead = sum(health.dead_letters);
  const shown = [
    ["Events", rate(eventsPerSecond(sum(health.events)))],
    ["Behind the clock", duration(lag), lag > 10],
    ["Last commit", lags.length ? `${duration(health.commit_age_seconds)} ago` : NONE, health.commit_age_seconds > 10],
    ["To read", count(health.input_lag)],
    ["To ClickHouse", count(health.sink_lag)],
    ["Tickets held", count(health.tracked_tickets)],
    ["Duplicates", count(health.duplicates)],
    ["Late", count(health.late)],
    ["Dead letters", count(dead), dead > 0],
  ];
  byId("health").replaceChildren(...shown.map(([name, text, warn]) => made("div", "", made("dt", "", name), made("dd", warn ? "warn" : "", text))));
}

function show() {
  showClock();
  showTiles(byId("tiles"), data);
  showHour();
  showSla();
  showBacklog();
  showGroups();
  showHealth();
}

let asking = null;

async function ask() {
  asking?.abort();
  const mine = (asking = new AbortController());
  const patience = setTimeout(() => mine.abort(), PATIENCE_MS);
  try {
    const answer = await asked(`api/live?window=${chosen}`, { signal: mine.signal });
    if (answer.status === 401) return await signIn();
    if (!answer.ok) throw new Error(`the worker answered ${answer.status}`);
    data = await answer.json();
    heardAt = Date.now();
    show();
  } catch (error) {
    if (error.name !== "AbortError" && !(error instanceof TypeError)) console.error(error);
  } finally {
    clearTimeout(patience);
    if (asking === mine) asking = null;
  }
  showStatus();
}

showWindows();
for (const id of ["flow", "reply"]) {
  follow(byId(id), () => data?.minutes.length ?? 0, (index) => {
    minuteAt = index;
    if (data) showHour();
  });
}
byId("dimension").addEventListener("change", showGroups);
byId("explain").addEventListener("submit", (event) => {
  event.preventDefault();
  location.assign(`tickets/${encodeURIComponent(byId("ticket").value.trim())}`);
});
byId("minutes-table").closest("details").addEventListener("toggle", () => data && showHour());
new ResizeObserver(() => data && showHour()).observe(byId("flow"));
ask();
setInterval(() => {
  if (asking === null) ask();
  showStatus();
}, EVERY_MS);
