// Live updates from the service.

import { ApiError, fetchJson, relative } from "./api.js";

const RETRY_DELAY_MS = 2000;

/**
 * @typedef {object} Handlers
 * @property {(data: string) => void} onData Called for each event.
 * @property {(connected: boolean) => void} onConnection Called if the connection opens or breaks.
 * @property {(error: ApiError) => void} [onGone] Called if the resource does not exist (any more); no event follows.
 */

/**
 * Subscribes to a stream of server-sent events and reconnects, also after a restart of the service. A hidden tab disconnects:
 * a browser opens at most six connections to one service over HTTP/1.1, and a few hidden tabs would use them all.
 * @param {string} path
 * @param {string} eventName
 * @param {Handlers} handlers
 * @returns {() => void} Ends the subscription.
 */
export function subscribe(path, eventName, { onData, onConnection, onGone }) {
  /** @type {EventSource | null} */
  let source = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let retryTimer;
  let lastEventId = "";
  let ended = false;

  function disconnect() {
    clearTimeout(retryTimer);
    source?.close();
    source = null;
  }

  function connect() {
    disconnect();
    if (ended || document.hidden) return;
    // A new EventSource does not send the Last-Event-ID of the one before.
    const opened = new EventSource(relative(lastEventId ? `${path}?offset=${lastEventId}` : path));
    source = opened;
    opened.addEventListener("open", () => onConnection(true));
    opened.addEventListener(eventName, (event) => {
      lastEventId = event.lastEventId || lastEventId;
      onConnection(true);
      onData(event.data);
    });
    opened.addEventListener("error", () => {
      onConnection(false);
      // An EventSource reconnects after a broken stream, but gives up after a reply that is not a stream.
      if (source === opened && opened.readyState === EventSource.CLOSED) retryLater();
    });
  }

  function retryLater() {
    disconnect();
    retryTimer = setTimeout(async () => {
      try {
        await fetchJson(path);
        connect();
      } catch (error) {
        if (ended) return;
        if (error instanceof ApiError && error.status === 404) {
          end();
          onGone?.(error);
        } else {
          retryLater();
        }
      }
    }, RETRY_DELAY_MS);
  }

  function end() {
    ended = true;
    document.removeEventListener("visibilitychange", connect);
    disconnect();
  }

  document.addEventListener("visibilitychange", connect);
  connect();
  return end;
}
