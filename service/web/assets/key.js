// The API key, where the API needs one: kept by this tab until it is closed, sent with every request.

import { byId } from "./dom.js";

const NAME = "olad-api-key";
const read = () => sessionStorage.getItem(NAME);

/** fetch() with the key, and what the API made of it: `none` was needed and not sent, `wrong`, `weak`, or `ok`. */
export async function ask(path, options = {}) {
  const key = read();
  const headers = { ...options.headers, ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  const response = await fetch(path, { ...options, headers });
  return { response, key: verdict(response.status, key) };
}

function verdict(status, key) {
  if (status === 401) return key ? "wrong" : "none";
  return status === 403 && key ? "weak" : "ok";
}

/** Show the field for a key in place of the numbers, and forget the key that was refused. */
export function askForKey() {
  sessionStorage.removeItem(NAME);
  document.body.classList.add("signed-out");
  byId("key-form").hidden = false;
  byId("key").focus();
}

/** Links to what needs a key cannot carry it, so their answers are fetched and shown as text. */
async function follow(event) {
  const link = event.target.closest?.("a[data-needs-key]");
  if (!link || !read()) return;
  event.preventDefault();
  const { response } = await ask(link.getAttribute("href"));
  location.assign(URL.createObjectURL(new Blob([await response.text()], { type: "text/plain; charset=utf-8" })));
}

/** `changed` is called when there is another key. */
export function listen(changed) {
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem(NAME, byId("key").value.trim());
    byId("key").value = "";
    byId("key-form").hidden = true;
    document.body.classList.remove("signed-out");
    changed();
  });
  document.addEventListener("click", follow);
}
