// The generations of one collection: builds the next one with another model, compares it, and switches to it.

import { ApiError, fetchJson, sendJson } from "./api.js";
import { announce, button, confirm, el, field, notice } from "./dom.js";
import { formatDateTime, formatNumber } from "./format.js";
import { may } from "./role.js";

const REFRESH_INTERVAL_MS = 5000;
const COLUMNS = ["Generation", "State", "Provider", "Model", "Resize", "Images", "Coverage", "Due"];

/** @type {import("./main.js").Mount} */
export function mount(root) {
  const name = new URLSearchParams(location.search).get("collection") ?? "";
  const path = `/collections/${encodeURIComponent(name)}`;
  document.title = `Generations of ${name} · Glimpse`;
  const container = el("div", { class: "status" });
  const errorText = el("p", { class: "error", role: "alert" });
  const notes = el("div");
  const form = rebuildForm(change);
  form.hidden = true;
  root.append(el("h1", {}, `Generations of ${name}`), errorText, notes, container);
  if (may("admin")) root.append(form);
  let shown = "";
  let shownStates = "";

  async function refresh() {
    try {
      /** @type {GenerationsReply} */
      const reply = await fetchJson(`${path}/generations`);
      const text = JSON.stringify(reply);
      // Replaced only after a change, so that no button loses the focus or a click.
      if (text !== shown) container.replaceChildren(...sections(reply, change));
      shown = text;
      const states = JSON.stringify(
        reply.generations.map(({ generation, state, job_id: job }) => [generation, state, job]),
      );
      // The outcome of an action is about the states that the user saw.
      if (states !== shownStates) showOutcome("", []);
      shownStates = states;
      form.hidden = false;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.status === 404) {
        shown = "";
        form.hidden = true;
      }
      if (!shown) container.replaceChildren(notice(error.message));
    }
  }

  /**
   * Shows how the last action ended.
   * @param {string} error
   * @param {string[]} warnings
   */
  function showOutcome(error, warnings) {
    errorText.textContent = error;
    notes.replaceChildren(...warnings.map(warning));
  }

  /**
   * Sends a request that changes the generations.
   * @param {"POST" | "DELETE"} method
   * @param {string} action
   * @param {string} done
   * @param {object} [body]
   */
  async function change(method, action, done, body) {
    showOutcome("", []);
    let failure = "";
    /** @type {string[]} */
    let warnings = [];
    try {
      /** @type {{ warnings?: string[] }} */
      const reply = await sendJson(method, `${path}/${action}`, body);
      warnings = reply.warnings ?? [];
      announce([done, ...warnings].join(" "));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      failure = error.message;
    }
    await refresh();
    showOutcome(failure, warnings);
  }

  refresh();
  const timer = setInterval(() => {
    if (!document.hidden) refresh();
  }, REFRESH_INTERVAL_MS);
  return { unmount: () => clearInterval(timer) };
}

/** @typedef {(method: "POST" | "DELETE", action: string, done: string, body?: object) => Promise<void>} Change */

/**
 * @param {GenerationsReply} reply
 * @param {Change} change
 */
function sections(reply, change) {
  const { collection, current, generations, comparison, comparing, warnings = [] } = reply;
  const missing = generations.flatMap((one) => one.missing_images.slice(0, 10));
  return [
    table(
      [...COLUMNS, ...(may("admin") ? ["Actions"] : [])],
      generations.map((one) => generationRow(one, change)),
    ),
    ...missing.map(({ s3_uri: uri, message }) =>
      el("p", { class: "muted" }, `Missing: ${uri} (${message ?? "not indexed yet"})`),
    ),
    ...warnings.map(warning),
    ...(comparing ? [el("p", { class: "muted" }, "The generations are being compared.")] : []),
    ...(comparison ? comparisonSection(collection, current, comparison) : []),
  ];
}

/** @param {string} text */
function warning(text) {
  return el("p", { class: "warning" }, text);
}

/**
 * @param {GenerationReply} generation
 * @param {Change} change
 */
