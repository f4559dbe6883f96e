// Which view is shown, when it is read again, and what is said when it cannot be.
import { broughtSession, get, signIn } from "./api.js";
import { h } from "./dom.js";
import { overview } from "./overview.js";
import { payment, payments } from "./payments.js";
import { deliveries, received } from "./queues.js";
import { unknown } from "./unknown.js";

const VIEWS = { overview, payments, payment, unknown, deliveries, received };
const EVERY = 15000;
const main = document.getElementById("main");
let turn = 0;
let drawn = "";
let readAt = 0;

/** Read the address: the name of a view, what it shows, and under which entry of the menu it stands. */
function asked() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, id] = path.split("/");
  const more = Object.fromEntries(new URLSearchParams(query));
  if (name === "payments" && id) return { name: "payment", menu: "payments", more: { ...more, id: decodeURIComponent(id) } };
  const known = name in VIEWS && name !== "payment" ? name : "overview";
  return { name: known, menu: known, more };
}

async function show({ again = false } = {}) {
  const mine = ++turn;
  const { name, menu, more } = asked();
  const view = VIEWS[name];
  readAt = Date.now();
  try {
    const [data] = await Promise.all([view.load(more), count()]);
    if (mine !== turn) return; // somebody went on meanwhile
    const text = `${location.hash} ${JSON.stringify(data)}`;
    if (again && text === drawn) return; // a click must not land on a button that was just replaced
    drawn = text;
    main.replaceChildren(...view.draw(data, more, () => show({ again: true })).filter(Boolean));
  } catch (error) {
    if (mine !== turn) return;
    drawn = "";
    main.replaceChildren(refusal(error));
  }
  main.removeAttribute("aria-busy");
  document.title = `${view.title} · Payments`;
  for (const link of document.querySelectorAll("#nav a")) {
    if (link.dataset.view === menu) {
      link.setAttribute("aria-current", "page");
      if (!again) link.scrollIntoView({ block: "nearest", inline: "center" }); // on a phone the menu is wider than the screen
    } else link.removeAttribute("aria-current");
  }
}

/** Keep the two numbers in the menu that somebody has to do something about. */
async function count() {
  const { unknown: open, webhooks } = await get("/admin/vitals", { days: 7 });
  badge("count-unknown", open.count, "open");
  badge("count-dead", webhooks.dead, "dead in the last week");
}

function badge(id, number, meaning) {
  const place = document.getElementById(id);
  place.hidden = !number;
  place.textContent = number;
  place.title = `${number} ${meaning}`;
}

// --- when there is nothing to show ----------------------------------------------------------------

function refusal(error) {
  if (error.status === 401) return strangers("Sign in", "This page shows payments to admins. Sign in to the application as an admin and come back, "
    + "or give a session of yours: it is kept in this page only, until it is closed or read again.", broughtSession());
  if (error.status === 403) return strangers("Not for you", "You are signed in, and not as an admin.");
  return h("section", { class: "panel narrow", role: "alert" }, h("h1", {}, "That did not work"), h("p", {}, error.message),
    h("button", { type: "button", onclick: () => show() }, "Try again"));
}

function strangers(title, text, refused = false) {
  const field = h("input", { id: "session", type: "password", autocomplete: "off", required: true });
  return h("section", { class: "panel narrow" }, h("h1", { tabindex: "-1" }, title), h("p", {}, text),
    refused && h("p", { role: "alert" }, "The session that you gave is not accepted."),
    h("form", { onsubmit: (event) => {
      event.preventDefault();
      signIn(field.value);
      show();
    } },
    h("div", { class: "field" }, h("label", { for: "session" }, "Session"), field), h("button", {}, "Show the payments")));
}

// --- when it is read again ------------------------------------------------------------------------

window.addEventListener("hashchange", async () => {
  document.querySelector("dialog[open]")?.close(); // it was about what was shown before
  main.setAttribute("aria-busy", "true");
  await show();
  scrollTo(0, 0);
  main.querySelector("h1")?.focus({ preventScroll: true }); // a screen reader says where it is
});
document.getElementById("refresh").addEventListener("click", () => show({ again: true }));
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address says which view it is
  main.focus();
});

/** Not under somebody's hands: neither while a dialog is open nor while they are at a control. */
const busy = () => document.hidden || document.querySelector("dialog[open]")
  || (main.contains(document.activeElement) && document.activeElement.matches("input, select, textarea, button, summary, svg, a"));

const due = () => Date.now() - readAt >= (VIEWS[asked().name].every ?? 0);

setInterval(() => { if (due() && !busy() && !main.querySelector("#session")) show({ again: true }); }, EVERY);
show();
