// Bars over time, or a line, drawn as SVG. Read with the pointer, the arrow keys, or as a table.
import { h, s } from "./dom.js";

const HEIGHT = 190;
const PAD = { top: 12, right: 10, bottom: 24, left: 46 };

/**
 * Return a figure. `bars` are stacked, each {name, tone, of(interval)}; or `line` is {name, of(interval)}, a share
 * from 0 to 1, null where there is nothing to say. `format` writes a value of the axis, `exact` one to be read.
 */
export function chart({ title, note, intervals, hourly, bars = [], line, format, exact = format }) {
  const drawing = s("svg", { class: "chart", role: "img", tabindex: "0", height: HEIGHT,
    "aria-label": `${title}. ${note} Use the arrow keys to read each interval.` });
  const readout = h("p", { class: "readout", "aria-live": "polite" }, note);
  let chosen = null;
  let place = () => {};

  function choose(index) {
    chosen = index == null ? null : Math.min(Math.max(index, 0), intervals.length - 1);
    readout.textContent = chosen == null ? note : said(intervals[chosen]);
    place();
  }

  const said = (one) => `${spoken(one.begins_at, hourly)}: `
    + (line ? `${line.name} ${exact(line.of(one))}` : bars.map((bar) => `${exact(bar.of(one))} ${bar.name}`).join(", "));

  const step = { ArrowLeft: -1, ArrowRight: 1 };
  drawing.addEventListener("keydown", (event) => {
    const last = intervals.length - 1;
    const aims = { Home: 0, End: last, Escape: null };
    if (event.key in step) choose(chosen == null ? last : chosen + step[event.key]);
    else if (event.key in aims) choose(aims[event.key]);
    else return;
    event.preventDefault();
  });
  drawing.addEventListener("pointermove", (event) => {
    const inner = drawing.clientWidth - PAD.left - PAD.right;
    const x = event.clientX - drawing.getBoundingClientRect().left - PAD.left;
    choose(Math.floor((x / inner) * intervals.length));
  });
  drawing.addEventListener("pointerleave", () => choose(null));
  drawing.addEventListener("blur", () => choose(null));

  new ResizeObserver(() => {
    if (drawing.clientWidth) place = draw(drawing, { intervals, hourly, bars, line, format, chosen: () => chosen });
    place();
  }).observe(drawing);

  return h("figure", { class: "figure" },
    h("figcaption", {}, h("h3", {}, title), legend(bars)),
    drawing, readout, asTable({ title, intervals, hourly, bars, line, exact }));
}

const legend = (bars) => (bars.length < 2 ? null
  : h("ul", { class: "legend" }, bars.map((bar) => h("li", {}, h("i", { class: `key ${bar.tone}` }), bar.name))));

function draw(drawing, { intervals, hourly, bars, line, format, chosen }) {
  const width = drawing.clientWidth;
  const inner = { width: width - PAD.left - PAD.right, height: HEIGHT - PAD.top - PAD.bottom };
  const sums = intervals.map((one) => bars.reduce((sum, bar) => sum + bar.of(one), 0));
  const top = line ? 1 : niceTop(Math.max(...sums, 1));
  const slot = inner.width / intervals.length;
  const thick = Math.max(Math.min(slot * 0.7, 34), 1);
  const y = (value) => PAD.top + inner.height * (1 - value / top);
  const x = (index) => PAD.left + slot * (index + 0.5);
  const marker = s("rect", { class: "marker", y: PAD.top, width: slot, height: inner.height, visibility: "hidden" });
  const grid = [0, 0.5, 1].filter((part) => line || Number.isInteger(top * part)).map((part) => [
    s("line", { class: "grid", x1: PAD.left, x2: width - PAD.right, y1: y(top * part), y2: y(top * part) }),
    s("text", { class: "axis", x: PAD.left - 8, y: y(top * part) + 4, "text-anchor": "end" }, format(top * part)),
  ]);
  const stacks = intervals.map((one, index) => {
    let below = 0;
    return bars.map((bar) => {
      const value = bar.of(one);
      if (!value) return null;
      below += value;
      const tall = Math.max((inner.height * value) / top, 1);
      return s("rect", { class: `bar ${bar.tone}`, x: x(index) - thick / 2, y: y(below), width: thick, height: tall, rx: Math.min(2, thick / 4) });
    });
  });
  drawing.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  drawing.replaceChildren(...[marker, grid, stacks, line ? path(intervals, line, x, inner.height) : null,
    days(intervals, hourly, x, width)].flat(3).filter(Boolean));
  return () => {
    const index = chosen();
    marker.setAttribute("visibility", index == null ? "hidden" : "visible");
    if (index != null) marker.setAttribute("x", PAD.left + slot * index);
  };
}

/** The line breaks where there is nothing to say. */
function path(intervals, line, x, height) {
  const y = (share) => PAD.top + height * (1 - share);
  let pen = "M";
  let shape = "";
  const points = [];
  intervals.forEach((one, index) => {
    const share = line.of(one);
    if (share == null) {
      pen = "M";
      return;
    }
    shape += `${pen}${x(index).toFixed(1)} ${y(share).toFixed(1)}`;
    pen = "L";
    if (intervals.length <= 48) points.push(s("circle", { class: "point", cx: x(index), cy: y(share), r: 2.6 }));
  });
  return [s("path", { class: "line", d: shape || "M0 0" }), ...points];
}

function days(intervals, hourly, x, width) {
  const every = Math.max(1, Math.ceil(intervals.length / Math.max(2, Math.floor(width / 90))));
  return intervals.map((one, index) => ((intervals.length - 1 - index) % every ? null
    : s("text", { class: "axis", x: x(index), y: HEIGHT - 6, "text-anchor": index === intervals.length - 1 && intervals.length > 4 ? "end" : "middle" },
      stamp(one.begins_at, hourly))));
}

function niceTop(most) {
  const scale = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 4, 6, 8, 10].map((part) => part * scale).find((top) => top >= most);
}

// Days are the server's, in UTC: written in the reader's zone, the same day would have another name.
const stamp = (at, hourly) => (hourly
  ? new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })
  : new Date(at).toLocaleDateString([], { timeZone: "UTC", day: "numeric", month: "short" }));
const spoken = (at, hourly) => (hourly
  ? new Date(at).toLocaleString([], { weekday: "short", hour: "2-digit", minute: "2-digit" })
  : new Date(at).toLocaleDateString([], { timeZone: "UTC", weekday: "short", day: "numeric", month: "short" }));

function asTable({ title, intervals, hourly, bars, line, exact }) {
  const columns = line ? [line] : bars;
  const box = h("details", { class: "as-table" }, h("summary", {}, "As a table"));
  box.addEventListener("toggle", () => {
    if (!box.open || box.children.length > 1) return;
    box.append(h("div", { class: "scroll short", tabindex: "0", role: "region", "aria-label": `${title}, as a table` }, h("table", {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "From"), columns.map(({ name }) => h("th", { scope: "col", class: "n" }, name)))),
      h("tbody", {}, [...intervals].reverse().map((one) => h("tr", {}, h("th", { scope: "row" }, spoken(one.begins_at, hourly)),
        columns.map((column) => h("td", { class: "n" }, exact(column.of(one))))))))));
  });
  return box;
}
