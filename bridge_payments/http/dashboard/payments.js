// Payments: the list with its search, and the whole story of one of them.
import { get, post } from "./api.js";
import { act, code, h, moment, money, table, tag, whole } from "./dom.js";
import { operationActions } from "./unknown.js";

const STATUSES = ["pending", "requires_confirmation", "requires_action", "processing", "requires_capture", "succeeded",
  "partially_refunded", "refunded", "failed", "canceled"];

export const payments = {
  title: "Payments",

  load: ({ search, status, page }) => get("/admin/payments", { search, status, page, limit: 25 }),

  draw({ payments: found, pagination }, { search = "", status = "" }) {
    return [
      h("h1", { tabindex: "-1" }, "Payments"),
      searchForm(search, status),
      h("section", { class: "panel", "aria-label": "Payments found" },
        paymentTable(found, "Payments"), pages(pagination, search, status)),
    ];
  },
};

function searchForm(search, status) {
  const words = h("input", { type: "search", id: "search", value: search, placeholder: "Id, e-mail, description" });
  const states = h("select", { id: "status" }, h("option", { value: "" }, "any"),
    STATUSES.map((each) => h("option", { value: each, selected: each === status }, each.replaceAll("_", " "))));
  return h("form", { class: "filters", role: "search", onsubmit: (event) => {
    event.preventDefault();
    location.hash = address(words.value, states.value, 1);
  } },
  h("label", { for: "search" }, "Search ", words), h("label", { for: "status" }, "Status ", states),
  h("button", { class: "small" }, "Find"));
}

const address = (search, status, page) => `#/payments?${new URLSearchParams({ search, status, page })}`;

function pages({ page, pages: last, total }, search, status) {
  const more = total >= 10000 ? " or more" : "";
  return h("p", { class: "pages" },
    page > 1 ? h("a", { href: address(search, status, page - 1), rel: "prev" }, "Newer") : null,
    h("span", { class: "quiet" }, `Page ${page} of ${Math.max(last, 1)}, ${whole(total)}${more} in all`),
    page < last ? h("a", { href: address(search, status, page + 1), rel: "next" }, "Older") : null);
}

export function paymentTable(found, label, short = false) {
  const columns = [["Payment"], ["Status"], ["Payer", short ? "gone" : "wide"], ["Account", "wide"], ["Amount", "n"], ["Begun", "wide"]];
  return table(label, columns, found.map((one) => [
    h("a", { href: `#/payments/${encodeURIComponent(one.id)}` }, one.reference_code || one.description || one.id),
    tag(one.outcome === "unknown" ? "unknown" : one.status),
    one.guest_email || one.user_id || h("span", { class: "quiet" }, "–"),
    one.provider_id ? code(one.provider_id) : "–",
    money(one.total_cents, one.currency),
    moment(one.created_at, { dateStyle: "short", timeStyle: "short" }),
  ]), "There is none.");
}

// --- one payment ----------------------------------------------------------------------------------

export const payment = {
  title: "Payment",

  async load({ id }) {
    const path = `/admin/payments/${encodeURIComponent(id)}`;
    const [one, story] = await Promise.all([get(path), get(`${path}/timeline`)]);
    return { one, story };
  },

  draw({ one, story }, _, reload) {
    const sync = () => post(`/payments/intents/${encodeURIComponent(one.id)}/sync`).then(reload);
    return [
      h("p", {}, h("a", { href: "#/payments" }, "All payments")),
      h("div", { class: "head" },
        h("div", {}, h("h1", { tabindex: "-1" }, money(one.total_cents, one.currency)),
          h("p", { class: "under" }, tag(one.status), one.reference_code || one.description || "", one.livemode === false ? h("span", { class: "quiet" }, "test mode") : null)),
        act("Read at the provider", sync, "Read again.")),
      h("div", { class: "detail" },
        h("section", { class: "panel", "aria-labelledby": "story" }, h("h2", { id: "story" }, "What happened"), timeline(one, story, reload)),
        h("div", {},
          h("section", { class: "panel", "aria-labelledby": "sums" }, h("h2", { id: "sums" }, "Money"), sums(one)),
          h("section", { class: "panel", "aria-labelledby": "facts" }, h("h2", { id: "facts" }, "Record"), facts(one)))),
    ];
  },
};

const terms = (pairs) => h("dl", { class: "facts" }, pairs.filter(([, value]) => value != null && value !== "").map(([name, value]) =>
  h("div", {}, h("dt", {}, name), h("dd", {}, value))));

