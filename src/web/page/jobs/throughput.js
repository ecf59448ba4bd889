// The images per second of a job over its run, as a chart, and the busy share of each stage.

import { fetchJson } from "../api.js";
import { el } from "../dom.js";
import { formatDuration } from "../format.js";
import { isFinal } from "./summary.js";

/** The minimum time between two requests while the job runs. */
const REFRESH_INTERVAL_MS = 2000;
const WIDTH = 720;
const HEIGHT = 120;
const SVG = "http://www.w3.org/2000/svg";

/** @type {Array<[keyof StagesReply, string]>} */
const STAGES = [
  ["fetch", "Fetch"],
  ["prepare", "Decode and resize"],
  ["embed", "Embed"],
  ["upsert", "Store"],
];

/**
 * @param {string} jobPath
 */
export function createThroughput(jobPath) {
  const chart = el("div");
  const stages = el("div");
  const element = el("div", { class: "throughput" }, chart, stages);
  /** @type {JobReply | null} */
  let latest = null;
  let refreshing = false;
  let complete = false;
  let ended = false;

  /**
   * Requests the chart again, at most one request at a time.
   * @param {JobReply} job
   */
  function update(job) {
    latest = job;
    stages.replaceChildren(...stageBars(job));
    if (!refreshing && !complete) refresh(job);
  }

  /** @param {JobReply} job */
  async function refresh(job) {
    refreshing = true;
    try {
      /** @type {ThroughputReply} */
      const reply = await fetchJson(`${jobPath}/throughput`);
      chart.replaceChildren(...throughputChart(reply));
      complete = isFinal(job);
    } catch {
      // The job's own live updates show that the service does not answer.
    }
    if (!complete) await new Promise((resolve) => setTimeout(resolve, REFRESH_INTERVAL_MS));
    refreshing = false;
    if (!ended && latest && !complete) update(latest);
  }

  return {
    element,
    update,
    disconnect: () => {
      ended = true;
    },
  };
}

/**
 * The images per second of each interval. The last interval is left out if it is too short for a rate.
 * @param {ThroughputReply} throughput
 */
function intervalRates({ interval_seconds: interval, duration_seconds: duration, images }) {
  const rates = images.map((count, index) => {
    const seconds = Math.min(interval, duration - index * interval);
    return seconds >= interval / 2 || images.length === 1 ? count / Math.max(seconds, 0.001) : null;
  });
  return rates.filter((rate) => rate !== null);
}

/** @param {ThroughputReply} throughput */
function throughputChart(throughput) {
  const rates = intervalRates(throughput);
  const total = throughput.images.reduce((sum, count) => sum + count, 0);
  const highest = Math.max(0, ...rates);
  if (!highest) return [];
  const time = formatDuration(Math.round(throughput.duration_seconds));
  const average = total / Math.max(throughput.duration_seconds, 0.001);
  const label = `${formatRate(average)} images/s on average over ${time}, at most ${formatRate(highest)}`;
  return [
    el("h2", {}, "Throughput"),
    areaChart(rates, highest, label),
    el("p", { class: "axis muted" }, el("span", {}, "0 s"), el("span", {}, label), el("span", {}, time)),
  ];
}

/** @param {number} rate */
function formatRate(rate) {
  return rate.toFixed(rate < 10 ? 1 : 0);
}

/**
 * @param {number[]} values
 * @param {number} highest
 * @param {string} label
 */
function areaChart(values, highest, label) {
  const step = WIDTH / values.length;
  /** @param {number} value */
  const height = (value) => (HEIGHT * (1 - value / highest)).toFixed(1);
  // Each value is a level over the width of its interval.
  const levels = values.map((value, index) => `V${height(value)}H${((index + 1) * step).toFixed(1)}`);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", `M0,${HEIGHT}${levels.join("")}V${HEIGHT}Z`);
  svg.append(path);
  return svg;
}

/** @param {JobReply} job */
function stageBars({ stages }) {
  if (!stages) return [];
  const worked = STAGES.filter(([name]) => stages[name].p95_ms > 0);
  if (!worked.length) return [];
  const bars = worked.map(([name, label]) => {
    const { busy, p50_ms: median, p95_ms: slow } = stages[name];
    const percent = `${Math.round(busy * 100)} %`;
    return el(
      "tr",
      {},
      el("th", { scope: "row" }, label),
      el("td", {}, el("meter", { min: 0, max: 1, value: Math.min(busy, 1), "aria-label": `${label}: busy` })),
      el("td", {}, percent),
      el("td", {}, formatMs(median)),
      el("td", {}, formatMs(slow)),
    );
  });
  const heads = ["Stage", "Busy", "", "Median", "95 %"].map((name) => el("th", { scope: "col" }, name));
  return [el("table", { class: "stages" }, el("thead", {}, el("tr", {}, heads)), el("tbody", {}, bars))];
}

/** @param {number} ms */
function formatMs(ms) {
  return ms < 10_000 ? `${ms.toFixed(ms < 10 ? 1 : 0)} ms` : `${(ms / 1000).toFixed(0)} s`;
}
