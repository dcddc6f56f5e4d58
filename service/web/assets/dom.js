// Elements are built, never parsed: node ids and class names come from outside and must stay text.

const SVG = "http://www.w3.org/2000/svg";

// Control characters, and format characters that reorder or hide the text around them.
const INVISIBLE = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/** The text with the code points of characters that would not be seen: `a‹U+202E›b`. */
export const visible = (text) => String(text).replace(INVISIBLE, (character) => `‹U+${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}›`);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, part] of Object.entries(value)) element.style.setProperty(key, part);
    else element.setAttribute(name, value === true ? "" : visible(value));
  }
  const shown = children.flat().filter((child) => child !== null && child !== undefined);
  element.append(...shown.map((child) => (child instanceof Node ? child : visible(child))));
  return element;
}

export const html = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
export const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
export const byId = (id) => document.getElementById(id);

/** A name from outside. Its direction of writing does not reach the text around it. */
export const outside = (name) => html("bdi", {}, name);

/** Make the children of `box` equal to `nodes`, none of which may have listeners.
 *
 * What is equal stays, and with it the focus and the selection of the reader.
 */
export function show(box, ...nodes) {
  nodes.forEach((given, index) => {
    const node = given instanceof Node ? given : document.createTextNode(visible(given));
    const old = box.childNodes[index];
    if (!old) box.append(node);
    else if (old.isEqualNode(node)) return;
    else if (old instanceof Element && old.nodeName === node.nodeName) {
      copyAttributes(old, node);
      show(old, ...node.childNodes);
    } else old.replaceWith(node);
  });
  while (box.childNodes.length > nodes.length) box.lastChild.remove();
}

function copyAttributes(to, from) {
  for (const { name } of [...to.attributes]) if (!from.hasAttribute(name)) to.removeAttribute(name);
  for (const { name, value } of from.attributes) {
    // The content policy forbids a style that is set as text.
    if (name === "style") to.style.cssText = from.style.cssText;
    else if (to.getAttribute(name) !== value) to.setAttribute(name, value);
  }
}

/** A table that a narrow page shows as one card for each row, with the name of the column before each value.
 *
 * `heads` are names of columns; the first cell of each of `rows` names its row. `options`: the class of the table, of
 * a column by its name, and of a row by its index. Roles are written down because a card is no table to a browser.
 */
export function table(heads, rows, { columnClass = {}, rowClass = () => null } = {}) {
  const head = heads.map((name) => html("th", { scope: "col", role: "columnheader", class: columnClass[name] }, name));
  const body = rows.map((cells, row) =>
    html(
      "tr",
      { role: "row", class: rowClass(row) },
      cells.map((cell, column) => {
        const name = heads[column];
        const attributes = { "data-column": name, class: columnClass[name] };
        const content = html("span", { class: "cell" }, cell);
        return column ? html("td", { role: "cell", ...attributes }, content) : html("th", { scope: "row", role: "rowheader", ...attributes }, content);
      }),
    ),
  );
  return html("table", { class: "data cards", role: "table" }, html("thead", { role: "rowgroup" }, html("tr", { role: "row" }, head)), html("tbody", { role: "rowgroup" }, body));
}
