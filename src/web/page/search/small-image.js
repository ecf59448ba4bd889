// Small images are enlarged, each pixel to a square.

const MIN_SHOWN_SIZE = 256;

/**
 * By how much an image is enlarged; 1 if it is large enough.
 * @param {{ width: number, height: number }} size
 */
export function enlargement({ width, height }) {
  return Math.max(1, Math.floor(MIN_SHOWN_SIZE / Math.max(width, height)));
}
