// A dialog to choose the part of an image to search for.

import { button, el } from "../dom.js";
import { enlargement } from "./small-image.js";

/** The least width and height, as shares of the image. */
const MIN_SIDE = 0.02;
/** How far an arrow key moves or resizes the frame. */
const STEP = 0.02;

/** @typedef {{ left: number, top: number, right: number, bottom: number }} Edges Shares of the upright image, 0 to 1. */

/** @type {Record<string, [x: number, y: number]>} */
const ARROWS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

/**
 * Opens the dialog.
 * @param {object} options
 * @param {string} options.source The address of the image.
 * @param {string} [options.fallback] The address of an image that the browser can show if it cannot show the first.
 * @param {string} options.name
 * @param {(region: string) => unknown} options.onChoose Called with `x,y,width,height`.
 */
export function chooseRegion({ source, fallback, name, onChoose }) {
  /** @type {Edges} */
  let edges = { left: 0.25, top: 0.25, right: 0.75, bottom: 0.75 };
  const frame = el("div", { class: "frame", tabIndex: 0, role: "img", onkeydown: handleKey });
  const image = el("img", { src: source, alt: name, draggable: false, onerror: showFallback, onload: enlarge });
  const area = el("div", { class: "region-area", onpointerdown: startDrawing }, image, frame);
  /** @type {HTMLDialogElement} */
  const dialog = el(
    "dialog",
    { class: "region", "aria-labelledby": "region-title", onclose: () => dialog.remove() },
    el("h1", { id: "region-title" }, "Select a part of the image"),
    el("p", { class: "muted" }, "Draw a frame. Or move it with the arrow keys, and change its size with Shift."),
    area,
    el(
      "div",
      { class: "row" },
      button("Search this part", choose, { class: "primary" }),
      button("Cancel", () => dialog.close()),
    ),
  );

  function choose() {
    dialog.close();
    onChoose(format(edges));
  }

  function showFallback() {
    if (fallback && image.src !== new URL(fallback, location.href).href) image.src = fallback;
  }

  /** Enlarges a small image, so that a part of it can be drawn. */
  function enlarge() {
    const { naturalWidth: width, naturalHeight: height } = image;
    const scale = enlargement({ width, height });
    image.classList.toggle("pixelated", scale > 1);
    image.style.width = scale > 1 ? `${width * scale}px` : "";
  }

  /** @param {Edges} next */
  function show(next) {
    edges = next;
    const { left, top, right, bottom } = next;
    frame.style.inset = `${percent(top)} ${percent(1 - right)} ${percent(1 - bottom)} ${percent(left)}`;
    const across = `${percent(left)} to ${percent(right)} across`;
    frame.setAttribute("aria-label", `Selected part: ${across}, ${percent(top)} to ${percent(bottom)} down`);
  }

  /** @param {KeyboardEvent} event */
  function handleKey(event) {
    const arrow = ARROWS[event.key];
    if (!arrow && event.key !== "Enter") return;
    // Without this, Enter also presses the button that gets the focus back.
    event.preventDefault();
    if (!arrow) return choose();
    const [x, y] = arrow;
    const { left, top, right, bottom } = edges;
    if (event.shiftKey) {
      show({ left, top, right: clamp(right + x, left + MIN_SIDE, 1), bottom: clamp(bottom + y, top + MIN_SIDE, 1) });
    } else {
      const [newLeft, newTop] = [clamp(left + x, 0, 1 - (right - left)), clamp(top + y, 0, 1 - (bottom - top))];
      show({ left: newLeft, top: newTop, right: newLeft + right - left, bottom: newTop + bottom - top });
    }
  }

  /** @param {PointerEvent} event */
  function startDrawing(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    const start = position(event);
    area.setPointerCapture(event.pointerId);
    area.onpointermove = (move) => show(between(start, position(move)));
    area.onpointerup = area.onpointercancel = () => {
      area.onpointermove = null;
      frame.focus();
    };
  }

  /** @param {PointerEvent} event */
  function position(event) {
    const { left, top, width, height } = image.getBoundingClientRect();
    return { x: clamp((event.clientX - left) / width, 0, 1), y: clamp((event.clientY - top) / height, 0, 1) };
  }

  document.body.append(dialog);
  show(edges);
  dialog.showModal();
  frame.focus();
}

/**
 * @param {{ x: number, y: number }} one
 * @param {{ x: number, y: number }} other
 * @returns {Edges}
 */
function between(one, other) {
  const [left, right] = side(one.x, other.x);
  const [top, bottom] = side(one.y, other.y);
  return { left, top, right, bottom };
}

/**
 * The two ends of a side that is not shorter than the minimum.
 * @param {number} one
 * @param {number} other
 */
function side(one, other) {
  const start = Math.min(one, other, 1 - MIN_SIDE);
  return [start, Math.max(one, other, start + MIN_SIDE)];
}

/**
 * The edges as the API reads them. The edges are rounded, and not the sides, so that these end within the image.
 * @param {Edges} edges
 */
function format({ left, top, right, bottom }) {
  const [x, y, end, lowerEnd] = [left, top, right, bottom].map((edge) => Number(edge.toFixed(4)));
  return [x, y, Number((end - x).toFixed(4)), Number((lowerEnd - y).toFixed(4))].join(",");
}

/**
 * @param {number} value
 * @param {number} min
 * @param {number} max
 */
function clamp(value, min, max) {
  return Math.min(Math.max(value, min), max);
}

/** @param {number} share */
function percent(share) {
  return `${(share * 100).toFixed(1)}%`;
}
