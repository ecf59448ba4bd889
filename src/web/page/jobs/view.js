// The jobs view: a form that starts a job, the mirrors, the list of all jobs, or one job.

import { ApiError, fetchJson } from "../api.js";
import { el, notice, showRefreshError } from "../dom.js";
import { formatDateTime, formatNumber } from "../format.js";
import { may } from "../role.js";
import { createJobForm } from "./form.js";
import { showJob } from "./job.js";
import { createMirrors } from "./mirrors.js";
import { createRemovedImages } from "./removed-images.js";
import { stateBadge } from "./summary.js";

const REFRESH_INTERVAL_MS = 2000;
const COLUMNS = ["Bucket and prefix", "Collection", "State", "Indexed", "Failed", "Submitted"];

const NO_JOBS = "No job has run yet.";

/** @type {import("../main.js").Mount} */
export function mount(root, navigate) {
  let leave = () => {};

  /** Shows the list, or the job that the address names. */
  function update() {
    leave();
    root.replaceChildren();
    const id = new URLSearchParams(location.search).get("id");
    document.title = id ? "Job · Glimpse" : "Jobs · Glimpse";
    leave = id ? showJob(root, id, navigate) : showList(root, navigate);
  }

  update();
  return { update, unmount: () => leave() };
}

/**
 * @param {HTMLElement} root
 * @param {import("../main.js").Navigate} navigate
 * @returns {() => void} Ends the refresh.
 */
function showList(root, navigate) {
  const list = el("div", { class: "job-list" });
  const mirrors = createMirrors();
  if (may("write")) root.append(createJobForm(navigate));
  root.append(mirrors.element, el("h1", {}, "Jobs"), list, createRemovedImages());

  async function refresh() {
    try {
      /** @type {JobsReply} */
      const { jobs } = await fetchJson("/jobs?limit=50");
      list.replaceChildren(
        jobs.length ? jobsTable(jobs) : notice(NO_JOBS + (may("write") ? " Start one to index a bucket." : "")),
      );
      await mirrors.refresh();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      showRefreshError(list, error.message);
    }
  }

  refresh();
  const timer = setInterval(() => {
    if (!document.hidden) refresh();
  }, REFRESH_INTERVAL_MS);
  return () => clearInterval(timer);
}

/** @param {JobReply[]} jobs */
function jobsTable(jobs) {
  return el(
    "div",
    { class: "scroll", tabIndex: 0, role: "region", "aria-label": "Jobs" },
    el(
      "table",
      {},
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          COLUMNS.map((name) => el("th", { scope: "col" }, name)),
        ),
      ),
      el("tbody", {}, jobs.map(jobRow)),
    ),
  );
}

/** @param {JobReply} job */
function jobRow(job) {
  const waits = job.status === "RUNNING" && job.waiting_on?.dependency;
  const href = `./?view=jobs&id=${encodeURIComponent(job.job_id)}`;
  const purpose = job.generation ? `rebuild: generation ${job.generation}` : job.mirror && `by mirror ${job.mirror}`;
  return el(
    "tr",
    {},
    el("td", { class: "prefix" }, el("a", { href }, `${job.s3_bucket}/${job.s3_prefix}`)),
    el("td", {}, job.collection, purpose ? el("span", { class: "muted" }, ` ${purpose}`) : ""),
    el("td", {}, stateBadge(job.status), waits ? el("span", { class: "muted" }, ` waits for ${waits}`) : ""),
    el("td", { class: "right" }, formatNumber(job.counts.done)),
    el("td", { class: "right" }, formatNumber(job.counts.failed)),
    el("td", {}, formatDateTime(job.submitted_at)),
  );
}
