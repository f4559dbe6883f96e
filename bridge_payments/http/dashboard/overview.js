// How it is going: the four rates, what is not known, money over time, accounts, the newest payments.
import { get } from "./api.js";
import { chart } from "./charts.js";
import { age, code, h, money, percent, shortMoney, table, tag, whole } from "./dom.js";
import { paymentTable } from "./payments.js";

const PERIODS = { 1: "24 hours", 7: "7 days", 30: "30 days", 90: "90 days" };

export const overview = {
  title: "Overview",
  every: 60000, // sums of three months are no work for every few seconds

  async load({ days = "30" }) {
    const [series, vitals, newest, health] = await Promise.all([
      get("/admin/stats/series", { days }), get("/admin/vitals", { days }),
      get("/admin/payments", { limit: 8 }), get("/admin/health"),
    ]);
    const { database, payment_providers: providers } = health.services;
    return { series, vitals, newest: newest.payments, database, providers: providers.providers };
  },

  draw({ series, vitals, newest, database, providers }, { days = "30" }) {
    return [
      h("div", { class: "head" }, h("h1", { tabindex: "-1" }, "Overview"), period(days)),
      vitals.unknown.count ? alarm(vitals.unknown) : null,
      h("section", { class: "cards", "aria-label": "Rates" }, rates(vitals)),
      h("section", { class: "charts", "aria-label": "Over time" }, plots(series)),
      h("div", { class: "two" },
        h("section", { class: "panel" }, h("h2", {}, "Accounts"), accounts(series, vitals.calls, providers, database)),
        h("section", { class: "panel" },
          h("div", { class: "head" }, h("h2", {}, "Newest payments"), h("a", { href: "#/payments" }, "All payments")),
          paymentTable(newest, "Newest payments", true))),
    ];
  },
};

function period(days) {
  const select = h("select", { id: "period", onchange: () => { location.hash = `#/?days=${select.value}`; } },
    Object.entries(PERIODS).map(([value, text]) => h("option", { value, selected: value === days }, text)));
  return h("label", { class: "inline" }, "Last ", select);
}

const alarm = ({ count, oldest_at: oldest }) => h("p", { class: "alarm", role: "alert" },
  `${count === 1 ? "One instruction has" : `${count} instructions have`} no known outcome; the oldest for ${age(oldest)}. `,
  h("a", { href: "#/unknown" }, "Look at them"));

// --- rates ----------------------------------------------------------------------------------------

function rates({ payments, webhooks, cache, responses, unknown }) {
  return [
    card("Payment success", percent(payments.success_rate),
      `${whole(payments.completed)} collected, ${whole(payments.failed)} ended without, ${whole(payments.pending)} open`, "success-rate"),
    card("Webhook delivery", percent(webhooks.delivery_rate),
      `${whole(webhooks.delivered)} delivered, ${whole(webhooks.dead)} dead, ${whole(webhooks.pending)} on their way`, "delivery-rate"),
    card("Response time", responses ? milliseconds(responses.p50_ms) : "–",
      responses ? `95 % within ${milliseconds(responses.p95_ms)}; this process, last ${whole(responses.count)} requests` : "no request in this process yet", "response-time"),
    card("Cache hit rate", percent(cache.hit_rate),
      cache.hits + cache.misses ? `${whole(cache.hits)} of ${whole(cache.hits + cache.misses)}; this process` : "nothing was looked up in this process", "hit-rate"),
    card("Unknown outcomes", whole(unknown.count), unknown.count ? `oldest for ${age(unknown.oldest_at)}` : "every instruction has an answer", "unknown", unknown.count ? "wait" : ""),
  ];
}

const milliseconds = (time) => `${time < 10 ? time.toFixed(1) : whole(Math.round(time))} ms`;

const card = (title, figure, more, id, tone = "") => h("div", { class: `card ${tone}`, id: `rate-${id}` },
  h("h3", {}, title), h("p", { class: "figure-text" }, figure), h("p", { class: "quiet small" }, more));

// --- plots ----------------------------------------------------------------------------------------

function plots({ intervals, interval_seconds: seconds, total }) {
  const hourly = seconds < 86400;
  const counts = chart({
    title: "Payments begun, and how they ended", hourly, intervals, format: whole,
    note: `${whole(total.completed)} collected, ${whole(total.failed)} ended without, ${whole(total.pending)} open.`,
    bars: [
      { name: "collected", tone: "good", of: (one) => one.completed },
      { name: "ended without", tone: "bad", of: (one) => one.failed },
      { name: "open", tone: "open", of: (one) => one.pending },
    ],
  });
  const rate = chart({
    title: "Success rate", hourly, intervals, format: percent,
    note: total.success_rate == null ? "No payment has ended." : `${percent(total.success_rate)} of the payments that ended.`,
    line: { name: "success rate", of: (one) => one.success_rate },
  });
  return [h("div", { class: "panel half", id: "plot-payments" }, counts), h("div", { class: "panel half", id: "plot-rate" }, rate),
    ...total.volumes.map((sum) => h("div", { class: "panel", id: `plot-${sum.currency}` }, volume(sum, intervals, hourly)))];
}

/** One currency. Amounts of several are never in one picture, let alone in one sum. */
function volume({ currency, captured_cents: captured, refunded_cents: refunded }, intervals, hourly) {
  const of = (one) => one.volumes.find((sum) => sum.currency === currency);
  return chart({
    title: `Collected in ${currency}`, hourly, intervals,
    note: `${money(captured, currency)}${refunded ? `, ${money(refunded, currency)} of it given back` : ""}.`,
    format: (minor) => shortMoney(minor, currency),
    exact: (minor) => money(minor, currency),
    bars: [
      { name: "kept", tone: "kept", of: (one) => of(one)?.net_cents ?? 0 },
      ...(refunded ? [{ name: "given back", tone: "back", of: (one) => of(one)?.refunded_cents ?? 0 }] : []),
    ],
  });
}

// --- accounts -------------------------------------------------------------------------------------

function accounts(series, calls, providers, database) {
  const names = [...new Set([...Object.keys(providers), ...series.accounts.map((one) => one.provider_id)])].filter(Boolean);
  const last = Object.fromEntries(calls.map((one) => [one.provider_id, one]));
  const figures = Object.fromEntries(series.accounts.map((one) => [one.provider_id, one]));
  const mode = (name) => ({ true: "live", false: "test" })[providers[name]?.livemode] ?? "not configured";
  return [
    table("Accounts", [["Account"], ["Mode"], ["Last call"], ["Collected", "n"], ["Without", "n"], ["Success", "n"]],
      names.map((name) => [code(name), mode(name), lastCall(last[name]), whole(figures[name]?.completed ?? 0), whole(figures[name]?.failed ?? 0),
        percent(figures[name]?.success_rate)]), "No account is configured."),
    h("p", { class: "small" }, "Database ", tag(database.status)),
  ];
}

/** How the provider answered this process last; nothing is asked of it to find out. */
const lastCall = (last) => (last ? h("span", { title: `${last.outcome}, ${age(last.at)} ago` }, tag(last.answered ? "answered" : "silent"), ` ${milliseconds(last.milliseconds)}`)
  : h("span", { class: "quiet" }, "none yet"));
