// Elements from words and data. Text goes in as text: nothing that comes from a bucket is ever read as HTML.

/** An element; `props` are properties, `on…` listeners, `data-`/`aria-`/`role` attributes. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else if (name in node && !name.includes("-")) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Says something to who does not see the page. */
export function say(words) {
  document.getElementById("said").textContent = words;
}

/** A sentence with what to do next, in the place of content. */
export function note(words, ...actions) {
  return el("div", { class: "note" }, el("p", {}, words), ...actions);
}

/** Says over what is shown that it is old; in its place, where nothing is shown yet. */
export function stale(place, words) {
  if (!place.querySelector("table")) return place.replaceChildren(note(words));
  if (!place.querySelector(".stale")) place.prepend(el("p", { class: "warning stale" }, `${words} What stands here is from before.`));
}

/** A button that is nothing but its words. */
export function button(words, onclick, props = {}) {
  return el("button", { type: "button", onclick, ...props }, words);
}

/** A field with its label. */
export function field(label, input) {
  return el("label", { class: "field" }, el("span", {}, label), input);
}

/** Copies, and says so on the button for a moment. */
export function copyButton(text) {
  const made = button("Copy", async () => {
    try {
      await navigator.clipboard.writeText(text);
      made.textContent = "Copied";
    } catch {
      made.textContent = "Could not copy";
    }
    say(made.textContent);
    setTimeout(() => (made.textContent = "Copy"), 1500);
  });
  return made;
}

/** Asks before something that cannot be taken back; resolves to whether to do it. */
export function confirm(question, yes) {
  return new Promise((resolve) => {
    const dialog = el("dialog", { class: "ask", "aria-label": question, onclose: () => {
      resolve(dialog.returnValue === "yes");
      dialog.remove();
    } });
    dialog.append(
      el("p", {}, question),
      el("div", { class: "row" },
        button("Cancel", () => dialog.close("no"), { autofocus: true }),
        button(yes, () => dialog.close("yes"), { class: "danger" })));
    document.body.append(dialog);
    dialog.showModal();
  });
}

const sizes = ["bytes", "kB", "MB", "GB"];

/** 1234567 → "1.2 MB". */
export function bytes(count) {
  const step = Math.min(sizes.length - 1, Math.floor(Math.log10(Math.max(count, 1)) / 3));
  return `${step ? (count / 1000 ** step).toFixed(1) : count} ${sizes[step]}`;
}

/** Thousands apart. */
export const number = (value) => value.toLocaleString("en");
