// The open image in the address of the page, so that it can be linked and reloaded, and the back button closes it.

const PARAMETER = "image";

/** The id of the image that the address opens. */
export function openImageId() {
  return new URLSearchParams(location.search).get(PARAMETER);
}

/**
 * The address of the page with another open image, or without one.
 * @param {string | null} id
 */
export function openImageAddress(id) {
  const params = new URLSearchParams(location.search);
  if (id) params.set(PARAMETER, id);
  else params.delete(PARAMETER);
  return params.size ? `./?${params}` : "./";
}

/**
 * Writes the id of the open image to the address, or removes it.
 * @param {string | null} id
 */
export function setOpenImageId(id) {
  history.replaceState(history.state, "", openImageAddress(id));
}

/** The entry of the browser's history for an image that the user opens. The entry before it is the same search. */
export const OPENED_ENTRY = { isShown: true, state: { opened: true } };

/** Whether the user opened the image: the back button closes it. If the address opened it, the entry before is another page. */
export function isOpenedEntry() {
  return Boolean(history.state?.opened);
}

/** Removes the open image from the address. */
export function leaveOpenImage() {
  if (!openImageId()) return;
  if (isOpenedEntry()) history.back();
  else setOpenImageId(null);
}
