// Looks at the records every second and redraws what changed. Everything it shows is text, never markup.
"use strict";

(() => {
  const page = JSON.parse(document.getElementById("page").textContent);
  const open = new Set();
  const drawn = {};
  const $ = (id) => document.getElementById(id);
  const cash = (minor, currency) => money(minor, currency, page.exponents);
  const clock = (at) => (at ? new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" }) : "");

  const TONES = {
    succeeded: "good", delivered: "good", processed: "good", refunded: "", partially_refunded: "", ignored: "",
    requires_capture: "wait", requires_action: "wait", processing: "wait", pending: "wait", requires_confirmation: "wait",
    unknown: "wait", reserved: "wait", received: "wait", parked: "wait", waiting: "wait",
    failed: "bad", canceled: "", rejected: "bad", dead: "bad", abandoned: "bad",
  };
  const tag = (state) => h("span", { class: `tag ${TONES[state] ?? ""}` }, state.replaceAll("_", " "));

  /** Redraw *id* only if what it shows changed: a click must not land on a button that was just replaced. */
  function draw(id, data, make) {
    const text = JSON.stringify(data);
    if (drawn[id] === text) return;
    drawn[id] = text;
    $(id).replaceChildren(...make());
  }

  async function tell(path, body) {
    const answer = await fetch(path, {
      method: "POST", headers: { "content-type": "application/json", "x-sandbox": "1" }, body: JSON.stringify(body),
    });
    const read = await answer.json();
    if (!answer.ok) throw new Error(read.error);
    look();
    return read;
  }

  // --- switches ---------------------------------------------------------------------------------

  const NAMES = {
    drop_after: "Do it, lose the answer", drop_before: "Lose the request", hang_after: "Do it, never answer",
    half_answer: "Half an answer", error_after: "Do it, answer 500", error_before: "503 from the edge",
  };
  for (const button of document.querySelectorAll("[data-fault]")) {
    button.addEventListener("click", () => tell("/live/switch", { fault: button.dataset.fault }));
  }
  for (const button of document.querySelectorAll("[data-hooks]")) {
    button.addEventListener("click", () => tell("/live/switch", { webhooks: button.dataset.hooks }));
  }
  for (const button of document.querySelectorAll("[data-release]")) {
    button.addEventListener("click", () => tell("/live/switch", { release: button.dataset.release }));
  }
  for (const button of document.querySelectorAll("[data-subscriber]")) {
    button.addEventListener("click", () => tell("/live/switch", { subscriber: button.dataset.subscriber }));
  }

  function switches({ faults, webhooks }, subscriber) {
    for (const button of document.querySelectorAll("[data-fault]")) {
      button.classList.toggle("alarm", faults.some((fault) => fault.kind === button.dataset.fault));
    }
    draw("armed", faults, () => faults.length
      ? [`Armed: ${faults.map((fault) => NAMES[fault.kind] || fault.kind).join(", ")}. `,
        h("a", { href: "#", onclick: (event) => { event.preventDefault(); tell("/live/switch", { clear: true }); } }, "Put away")]
      : ["Nothing is armed: the gateway works."]);
    const on = { off: webhooks.off, hold: webhooks.paused, twice: webhooks.copies > 1, reorder: webhooks.reorder };
    on.on = !Object.values(on).some(Boolean);
    for (const button of document.querySelectorAll("[data-hooks]")) {
      button.classList.toggle(button.dataset.hooks === "on" ? "on" : "alarm", Boolean(on[button.dataset.hooks]));
    }
    $("hooks").textContent = webhooks.held ? `${webhooks.held} held back.` : "None is held back.";
    for (const button of document.querySelectorAll("[data-subscriber]")) {
      const mine = (button.dataset.subscriber === "broken") === subscriber.broken;
      button.classList.toggle(subscriber.broken ? "alarm" : "on", mine);
    }
    $("subscriber").textContent = `Requests received: ${subscriber.received}. Every signature is verified.`;
  }

  // --- payments ---------------------------------------------------------------------------------

  function verdict({ open: unknown, apart, charged_twice: twice }) {
    const place = $("verdict");
    let [tone, title, text] = ["", "The books agree", "Ours and the gateway's, to the cent; nobody was charged twice."];
    if (unknown) [tone, title, text] = ["wait", "Asking the gateway", `${unknown} instruction${unknown > 1 ? "s" : ""} without an answer yet.`];
    else if (apart.length) [tone, title, text] = ["wait", "The gateway is ahead", "It knows something that we have not read yet."];
    if (twice) [tone, title, text] = ["bad", "Charged twice", `${twice} charge${twice > 1 ? "s" : ""} too many.`];
    place.className = `verdict ${tone}`;
    place.replaceChildren(title, h("small", {}, text));
  }

  function payment(one) {
    const box = h("details", { class: "payment", "data-id": one.id, open: open.has(one.id) },
      h("summary", {},
        h("span", {}, tag(one.unknown ? "unknown" : one.status)),
        h("span", { class: "order" }, one.reference_code || "free amount"),
        h("span", { class: "who" }, one.guest_email || "", one.provider_id ? h("small", {}, ` · ${page.gateways[one.provider_id] || one.provider_id}`) : null),
        h("span", { class: "sum" }, cash(one.total_cents, one.currency)),
        h("time", {}, clock(one.created_at))),
      h("div", { class: "inner" },
        h("div", {}, h("h4", {}, "Operations"), h("ol", { class: "steps" }, ...one.operations.map(operation))),
        h("div", {}, h("h4", {}, "Events"), h("ol", { class: "steps" }, ...one.events.map((event) => h("li", {},
          h("code", {}, event.type), "", h("time", {}, clock(event.at)))))),
        h("p", { class: "ids" },
          h("span", {}, `collected ${cash(one.captured_cents, one.currency)}, at the gateway ${cash(one.charged_cents, one.currency)}`),
          one.refunded_cents ? h("span", {}, `given back ${cash(one.refunded_cents, one.currency)}`) : null,
          h("code", {}, one.id), h("code", {}, one.provider_intent_id || "")),
        h("div", { class: "actions" },
          !one.unknown && one.refundable_cents > 0 ? act(one, "refund", "Refund …", one.refundable_cents) : null,
          !one.unknown && one.status === "requires_capture" ? act(one, "capture", "Capture …", one.authorized_cents) : null,
          !one.unknown && ["pending", "requires_capture", "requires_action", "requires_confirmation"].includes(one.status) ? act(one, "cancel", "Cancel") : null,
          act(one, "sync", "Read at the gateway"))));
    box.addEventListener("toggle", () => { if (box.open) open.add(one.id); else open.delete(one.id); });
    return box;
  }

  const operation = (one) => h("li", {},
    h("code", {}, one.verb), h("span", {}, tag(one.state)), h("time", {}, clock(one.created_at)),
    one.resolution || one.error_code || one.decline_code
      ? h("small", {}, [...new Set([one.decline_code, one.error_code, one.resolution].filter(Boolean))].join(" · ")) : null);

  function act(one, verb, text, amount) {
    return h("button", { type: "button", class: "button soft", onclick: () => (amount ? ask(one, verb, text, amount) : go(one, verb)) }, text);
  }

  async function go(one, verb, body = {}) {
    try {
      await tell(`/live/payments/${one.id}/${verb}`, body);
    } catch (error) {
      ask(one, verb, "", null, error.message);
    }
  }

  function ask(one, verb, text, amount, problem = "") {
    const dialog = $("ask");
    $("ask-title").textContent = text.replace(" …", "") || "That was refused";
    $("ask-problem").textContent = problem;
    $("ask-amount").closest(".field").hidden = amount == null;
    $("ask-go").hidden = amount == null;
    $("ask-amount").value = amount ?? "";
    const key = crypto.randomUUID();
    $("ask-go").onclick = async (event) => {
      event.preventDefault();
      try {
        await tell(`/live/payments/${one.id}/${verb}`, { amount_cents: Number($("ask-amount").value), key });
        dialog.close();
      } catch (error) {
        $("ask-problem").textContent = error.message;
      }
    };
    dialog.showModal();
  }

  // --- tables -----------------------------------------------------------------------------------

  const row = (...cells) => h("tr", {}, ...cells.map((cell) => (cell instanceof HTMLTableCellElement ? cell : h("td", {}, cell ?? ""))));
  const none = (text, columns) => [h("tr", {}, h("td", { colspan: columns, class: "quiet" }, text))];
  const number = (text) => h("td", { class: "n" }, String(text));

  function tables(state) {
    draw("inbox", state.inbox, () => (state.inbox.length
      ? state.inbox.map((one) => row(h("code", {}, one.type), tag(one.state), number(one.attempts), number(clock(one.at))))
      : none("No webhook has arrived yet.", 4)));
    draw("deliveries", state.deliveries, () => (state.deliveries.length
      ? state.deliveries.map((one) => row(h("code", {}, one.type), one.endpoint, tag(one.state), number(one.attempts)))
      : none("Nothing was told yet.", 4)));
    draw("requests", state.gateway.requests, () => (state.gateway.requests.length
      ? state.gateway.requests.map((one) => row(
        h("code", {}, `${one.method} ${one.path}`, Object.keys(page.gateways).length > 1 ? h("small", {}, ` · ${page.gateways[one.gateway]}`) : null), one.caller === "server" ? "our server" : one.caller,
        h("code", {}, one.key || "–"),
        h("span", {}, one.status ? String(one.status) : "none", one.replayed ? " · repeated" : "", one.fault ? ` · ${one.fault.replaceAll("_", " ")}` : "")))
      : none("Nobody has knocked yet.", 4)));
  }

  // --- looking ----------------------------------------------------------------------------------

  let looking = false;
  async function look() {
    if (looking) return;
    looking = true;
    try {
      const answer = await fetch("/live/state");
      const state = await answer.json();
      verdict(state.balance);
      switches(state.gateway, state.subscriber);
      draw("payments", state.payments, () => (state.payments.length
        ? state.payments.map(payment)
        : [h("p", { class: "panel quiet" }, "Nobody has paid yet. ", h("a", { href: "/" }, "Buy something"), " and come back.")]));
      $("payments-count").textContent = state.total ? `${state.total} in all` : "";
      tables(state);
    } catch {
      $("verdict").className = "verdict wait";
      $("verdict").textContent = "The sandbox does not answer.";
    } finally {
      looking = false;
    }
  }
  look();
  setInterval(look, 1000);
})();
