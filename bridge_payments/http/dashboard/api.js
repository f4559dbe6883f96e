// Asks the admin routes, as whoever looks at this page. A session that is typed in is kept in this page alone.

const BASE = import.meta.url.replace(/\/admin\/ui(\/ui)?\/[^/]*$/, "");
let session = "";

/** What the API said instead of an answer. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export function signIn(value) {
  session = value.trim();
}

/** Whether a session was typed in here, and not only what the application signed in. */
export const broughtSession = () => session !== "";

export const get = (path, query = {}) => ask("GET", path, { query });
export const post = (path, body = {}) => ask("POST", path, { body });

async function ask(method, path, { query = {}, body }) {
  const given = Object.entries(query).filter(([, value]) => value != null && value !== "");
  const headers = { accept: "application/json" };
  if (session) headers.authorization = `Bearer ${session}`;
  if (body) headers["content-type"] = "application/json"; // another site's page cannot send this unasked
  let answer;
  try {
    answer = await fetch(`${BASE}${path}${given.length ? `?${new URLSearchParams(given)}` : ""}`, {
      method, headers, credentials: "same-origin", cache: "no-store", body: body && JSON.stringify(body),
    });
  } catch {
    throw new Refused(0, "The server does not answer.");
  }
  const read = await answer.json().catch(() => ({}));
  if (read.status === "unhealthy" || read.status === "degraded") return read; // health answers 503, and says why
  if (!answer.ok) throw new Refused(answer.status, read.message || read.error || `The server answered ${answer.status}.`);
  return unwrapped(read);
}

/** Take the envelope off, in each of the published shapes. */
function unwrapped(read) {
  if (!("data" in read)) return read;
  const keys = read.data && Object.keys(read.data);
  return keys?.length === 1 && keys[0] === "rows" ? read.data.rows : read.data;
}
