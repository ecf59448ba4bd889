// Reads the header of a JPEG file.

/** @param {number} marker */
const isFrame = (marker) => marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);

/**
 * Returns whether a JPEG file has four components. The file is loaded whole, so that the browser can show it without a second
 * request.
 * @param {string} url
 */
export async function isCmyk(url) {
  const response = await fetch(url);
  if (!response.ok) return false;
  const bytes = new DataView(await response.arrayBuffer());
  let at = 2;
  while (at + 10 <= bytes.byteLength && bytes.getUint8(at) === 0xff) {
    const marker = bytes.getUint8(at + 1);
    if (isFrame(marker)) return bytes.getUint8(at + 9) === 4;
    // A fill byte comes before the marker.
    at += marker === 0xff ? 1 : 2 + bytes.getUint16(at + 2);
  }
  return false;
}
