// The tiles: one figure each, and how it stands to the benchmark.

import { NONE, WINDOW_NAMES, count, duration, percent, percents, score } from "./format.js";

const STATUSES = ["new", "open", "pending", "on_hold"];
const SLA_STATES = ["breached", "at_risk", "in_time"];

// Where the value is read, how it is written, and the benchmark that it stands beside.
// The first row is how fast the desk is, the second how well it does, the third how it stands now.
const TILES = [
  {
    id: "first_reply", title: "First reply, median", write: duration, benchmark: "first_reply",
    value: (d) => d.figures.first_reply_seconds_p50,
    note: (d) => `mean ${duration(d.figures.first_reply_seconds_mean)}, p90 ${duration(d.figures.first_reply_seconds_p90)}`,
  },
  {
    id: "next_reply", title: "Next reply, median", write: duration,
    value: (d) => d.figures.next_reply_seconds_p50,
    note: (d) => `mean ${duration(d.figures.next_reply_seconds_mean)}, p90 ${duration(d.figures.next_reply_seconds_p90)}`,
  },
  {
    id: "full_resolution", title: "Full resolution, median", write: duration,
    value: (d) => d.figures.full_resolution_seconds_p50,
    note: (d) => `p90 ${duration(d.figures.full_resolution_seconds_p90)}, reopened ${percent(d.figures.reopen_ratio)}`,
  },
  {
    id: "resolution", title: "Resolution rate", write: percent, benchmark: "resolution_ratio",
    value: (d) => d.figures.resolution_ratio,
    note: (d) => `${count(d.figures.tickets_solved ?? 0)} solved, ${count(d.figures.created ?? 0)} created`,
  },
  {
    id: "fcr", title: "First-contact resolution", write: percent, benchmark: "fcr_ratio",
    value: (d) => d.figures.fcr_ratio,
    note: (d) => `of ${count(d.figures.tickets_solved ?? 0)} first solves`,
  },
  {
    id: "csat", title: "Customer satisfaction (CSAT)", write: percent, benchmark: "csat_ratio",
    value: (d) => d.figures.csat_ratio,
    note: (d) => `interval ${percents(d.figures.csat_ratio_low, d.figures.csat_ratio_high)}, ${count(d.figures.csat_answers ?? 0)} answered (${percent(d.figures.csat_response_ratio)})`,
  },
  {
    id: "nps", title: "Net promoter score", write: score, benchmark: "nps_score",
    value: (d) => d.figures.nps_score,
    note: (d) => `of ${count(d.figures.nps_answers ?? 0)} answers`,
  },
  {
    id: "containment", title: "Solved by bots alone", write: percent,
    value: (d) => d.figures.bot_containment_ratio,
    note: (d) => `of those with a bot, durably ${percent(d.figures.bot_durable_containment_ratio)}`,
  },
  {
    id: "sla", title: "SLA targets breached, now", write: count, parts: SLA_STATES, alarm: true,
    value: (d) => (d.sla.length ? everything(d).sla.breached : null),
    note: (d) => (d.sla.length ? `${count(everything(d).sla.at_risk)} at risk, ${count(everything(d).sla.in_time)} in time` : "nothing agreed, or nothing open"),
    of: (d) => everything(d).sla,
  },
  {
    id: "unanswered", title: "Waiting for a reply, now", write: count,
    value: (d) => everything(d).unanswered,
    note: (d) => `of ${count(everything(d).open)} open tickets`,
  },
  {
    id: "backlog", title: "Open tickets, now", write: count, parts: STATUSES,
    value: (d) => everything(d).open,
    note: (d) => `${score(d.figures.net_flow)} in ${WINDOW_NAMES[d.window]}; ${count(inStatus(d, "pending", "on_hold"))} wait for others`,
    of: (d) => everything(d).by_status,
  },
  {
    id: "oldest", title: "Age of the oldest open ticket", write: duration,
    value: (d) => everything(d).oldest_seconds,
    note: (d) => `median ${duration(everything(d).p50_seconds)}, p90 ${duration(everything(d).p90_seconds)}`,
  },
];

const inStatus = (data, ...statuses) => statuses.reduce((sum, status) => sum + (everything(data).by_status[status] ?? 0), 0);

const everything = (data) => data.backlog.find((group) => group.dimension === "all") ?? { open: 0, unanswered: 0, by_status: {}, sla: {} };