function sums(one) {
  const sum = (minor) => money(minor, one.currency);
  return terms([
    ["Total", sum(one.total_cents)], ["Authorised", sum(one.authorized_amount_cents)], ["Captured", sum(one.captured_amount_cents)],
    ["Given back", sum(one.refunded_amount_cents)], ["Disputed", one.disputed_amount_cents ? sum(one.disputed_amount_cents) : null],
  ]);
}

function facts(one) {
  return terms([
    ["Payment", code(one.id)], ["Account", code(one.provider_id)], ["Provider's intent", code(one.provider_intent_id)],
    ["Provider's payment", one.provider_payment_id && code(one.provider_payment_id)],
    ["Order", one.reference_code], ["Description", one.description],
    ["Payer", one.guest_email || one.user_id], ["Guest", one.guest_name], ["Customer", one.customer_id && code(one.customer_id)],
    ["Method", one.payment_method_id && code(one.payment_method_id)], ["Subscription", one.subscription_id && code(one.subscription_id)],
    ["Decline", one.decline_code && code(one.decline_code)], ["Error", one.error_message], ["In review", one.review ? "yes" : null],
    ["Capture", one.capture_method], ["Begun", moment(one.created_at)], ["Changed", moment(one.updated_at)],
    ["Completed", one.completed_at && moment(one.completed_at)], ["Version", String(one.version)],
  ]);
}

// --- its story ------------------------------------------------------------------------------------

function timeline(one, { operations, refunds, events, received }, reload) {
  const entries = [
    ...operations.map((each) => [each.created_at, asked(each, reload)]),
    ...refunds.map((each) => [each.created_at, gaveBack(each)]),
    ...events.map((each) => [each.created_at, told(each, reload)]),
    ...received.map((each) => [each.created_at, heard(each, reload)]),
  ].sort(([first], [second]) => first.localeCompare(second));
  return h("ol", { class: "story" }, entries.map(([at, [kind, label, ...parts]]) => h("li", { class: kind },
    h("span", { class: "kind" }, label), moment(at, { dateStyle: "short", timeStyle: "medium" }), h("div", {}, parts))));
}

const notes = (...texts) => {
  const said = [...new Set(texts.filter(Boolean))];
  return said.length ? h("p", { class: "quiet small" }, said.join(" · ")) : null;
};

function asked(one, reload) {
  return ["asked", "asked", code(one.verb), " ", tag(one.state),
    notes(one.decline_code, one.error_code, one.error_message, one.resolution, one.request_id && `request ${one.request_id}`, one.attempts > 1 && `looked at ${one.attempts} times`),
    ...one.statements.map(said), ...(one.finished_at ? [] : operationActions(one, reload))];
}

/** What an operator said of it. */
const said = ({ by, at, outcome, evidence, provider_reference: reference, came_of: cameOf }) => h("p", { class: "quiet small" },
  h("strong", {}, by), ` said ${outcome.replaceAll("_", " ")}${reference ? ` (${reference})` : ""} `, moment(at), `: ${evidence} · ${cameOf}`);

const gaveBack = (one) => ["asked", "refund", `${money(one.amount_cents, one.currency)} `, tag(one.status),
  notes(one.reason, one.provider_refund_id)];

function told(one, reload) {
  return ["told", "told", code(one.type), h("ul", { class: "plain" }, one.deliveries.map((to) => h("li", {}, "to ", h("strong", {}, to.endpoint), " ", tag(to.state),
    to.attempts > 1 ? ` after ${to.attempts} tries ` : " ", redeliver(to, reload), notes(to.error))))];
}

function heard(one, reload) {
  return ["heard", "heard", code(one.event_type), " ", tag(one.state), notes(one.event_id),
    one.state === "dead" ? replay(one, reload) : null];
}

export const redeliver = (one, reload) => (one.state === "pending" ? null
  : act("Send again", () => post(`/webhooks/deliveries/${encodeURIComponent(one.id)}/redeliver`).then(reload), "It is on its way again.",
    { class: "ghost small", "aria-label": `Send ${one.event_type} to ${one.endpoint} again` }));

export const replay = (one, reload) => act("Process again", () => post(`/webhooks/received/${encodeURIComponent(one.id)}/replay`).then(reload),
  "It is processed again.", { class: "ghost small", "aria-label": `Process ${one.event_type} again` });
