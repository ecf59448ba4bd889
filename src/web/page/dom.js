// Builds elements. Strings become text nodes: nothing that comes from a bucket is read as HTML.

/**
 * Properties and attributes of an element. A name that begins with `on` adds an event listener.
 * @typedef {{
 *   onclick?: (event: MouseEvent) => unknown,
 *   onkeydown?: (event: KeyboardEvent) => unknown,
 *   onsubmit?: (event: SubmitEvent) => unknown,
 *   [name: string]: unknown,
 * }} Props
 */

/** @typedef {Node | string | null | undefined | false | Child[]} Child */

/**
 * Creates an element.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Props} [props]
 * @param {Child[]} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function el(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else if (name === "class") element.className = String(value);
    else if (name in element && !name.includes("-")) Reflect.set(element, name, value);
    else element.setAttribute(name, String(value));
  }
  appendChildren(element, children);
  return element;
}

/**
 * @param {Element} parent
 * @param {Child[]} children
 */
function appendChildren(parent, children) {
  for (const child of children) {
    if (Array.isArray(child)) appendChildren(parent, child);
    else if (child !== null && child !== undefined && child !== false) parent.append(child);
  }
}

/**
 * The element with this id, which `index.html` has.
 * @param {string} id
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`index.html has no element #${id}`);
  return element;
}

/**
 * Announces a text to screen readers.
 * @param {string} text
 */
export function announce(text) {
  byId("announcer").textContent = text;
}

/**
 * A message in place of content, with what the user can do next.
 * @param {string} text
 * @param {Child[]} actions
 */
export function notice(text, ...actions) {
  return el("div", { class: "notice" }, el("p", {}, text), ...actions);
}

/**
 * Shows that content could not be refreshed: above the content, or in its place if there is none yet.
 * @param {HTMLElement} container
 * @param {string} text
 */
export function showRefreshError(container, text) {
  if (!container.querySelector("table")) container.replaceChildren(notice(text));
  else if (!container.querySelector(".stale")) {
    container.prepend(el("p", { class: "warning stale" }, `${text} The data below may be out of date.`));
  }
}

/**
 * @param {string} label
 * @param {((event: MouseEvent) => unknown) | undefined} onclick
 * @param {Props} [props]
 */
export function button(label, onclick, props = {}) {
  return el("button", { type: "button", onclick, ...props }, label);
}

/**
 * An input with its label.
 * @param {string} label
 * @param {HTMLElement} input
 */
export function field(label, input) {
  return el("label", { class: "field" }, el("span", {}, label), input);
}

/**
 * A button that copies a text and shows for a moment that it did.
 * @param {string} text
 */
export function copyButton(text) {
  const element = button("Copy key", async () => {
    try {
      await navigator.clipboard.writeText(text);
      element.textContent = "Copied";
    } catch {
      element.textContent = "Could not copy";
    }
    announce(element.textContent);
    setTimeout(() => {
      element.textContent = "Copy key";
    }, 1500);
  });
  return element;
}

/**
 * Asks the user before an action that cannot be undone.
 * @param {string} text
 * @param {{ confirm: string, cancel: string }} labels
 * @returns {Promise<boolean>} Whether the user confirms.
 */
export function confirm(text, labels) {
  return new Promise((resolve) => {
    /** @type {HTMLDialogElement} */
    const dialog = el(
      "dialog",
      {
        class: "prompt",
        "aria-label": text,
        onclose: () => {
          resolve(dialog.returnValue === "confirm");
          dialog.remove();
        },
      },
      el("p", {}, text),
      el(
        "div",
        { class: "row" },
        button(labels.cancel, () => dialog.close("cancel"), { autofocus: true }),
        button(labels.confirm, () => dialog.close("confirm"), { class: "danger" }),
      ),
    );
    document.body.append(dialog);
    dialog.showModal();
  });
}
