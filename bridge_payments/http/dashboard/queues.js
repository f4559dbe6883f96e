// What we tell, what providers tell us, and how each of it went.
import { get, post } from "./api.js";
import { act, code, h, moment, table, tag, whole } from "./dom.js";
import { redeliver, replay } from "./payments.js";

const short = { dateStyle: "short", timeStyle: "medium" };

function filter(name, address, states, state) {
  const select = h("select", { id: "state", onchange: () => { location.hash = `#/${address}?${new URLSearchParams({ state: select.value })}`; } },
    h("option", { value: "" }, "any"), states.map((each) => h("option", { value: each, selected: each === state }, each)));
  return h("div", { class: "head" }, h("h1", { tabindex: "-1" }, name), h("label", { class: "inline", for: "state" }, "State ", select));
}

function older(address, found, state) {
  if (found.length < 50) return null;
  const query = new URLSearchParams({ state, before: found.at(-1).id });
  return h("p", { class: "pages" }, h("a", { href: `#/${address}?${query}`, rel: "next" }, "Older"));
}

export const deliveries = {
  title: "Deliveries",

  async load({ state, before }) {
    const [found, endpoints] = await Promise.all([get("/webhooks/deliveries", { state, before, limit: 50 }), get("/webhooks")]);
    return { found, endpoints };
  },

  draw({ found, endpoints }, { state = "" }, reload) {
    return [
      filter("Deliveries", "deliveries", ["pending", "delivered", "dead"], state),
      h("section", { class: "panel", "aria-labelledby": "endpoints" }, h("h2", { id: "endpoints" }, "Who is told"),
        table("Endpoints", [["Endpoint"], ["Where", "wide"], ["Events", "wide"], ["State"], ["Failures", "n"], ["", "buttons"]],
          endpoints.map((one) => [one.name, one.url ? code(one.url) : "a handler of the application", one.events.join(", "),
            tag(one.enabled ? "on" : "off"), whole(one.failures),
            act("Send missed again", () => post(`/webhooks/${encodeURIComponent(one.id)}/redeliver`).then(reload), "What it did not get is on its way again.",
              { class: "ghost small", "aria-label": `Send everything to ${one.name} again that it did not get` })]), "Nobody is told of anything.")),
      h("section", { class: "panel", "aria-labelledby": "told" }, h("h2", { id: "told" }, "What was told"),
        table("Deliveries", [["Event"], ["To"], ["State"], ["Tries", "n wide"], ["Answer", "wide"], ["Made", "wide"], ["", "buttons"]],
          found.map((one) => [code(one.event_type), one.endpoint, tag(one.state), whole(one.attempts),
            one.error || (one.status_code ? String(one.status_code) : "–"), moment(one.created_at, short), redeliver(one, reload)]),
          "There is none."),
        older("deliveries", found, state)),
    ];
  },
};

export const received = {
  title: "Received",

  load: ({ state, before }) => get("/webhooks/received", { state, before, limit: 50 }),

  draw(found, { state = "" }, reload) {
    return [
      filter("Received", "received", ["received", "parked", "processed", "ignored", "dead"], state),
      h("p", { class: "lead" }, "Verified webhooks of the providers. Each is a hint: what it names is read again at the provider."),
      h("section", { class: "panel", "aria-label": "Received webhooks" },
        table("Received webhooks", [["Event"], ["Account"], ["State"], ["Tries", "n wide"], ["About", "wide"], ["Came", "wide"], ["", "buttons"]],
          found.map((one) => [code(one.event_type), code(one.provider_id), tag(one.state), whole(one.attempts),
            one.payment_id ? h("a", { href: `#/payments/${encodeURIComponent(one.payment_id)}` }, "its payment") : "–",
            moment(one.created_at, short), replay(one, reload)]), "Nothing has arrived."),
        older("received", found, state)),
    ];
  },
};
