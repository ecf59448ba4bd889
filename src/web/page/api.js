// The service, as this page asks it. What goes wrong comes out as a `Failure` with a plain sentence.

/** What a request came to nothing over. */
export class Failure extends Error {
  constructor(code, words, status) {
    super(words);
    this.code = code;
    this.status = status;
  }
}

/** Sentences for what people meet; what is not here is told in the service's own words. */
const SENTENCES = {
  unknown_collection: () => "There is no such collection. Choose another one, or start a job that makes it.",
  unknown_image: () => "This picture is not in the collection (any more).",
  object_vanished: () => "The picture is no longer in the bucket. A job with “sync” removes it from the index.",
  unsupported_format: () => "That file is not a picture that can be read. Use a JPEG, PNG, WebP or GIF.",
  too_large: (said) => `That file is too large. ${said}`,
  truncated: () => "That picture ends too early: the file is incomplete. Try another copy of it.",
  corrupt: () => "That picture is damaged and cannot be read. Try another copy of it.",
  too_many_pixels: () => "That picture has too many pixels. Try a smaller version of it.",
  unavailable: (said) => `${who(said)} does not answer just now. It is asked again by itself: try again in a moment.`,
  dependency_failed: (said) => `${who(said)} does not answer just now. It is asked again by itself: try again in a moment.`,
  dependency_timed_out: (said) => `${who(said)} takes too long to answer just now. Try again in a moment.`,
  dependency_refused: (said) => `${who(said)} refuses the service. Whoever runs it has to set the address or the key right; its log says more.`,
  dependency_full: (said) => `${who(said)} has no space left. Somebody has to make room there.`,
  bucket_refused: () => "The bucket refuses the service. Whoever runs it has to set its key right; its log says more.",
  draining: () => "The service is about to stop. Try again in a moment.",
  timed_out: () => "That took too long and was given up. Try again in a moment.",
  queue_full: () => "Many jobs wait already. Try again when some of them are done.",
  not_ready: (said) => `The service is not ready yet: ${said}.`,
  busy: () => "Many searches are under way. Try again in a moment.",
  space_mismatch: () => "This collection was made with another model. Choose another collection, or index the pictures again.",
  network: () => "The service does not answer. Check that it runs, and try again.",
};

/** Of “qdrant failed”: who. */
const who = (said) => ({ s3: "The bucket", local: "The model" })[said.split(" ")[0]] ?? `“${said.split(" ")[0]}”`;

function failure(status, body) {
  const code = body?.code ?? "network";
  const said = body?.message ?? "";
  return new Failure(code, SENTENCES[code]?.(said) ?? (said || `The service answered ${status}.`), status);
}

/** Who is told that a key is needed. */
let locked = () => {};
export const onLocked = (callback) => (locked = callback);

/** Asks; resolves to the body, fails with a `Failure`. */
export async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: { accept: "application/json", ...options.headers } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw failure(0, null);
  }
  const body = await response.json().catch(() => null);
  if (response.ok) return body;
  if (response.status === 401 && path !== "/session") locked();
  throw failure(response.status, body ?? { message: `The service answered ${response.status}.`, code: "unexpected" });
}

/** Asks with a JSON body. */
export const send = (method, path, body) =>
  ask(path, { method, body: JSON.stringify(body ?? {}), headers: { "content-type": "application/json" } });

/** How long until a stream that was refused is asked for again. */
const AGAIN = 2000;

/**
 * A stream of events that comes back by itself, also after the service was started anew. `onState(is, error)` hears whether
 * it is there, and what ends it for good. A page that nobody looks at lets go of it: a browser has six connections to a
 * service, and three such pages would take them all.
 */
export function follow(path, kind, onData, onState = () => {}) {
  let events, timer, last;
  const close = () => {
    clearTimeout(timer);
    events?.close();
    events = null;
  };
  const open = () => {
    close();
    if (document.hidden) return;
    // A browser says by itself where it was, but not in a stream that is begun anew.
    events = new EventSource(last ? `${path}?offset=${last}` : path);
    events.addEventListener(kind, (event) => { last = event.lastEventId || last; onState(true); onData(event.data); });
    events.addEventListener("open", () => onState(true));
    events.addEventListener("error", () => {
      onState(false);
      // A browser comes back after a stream that broke off, and never after an answer that was none: that is up to us.
      if (events?.readyState === EventSource.CLOSED) again();
    });
  };
  const again = () => {
    close();
    const asked = () => ask(path).then(() => timer && open(), (error) => (error.status === 404 ? onState(false, error) : timer && again()));
    timer = setTimeout(asked, AGAIN);
  };
  document.addEventListener("visibilitychange", open);
  open();
  return () => {
    document.removeEventListener("visibilitychange", open);
    close();
    timer = null;
  };
}
