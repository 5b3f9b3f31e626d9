// Build elements. Everything that came by SMS is set as text, never as HTML.

const HANDLERS = ["onclick", "ontoggle"]; // of elements that are filled again

// Return an element. "aria-…", "data-…", "role" and "for" are attributes, everything else is a property.
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name.includes("-") || name === "role" || name === "for") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

// Show rows in this order. A row with the "data-key" of a shown one changes that one, so that a press of its buttons, the
// focus and a selected text are not lost, and screen readers read only what is new.
export function fill(parent, rows) {
  const shown = new Map([...parent.children].map((row) => [row.dataset.key, row]));
  const wanted = rows.map((row) => {
    const same = shown.get(row.dataset.key);
    shown.delete(row.dataset.key);
    return same ? adapt(same, row) : row;
  });
  const kept = new Set(wanted);
  for (const row of [...parent.children]) if (!kept.has(row)) row.remove();
  wanted.forEach((row, place) => {
    if (parent.children[place] !== row) parent.insertBefore(row, parent.children[place] ?? null);
  });
}

// Make a shown node like a fresh one, and return the node that is to be shown.
function adapt(shown, fresh) {
  if (shown.nodeName !== fresh.nodeName) {
    shown.replaceWith(fresh);
    return fresh;
  }
  if (shown.nodeType === Node.TEXT_NODE) {
    if (shown.data !== fresh.data) shown.data = fresh.data;
    return shown;
  }
  for (const { name } of [...shown.attributes]) if (!fresh.hasAttribute(name)) shown.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (shown.getAttribute(name) !== value) shown.setAttribute(name, value);
  for (const name of HANDLERS) shown[name] = fresh[name];
  const [had, has] = [[...shown.childNodes], [...fresh.childNodes]];
  has.forEach((child, place) => (place < had.length ? adapt(had[place], child) : shown.append(child)));
  for (const child of had.slice(has.length)) child.remove();
  return shown;
}

// Run a function once after the last of several calls.
export function debounced(action, milliseconds) {
  let timer;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...values), milliseconds);
  };
}

export const STYLE = `
  :host { color: var(--primary-text-color); font-family: var(--ha-font-family-body, var(--paper-font-body1_-_font-family, Roboto, sans-serif)); }
  * { box-sizing: border-box; }
  button, input, select, textarea { font: inherit; color: inherit; }
  button { cursor: pointer; border: 0; border-radius: 18px; padding: 8px 16px; min-height: 36px;
    background: var(--secondary-background-color); }
  button.primary { background: var(--primary-color); color: var(--text-primary-color, #fff); }
  button:disabled { opacity: 0.5; cursor: default; }
  button.plain { background: none; border-radius: 8px; padding: 4px 8px; color: var(--primary-color); }
  input, select, textarea { width: 100%; padding: 8px 10px; border: 1px solid var(--divider-color); border-radius: 8px;
    background: var(--card-background-color); min-height: 36px; }
  textarea { resize: vertical; min-height: 64px; }
  input[type=checkbox] { width: 20px; min-height: 20px; height: 20px; margin: 0; accent-color: var(--primary-color); }
  :focus-visible { outline: 2px solid var(--primary-color); outline-offset: 1px; }
  .note { color: var(--secondary-text-color); font-size: 0.875rem; }
  .error { color: var(--error-color); }
  .hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
  [hidden] { display: none !important; }
`;
