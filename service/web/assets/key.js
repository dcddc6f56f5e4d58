// The API key, where the API needs one: kept by this tab until it is closed, sent with every request.

import { byId } from "./dom.js";

const NAME = "olad-api-key";
const read = () => sessionStorage.getItem(NAME);

/** fetch() with the key; a refusal of it shows the field for another one. */
export async function ask(path, options = {}) {
  const key = read();
  const headers = { ...options.headers, ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  const response = await fetch(path, { ...options, headers });
  if (response.status === 401 || response.status === 403) byId("key-form").hidden = false;
  return response;
}

/** Links to what needs a key cannot carry it, so their answers are fetched and shown as text. */
async function follow(event) {
  const link = event.target.closest?.("a[data-needs-key]");
  if (!link || !read()) return;
  event.preventDefault();
  const response = await ask(link.getAttribute("href"));
  location.assign(URL.createObjectURL(new Blob([await response.text()], { type: "text/plain; charset=utf-8" })));
}

/** `changed` is called when there is another key. */
export function listen(changed) {
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem(NAME, byId("key").value.trim());
    byId("key").value = "";
    byId("key-form").hidden = true;
    changed();
  });
  document.addEventListener("click", follow);
}
