// Dialogs above the page: a question before something is done, and a sheet to read.

import { html } from "./dom.js";

/** Show a dialog with a title; the value that it was closed with, empty for Escape. */
function opened(title, content, buttons) {
  return new Promise((resolve) => {
    const close = (value) => () => dialog.close(value);
    const actions = buttons.map(({ text, value, quiet }) => html("button", { type: "button", class: quiet ? "plain" : null, onclick: close(value) }, text));
    const dialog = html("dialog", { "aria-labelledby": "dialog-title" }, html("h2", { id: "dialog-title" }, title), ...content, html("div", { class: "actions" }, actions));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Whether the reader confirms what `text` says; `action` is the name of its button. */
export const confirmed = async (title, text, action) => (await opened(title, [html("p", {}, text)], [{ text: "Cancel", value: "", quiet: true }, { text: action, value: "yes" }])) === "yes";

/** Show something to read. */
export const sheet = (title, ...content) => opened(title, content, [{ text: "Close", value: "" }]);