function made(name, className, ...children) {
  const node = document.createElement(name);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

const nodes = new Map();

function build(box, tile) {
  const parts = { value: made("p", "value"), note: made("p", "note"), verdict: made("span", "verdict"), told: made("span", "told") };
  const title = made("h3", "", tile.title);
  const article = made("article", "tile", title, parts.value, parts.note);
  article.id = `tile-${tile.id}`;
  title.id = `title-${tile.id}`;
  article.setAttribute("aria-labelledby", title.id);
  if (tile.benchmark) {
    parts.usual = made("i", "usual");
    parts.best = made("i", "best");
    parts.at = made("i", "at");
    const gauge = made("div", "gauge", parts.usual, parts.best, parts.at);
    gauge.setAttribute("aria-hidden", "true");
    article.append(made("div", "bands", parts.verdict, gauge, parts.told));
  } else if (tile.parts) {
    parts.stack = made("div", "stack", ...tile.parts.map((part) => made("i", `s-${part}`)));
    parts.stack.setAttribute("aria-hidden", "true");
    article.append(made("div", "bands", parts.stack));
  }
  box.append(article);
  nodes.set(tile.id, { article, ...parts });
}

// "4 min 12 s" with its units smaller than its numbers.
function writeValue(node, text) {
  if (node.dataset.text === text) return;
  node.dataset.text = text;
  node.replaceChildren(
    ...text.split(/([a-z%]+)/).map((part, index) => (index % 2 ? made("small", "", part) : part)),
  );
}

export function verdict(value, benchmark) {
  if (value === null || value === undefined) return ["", ""];
  const better = (a, b) => (benchmark.lower_is_better ? a <= b : a >= b);
  const [near, far] = benchmark.lower_is_better
    ? [benchmark.industry_high, benchmark.industry_low]
    : [benchmark.industry_low, benchmark.industry_high];
  const reached = benchmark.best !== null && better(value, benchmark.best) && !(benchmark.lower_is_better && value === benchmark.best);
  if (reached) return ["best", "best practice"];
  if (near !== far && better(value, far)) return ["usual", "better than the industry"];
  if (better(value, near)) return ["usual", near === far ? "reaches the industry's mark" : "in the industry's band"];
  return ["behind", "behind the industry"];
}

// "10–15 min", not "10 min–15 min".
function range(low, high, write) {
  const [first, second] = [write(low), write(high)];
  if (low === high) return first;
  const [number, unit] = first.split(/ (?=[a-z%]+$)/);
  return unit && second.endsWith(` ${unit}`) ? `${number}–${second}` : `${first} – ${second}`;
}

function bandText(benchmark, write) {
  const plain = write === percent ? (value) => `${Math.round(1000 * value) / 10} %` : write;
  const usual = `Industry ${range(benchmark.industry_low, benchmark.industry_high, plain)}`;
  if (benchmark.best === null) return usual;
  return `${usual} · best ${benchmark.lower_is_better ? `under ${plain(benchmark.best)}` : `from ${plain(benchmark.best)}`}`;
}

// What the gauge spans: the bands with room on both sides, and the value.
function span(tile, value, benchmark) {
  if (tile.write === duration) return [0, Math.max(1.5 * benchmark.industry_high, 1.05 * (value ?? 0))];
  if (tile.write === score) return [Math.min(0, value ?? 0), 100];
  return [Math.min(0.4, value ?? 0.4), 1];
}

function showBenchmark(tile, value, benchmark, at) {
  const [state, words] = verdict(value, benchmark);
  const [low, high] = span(tile, value, benchmark);
  const place = (x) => 100 * Math.min(1, Math.max(0, (x - low) / (high - low)));
  const put = (node, from, to) => {
    node.style.left = `${place(from)}%`;
    node.style.width = `${Math.max(1, place(to) - place(from))}%`;
  };
  at.article.dataset.verdict = state;
  at.verdict.textContent = words || "no value in this window";
  at.told.textContent = bandText(benchmark, tile.write);
  put(at.usual, benchmark.industry_low, benchmark.industry_high);
  at.best.hidden = benchmark.best === null;
  if (benchmark.best !== null) put(at.best, benchmark.lower_is_better ? low : benchmark.best, benchmark.lower_is_better ? benchmark.best : high);
  at.at.hidden = !state;
  if (state) at.at.style.left = `${place(value)}%`;
}

export function showTiles(box, data) {
  for (const tile of TILES) {
    if (!nodes.has(tile.id)) build(box, tile);
    const at = nodes.get(tile.id);
    const value = tile.value(data);
    writeValue(at.value, tile.write(value));
    at.note.textContent = tile.note(data);
    const benchmark = data.benchmarks[tile.benchmark];
    if (benchmark) showBenchmark(tile, value, benchmark, at);
    if (at.stack) [...at.stack.children].forEach((part, k) => { part.style.flexGrow = tile.of(data)[tile.parts[k]] ?? 0; });
    if (tile.alarm) at.article.classList.toggle("alarm", value > 0);
  }
}

export { NONE, SLA_STATES, STATUSES, everything, made };