function generationRow(
  {
    generation,
    state,
    provider,
    model,
    precision,
    resize,
    stores,
    coverage_percent: coverage,
    due,
    job_id: job,
    expires_at: expiry,
  },
  change,
) {
  const images = Math.max(0, ...Object.values(stores));
  const shownState = job ? el("a", { href: `./?view=jobs&id=${encodeURIComponent(job)}` }, state) : state;
  /** @type {HTMLButtonElement[]} */
  const actions = [];
  if (state === "ready") {
    actions.push(
      button("Switch", () => change("POST", "switch", "The collection uses this generation now.", { generation })),
    );
  }
  if (state === "previous") {
    actions.push(button("Roll back", () => change("POST", "rollback", "The collection uses this generation again.")));
  }
  if (["building", "ready", "previous"].includes(state)) {
    actions.push(button("Remove", () => remove(generation, change)));
  }
  return [
    generation,
    el("span", {}, shownState, ...(expiry ? [` until ${formatDateTime(expiry)}`] : [])),
    provider,
    precision === "auto" ? model : `${model} (${precision})`,
    resize,
    formatNumber(images),
    `${coverage.toFixed(2)} %`,
    formatNumber(due),
    ...(may("admin") ? [el("div", { class: "buttons" }, ...actions)] : []),
  ];
}

/**
 * @param {number} generation
 * @param {Change} change
 */
async function remove(generation, change) {
  const text = `Remove generation ${generation}? Its vectors must be made again if they are needed later.`;
  if (await confirm(text, { confirm: "Remove", cancel: "Keep" })) {
    await change("DELETE", `generations/${generation}`, "The generation was removed.");
  }
}

/**
 * @param {string} collection
 * @param {number} current
 * @param {ComparisonReply} comparison
 */
function comparisonSection(collection, current, comparison) {
  const { generation, texts, images, overlap_at_10: overlap, rank_correlation: correlation } = comparison;
  const compare = `generation ${current},generation ${generation}`;
  const href = `./?${new URLSearchParams({ q: "a cat", collection, compare })}`;
  const { current: one, other } = comparison;
  return [
    el("h2", {}, `Generation ${current} and generation ${generation}`),
    el(
      "p",
      {},
      `${texts} texts and ${images} images: ${percent(overlap)} of the ten best results are the same, rank correlation ${decimal(correlation)}. `,
      el("a", { href }, "Compare the results of a search"),
    ),
    table(
      ["Quantiles 5, 25, 50, 75, 95 %", `Generation ${current}`, `Generation ${generation}`],
      [
        ["Scores of texts", list(one.text_scores), list(other.text_scores)],
        ["Scores of images", list(one.image_scores), list(other.image_scores)],
        ["Relevance of texts", list(one.text_relevance), list(other.text_relevance)],
        ["Median search, ms", decimal(one.search_ms), decimal(other.search_ms)],
      ],
    ),
  ];
}

/** @param {number | null | undefined} number */
function decimal(number) {
  return number == null ? "–" : number.toFixed(2);
}

/** @param {number | null | undefined} share */
function percent(share) {
  return share == null ? "–" : `${Math.round(share * 100)} %`;
}

/** @param {number[] | null | undefined} numbers */
function list(numbers) {
  return numbers ? numbers.map((number) => number.toFixed(2)).join("  ") : "–";
}

/** @param {Change} change */
function rebuildForm(change) {
  const fields = ["provider", "model", "precision", "resize"].map((name) => el("input", { name, spellcheck: false }));
  const [provider, model, precision, resize] = fields;
  provider.placeholder = "as now";
  model.placeholder = "as now";
  precision.placeholder = "as now";
  resize.placeholder = "crop or pad";
  return el(
    "form",
    {
      class: "job-form",
      "aria-label": "Build the next generation",
      onsubmit: (event) => {
        event.preventDefault();
        const given = fields.filter((input) => input.value.trim()).map((input) => [input.name, input.value.trim()]);
        change("POST", "rebuild", "The rebuild was started.", Object.fromEntries(given));
      },
    },
    el("h2", {}, "Build the next generation with another model"),
    el(
      "div",
      { class: "fields" },
      field("Provider", provider),
      field("Model", model),
      field("Precision", precision),
      field("Resize", resize),
    ),
    el("div", { class: "row" }, button("Start rebuild", undefined, { type: "submit", class: "primary" })),
  );
}

/**
 * A table whose rows are cards with labels on a narrow page.
 * @param {string[]} headings
 * @param {Array<Array<Node | string | number | Node[]>>} rows
 */
function table(headings, rows) {
  const row = (/** @type {Array<Node | string | number | Node[]>} */ cells) =>
    el(
      "tr",
      {},
      cells.map((cell, index) =>
        el("td", { "data-label": headings[index] }, typeof cell === "number" ? String(cell) : cell),
      ),
    );
  return el(
    "div",
    { class: "scroll stacked", tabIndex: 0, role: "region", "aria-label": headings[0] },
    el(
      "table",
      {},
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          headings.map((heading) => el("th", { scope: "col" }, heading)),
        ),
      ),
      el("tbody", {}, rows.map(row)),
    ),
  );
}
