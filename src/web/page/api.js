// The page's HTTP client. A request that fails throws an `ApiError`; its message is a sentence for the user.

/** A request that failed. */
export class ApiError extends Error {
  /**
   * @param {string} code
   * @param {string} message
   * @param {number} status 0 if the service did not answer.
   */
  constructor(code, message, status) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

/**
 * Sentences for the errors that users meet. For other codes the page shows the message of the service.
 * @type {Record<string, (message: string, dependency: string) => string>}
 */
const SENTENCES = {
  unknown_collection: () =>
    "This collection does not exist. Choose another collection, or start a job that creates it.",
  unknown_image: () => "This image is no longer in the collection. Search again.",
  object_vanished: () => "This image is no longer in the bucket. A job with “Sync” removes it from the collection.",
  unsupported_format: () =>
    "This file is not an image that Glimpse can read. Use a JPEG, PNG, WebP, GIF, TIFF, BMP, HEIC, AVIF, JPEG XL or camera RAW file.",
  too_large: (message) => `This file is too large: ${message}. Use a smaller version of it.`,
  truncated: () => "This image file is incomplete. Use another copy of it.",
  corrupt: () => "This image file is damaged and cannot be decoded. Use another copy of it.",
  too_many_pixels: (message) => `This image has too many pixels: ${message}. Use a smaller version of it.`,
  unavailable: (_, dependency) =>
    `${dependency} is not available. The service retries by itself; try again in a moment.`,
  dependency_failed: (_, dependency) =>
    `${dependency} is not available. The service retries by itself; try again in a moment.`,
  dependency_timed_out: (_, dependency) => `${dependency} did not answer in time. Try again in a moment.`,
  dependency_refused: (_, dependency) =>
    `${dependency} refused the request of the service. Ask the operator to check its address and key; the service log has the details.`,
  dependency_full: (_, dependency) => `${dependency} has no space left. Ask the operator to free some.`,
  archived: () =>
    "This image is in an archive of the bucket. Restore the object, or copy it to another storage class, to see it.",
  fetch_failed: () => "The bucket did not send the whole file. Try again in a moment.",
  bucket_refused: () =>
    "The bucket refused access. Ask the operator to check the S3 access key; the service log has the details.",
  draining: () => "The service is shutting down. Try again in a moment.",
  timed_out: () => "The request took too long and was cancelled. Try again in a moment.",
  queue_full: () => "The job queue is full. Start the job again when another job has ended.",
  not_ready: (message) => `The service is not ready: ${message}.`,
  busy: () => "The service is busy. Try again in a moment.",
  space_mismatch: () =>
    "This collection was indexed with another model, or its images were resized in another way. Choose another collection, or index the images into a new one.",
  network: () => "The service does not answer. Check that it is running, then try again.",
};

/** @type {Record<string, string>} */
const DEPENDENCY_NAMES = { s3: "The bucket", local: "The model" };

/** @param {ErrorReply & { dependency?: string }} body */
function dependencyOf(body) {
  // Older services name the dependency only at the start of the message: “qdrant failed”.
  const name = body.dependency ?? body.message.split(" ")[0];
  return DEPENDENCY_NAMES[name] ?? `“${name}”`;
}

/**
 * @param {number} status
 * @param {ErrorReply | null} body
 */
function toApiError(status, body) {
  if (!body?.code) return new ApiError("unexpected", `The service answered with status ${status}. Try again.`, status);
  const message = SENTENCES[body.code]?.(body.message, dependencyOf(body)) ?? body.message;
  return new ApiError(body.code, message, status);
}

let handleUnauthorized = () => {};

/**
 * Sets what happens if the service asks for an API key.
 * @param {() => void} callback
 */
export function onUnauthorized(callback) {
  handleUnauthorized = callback;
}

/**
 * Returns the address of a path of the service, relative to the page: a proxy can publish both under a path.
 * @param {string} path
 */
export function relative(path) {
  return `.${path}`;
}

/**
 * Sends a request and returns the JSON body of the reply.
 * @template T
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<T>}
 */
export async function fetchJson(path, options = {}) {
  let response;
  try {
    response = await fetch(relative(path), { ...options, headers: { accept: "application/json", ...options.headers } });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError("network", SENTENCES.network("", ""), 0);
  }
  const body = await response.json().catch(() => null);
  if (response.ok) return body;
  if (response.status === 401 && path !== "/session") handleUnauthorized();
  throw toApiError(response.status, body);
}

/**
 * Sends a request with a JSON body.
 * @template T
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {AbortSignal} [signal]
 * @returns {Promise<T>}
 */
export function sendJson(method, path, body = {}, signal) {
  const headers = { "content-type": "application/json" };
  return fetchJson(path, { method, body: JSON.stringify(body), headers, signal });
}
