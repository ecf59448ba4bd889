// Where the focus goes after a search that removed the element that had it.

/** Moves the focus to the first image that is shown, or to the text about the results. */
export function focusFirstImage() {
  const first = document.querySelector(".grid:not([hidden]) .hit, .fold:not([hidden]) button");
  if (first instanceof HTMLElement) first.focus();
  else focusStatus();
}

/** Moves the focus to the text about the results, if no element has it. */
export function focusStatusIfLost() {
  if (document.activeElement === document.body) focusStatus();
}

/** Moves the focus to the text about the results. */
export function focusStatus() {
  const status = document.querySelector(".summary > *") ?? document.querySelector(".results .notice");
  if (!(status instanceof HTMLElement)) return;
  status.tabIndex = -1;
  status.focus();
}
