// Making elements and writing values. What is shown is text, never markup.
import { EXPONENTS } from "./currencies.js";

const SVG = "http://www.w3.org/2000/svg";

/** Make an element: h("li", {class: "x"}, "text", child). */
export function h(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** Make an element of a drawing. */
export function s(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

/** Write minor units of a currency as people read them. */
export function money(minor, currency) {
  const decimals = EXPONENTS[currency] ?? 2;
  const sum = minor / 10 ** decimals;
  const digits = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
  try {
    return new Intl.NumberFormat(navigator.language, { style: "currency", currency, ...digits }).format(sum);
  } catch {
    return `${sum.toFixed(decimals)} ${currency}`; // the browser knows no such currency
  }
}

/** The same, short enough for an axis. */
export function shortMoney(minor, currency) {
  const sum = minor / 10 ** (EXPONENTS[currency] ?? 2);
  return new Intl.NumberFormat(navigator.language, { notation: "compact", maximumSignificantDigits: 3 }).format(sum);
}

export const whole = (count) => new Intl.NumberFormat(navigator.language).format(count);

export function percent(share) {
  if (share == null) return "–";
  const digits = share > 0.995 && share < 1 ? 2 : 1;
  return new Intl.NumberFormat(navigator.language, { style: "percent", maximumFractionDigits: digits }).format(share);
}

/** A moment in the reader's own time; the exact one, in UTC, is its title. */
export function moment(at, options = { dateStyle: "medium", timeStyle: "medium" }) {
  if (!at) return h("span", { class: "quiet" }, "–");
  return h("time", { datetime: at, title: at }, new Date(at).toLocaleString([], options));
}

/** How long ago, roughly: "3 h". */
export function age(at) {
  const minutes = Math.max(0, (Date.now() - new Date(at)) / 60000);
  if (minutes < 1) return "less than a minute";
  if (minutes < 90) return `${Math.round(minutes)} min`;
  if (minutes < 36 * 60) return `${Math.round(minutes / 60)} h`;
  return `${Math.round(minutes / 1440)} days`;
}

const TONES = {
  succeeded: "good", delivered: "good", processed: "good", connected: "good", on: "good", answered: "good",
  requires_capture: "wait", requires_action: "wait", processing: "wait", pending: "wait", requires_confirmation: "wait",
  unknown: "wait", reserved: "wait", received: "wait", parked: "wait", waiting: "wait",
  failed: "bad", rejected: "bad", dead: "bad", unavailable: "bad", off: "bad", silent: "bad",
};

/** A state as a coloured word: the word says it, the colour only helps. */
export const tag = (state) => h("span", { class: `tag ${TONES[state] ?? ""}` }, String(state).replaceAll("_", " "));

export const code = (text) => h("code", {}, text ?? "–");

/** A table that scrolls by itself on a narrow screen. Columns: [title, class]. */
export function table(label, columns, rows, empty) {
  if (!rows.length) return h("p", { class: "quiet empty" }, empty);
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
    h("table", {},
      h("thead", {}, h("tr", {}, columns.map(([title, kind]) => h("th", { scope: "col", class: kind }, title)))),
      h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell, index) => h("td", { class: columns[index][1] }, cell ?? "")))))));
}

export function say(text, bad = false) {
  const place = document.getElementById("said");
  place.textContent = text;
  place.className = `said on ${bad ? "bad" : ""}`;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { place.className = "said"; }, bad ? 12000 : 5000);
}

/** A button that does something once at a time and says how it went. */
export function act(text, deed, done, more = {}) {
  const button = h("button", { type: "button", class: "soft small", ...more, onclick: async () => {
    button.disabled = true;
    try {
      await deed();
      say(done);
    } catch (error) {
      say(error.message, true);
    } finally {
      button.disabled = false;
    }
  } }, text);
  return button;
}
