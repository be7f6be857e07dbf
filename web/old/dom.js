// SPDX-License-Identifier: GPL-3.0-or-later

// Small tools to build and update elements. Text only ever becomes text nodes, never markup.

/** Makes an element; properties that start with "data-" or "aria-" become attributes, functions become listeners. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === 'function') element.addEventListener(name, value);
    else if (name.includes('-')) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

/** Writes text only where it differs, so that a selection and a screen reader are left alone. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setStatus(element, status) {
  if (element.dataset.status !== status) element.dataset.status = status;
}

/**
 * Keeps the children of a list equal to items: known ones are updated in place and moved, new ones made, others removed.
 * make(item) returns {element, update(item)}.
 */
export class KeyedList {
  constructor(parent, make, key = (item) => item.id) {
    this.parent = parent;
    this.make = make;
    this.key = key;
    this.rows = new Map();
  }

  update(items) {
    const left = new Set(this.rows.keys());
    let place = this.parent.firstElementChild;
    for (const item of items) {
      const id = this.key(item);
      left.delete(id);
      let row = this.rows.get(id);
      if (!row) {
        row = this.make(item);
        this.rows.set(id, row);
      }
      row.update(item);
      if (row.element === place) place = place.nextElementSibling;
      else this.parent.insertBefore(row.element, place);
    }
    for (const id of left) {
      this.rows.get(id).element.remove();
      this.rows.delete(id);
    }
  }
}

const spans = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];

/** "3 min ago" for a time of the API. */
export function ago(time) {
  if (!time) return 'never';
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(time)) / 1000));
  for (const [size, unit] of spans) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit} ago`;
  }
  return 'just now';
}
