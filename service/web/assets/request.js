// Requests of the panels: JSON in and out, and what went wrong in words.

import { ask, askForKey } from "./key.js";

const TIMEOUT_MS = 15000;

/** A refusal of the API, or no answer. `status` is 0 where there was none. */
export class Refusal extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** The body of the answer to a request.
 *
 * A key that is missing or unknown brings the field for one. A key that lacks a scope stays.
 */
export async function request(path, { method = "GET", body } = {}) {
  const options = { method, cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) };
  if (body !== undefined) Object.assign(options, { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
  const { response } = await ask(path, options).catch(unanswered);
  const answer = await response.json().catch(unanswered);
  if (response.ok) return answer;
  if (response.status === 401) askForKey();
  throw new Refusal(sentence(answer, response.status), response.status);
}

function unanswered(error) {
  throw new Refusal(`No answer: ${error.message}.`, 0);
}

function sentence({ title, detail, errors }, status) {
  const places = (errors ?? []).map(({ index, field, message }) => `${index === undefined ? "" : `event ${index}, `}${field || "the body"}: ${message}`);
  const why = places.length ? places.join("; ") : (detail ?? title ?? `The API answered ${status}`);
  const text = why.charAt(0).toUpperCase() + why.slice(1);
  return text.endsWith(".") ? text : `${text}.`;
}
