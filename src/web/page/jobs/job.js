// One job with live updates: its progress, its throughput, its failures and its log.

import { ApiError, fetchJson, sendJson } from "../api.js";
import { announce, button, confirm, el, notice } from "../dom.js";
import { subscribe } from "../event-stream.js";
import { may } from "../role.js";
import { createFailureList } from "./failures.js";
import { isFinal, renderSummary } from "./summary.js";
import { createThroughput } from "./throughput.js";

const MAX_LOG_LINES = 2000;
/** If the log is scrolled to within this number of pixels of its end, it follows new lines. */
const FOLLOW_DISTANCE = 24;

/** @typedef {"pause" | "resume" | "stop" | "continue" | "retry" | "search"} Action */

/**
 * @param {HTMLElement} root
 * @param {string} id
 * @param {import("../main.js").Navigate} navigate
 * @returns {() => void} Ends the live updates.
 */
export function showJob(root, id, navigate) {
  const path = `/jobs/${encodeURIComponent(id)}`;
  const summary = el("div");
  const errorText = el("p", { class: "error", role: "alert", hidden: true });
  const actions = el("div", { class: "row" });
  const header = el("div", { class: "job" }, summary, errorText, actions);
  const throughput = createThroughput(path);
  const failures = createFailureList(path);
  const log = el("pre", { class: "log", tabIndex: 0, role: "log", "aria-label": "Log of the job" });
  root.append(
    el("p", {}, el("a", { href: "./?view=jobs" }, "← All jobs")),
    header,
    throughput.element,
    failures.element,
    el("h2", {}, "Log"),
    log,
  );
  /** @type {Action[]} */
  let shownActions = [];
  let connected = true;
  let left = false;
  /** @type {Array<() => void>} */
  let subscriptions = [];

  /** @param {JobReply} job */
  function render(job) {
    summary.replaceChildren(...renderSummary(job, connected));
    const available = availableActions(job);
    // Buttons are replaced only if they change, so that none loses the focus or a click.
    if (available.join() !== shownActions.join()) {
      shownActions = available;
      actions.replaceChildren(...available.map((action) => actionElement(action, job)));
    }
    throughput.update(job);
    failures.update(job);
  }

  /**
   * @param {Action} action
   * @param {JobReply} job
   */
  function actionElement(action, job) {
    switch (action) {
      case "pause":
        return button("Pause job", () => change("pause"));
      case "resume":
        return button("Resume job", () => change("resume"), { class: "primary" });
      case "stop":
        return button("Stop job", stop, { class: "danger" });
      case "continue":
        return button("Continue job", retry, { class: "primary" });
      case "retry":
        return button("Retry failed images", retry, { class: "primary" });
      case "search": {
        const href = `./?collection=${encodeURIComponent(job.collection)}`;
        return el("a", { class: "button", href }, "Search this collection");
      }
    }
  }

  /** @param {"pause" | "resume"} operation */
  async function change(operation) {
    errorText.hidden = true;
    await sendJson("POST", `${path}/${operation}`).catch(showError);
  }

  async function stop() {
    const text = "Stop this job? Images that it has indexed stay in the collection; a later job can index the rest.";
    if (!(await confirm(text, { confirm: "Stop this job", cancel: "Keep it running" }))) return;
    errorText.hidden = true;
    await fetchJson(path, { method: "DELETE" }).catch(showError);
  }

  async function retry() {
    errorText.hidden = true;
    try {
      /** @type {SubmitReply} */
      const next = await sendJson("POST", `${path}/retry`);
      navigate(`./?view=jobs&id=${encodeURIComponent(next.job_id)}`);
    } catch (error) {
      showError(error);
    }
  }

  /** @param {unknown} error */
  function showError(error) {
    if (!(error instanceof ApiError)) throw error;
    errorText.textContent = error.message;
    errorText.hidden = false;
  }

  /** @param {ApiError} error */
  function showLoadError(error) {
    const reload = () => navigate(location.pathname + location.search);
    header.replaceChildren(
      error.status === 404
        ? notice("This job does not exist. It may have been removed by a prune of old jobs.")
        : notice(error.message, button("Try again", reload)),
    );
  }

  async function start() {
    /** @type {JobReply} */
    let job;
    try {
      job = await fetchJson(path);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      return showLoadError(error);
    }
    if (left) return;
    render(job);
    const endEvents = subscribe(path, "job", {
      onData: (data) => {
        const wasFinal = isFinal(job);
        const { status } = job;
        job = JSON.parse(data);
        // An error of an action is about the state that the job had.
        if (job.status !== status) errorText.hidden = true;
        render(job);
        if (!isFinal(job)) return;
        endEvents();
        if (!wasFinal) announce(`The job has ended: ${job.status.toLowerCase()}.`);
      },
      onConnection: (isConnected) => {
        if (connected === isConnected) return;
        connected = isConnected;
        render(job);
      },
      onGone: showLoadError,
    });
    const endLog = subscribe(`${path}/logs`, "log", {
      onData: (line) => appendLine(log, line),
      // The log of a job that has ended is complete, and its stream ends. Without this the browser reconnects for ever.
      onConnection: (isConnected) => {
        if (!isConnected && isFinal(job)) endLog();
      },
    });
    subscriptions = [endEvents, endLog];
  }

  start();
  return () => {
    left = true;
    throughput.disconnect();
    failures.disconnect();
    for (const end of subscriptions) end();
  };
}

/**
 * @param {JobReply} job
 * @returns {Action[]}
 */
function availableActions(job) {
  if (!isFinal(job)) {
    if (!may("write")) return [];
    return job.status === "PAUSED" ? ["resume", "stop"] : ["pause", "stop"];
  }
  /** @type {Action[]} */
  const actions = [];
  // A job that an error of a dependency ended has images left, even if none has failed.
  if (may("write")) {
    if (job.status === "FAILED") actions.push("continue");
    else if (job.counts.failed) actions.push("retry");
  }
  if (job.counts.done) actions.push("search");
  return actions;
}

/**
 * @param {HTMLElement} log
 * @param {string} line
 */
function appendLine(log, line) {
  const follows = log.scrollTop + log.clientHeight >= log.scrollHeight - FOLLOW_DISTANCE;
  log.append(`${line}\n`);
  while (log.childNodes.length > MAX_LOG_LINES) log.firstChild?.remove();
  if (follows) log.scrollTop = log.scrollHeight;
}
