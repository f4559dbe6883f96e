// The receipt follows what the shop knows, and the shop knows what it was told.
"use strict";

(() => {
  const page = JSON.parse(document.getElementById("page").textContent);
  const state = document.getElementById("state");

  const TICK = "M5 13l5 5L20 7";
  const CLOCK = "M12 6v6l4 2";
  const BACK = "M9 7L4 12l5 5M4 12h11a5 5 0 0 1 0 10";

  const WORDS = {
    paid: ["", TICK, "Thank you. Your payment arrived.", ""],
    authorized: ["wait", CLOCK, "Your card is authorised.", "We collect the amount when we ship."],
    refunded: ["", BACK, "Your payment was given back.", "It takes a few days to show up on your statement."],
    partially_refunded: ["", BACK, "Part of your payment was given back.", "It takes a few days to show up on your statement."],
    open: ["wait", CLOCK, "Waiting for your payment.", "This page follows by itself."],
    failed: ["bad", CLOCK, "This payment did not succeed.", "You have not been charged."],
  };

  function show(order) {
    const [tone, path, title, text] = WORDS[order.state] || WORDS.open;
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("width", "30");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
    for (const [name, value] of Object.entries({ d: path, fill: "none", stroke: "currentColor", "stroke-width": "2.4", "stroke-linecap": "round", "stroke-linejoin": "round" })) line.setAttribute(name, value);
    svg.append(line);
    state.replaceChildren(
      h("div", { class: `badge ${tone}` }, svg),
      h("h1", {}, title),
      h("p", { class: "quiet" }, text || `Receipt for ${order.email || "you"}`),
    );
    state.dataset.state = order.state;
    document.getElementById("heard").replaceChildren(...(order.heard.length ? order.heard.map(eventLine) : [h("li", {}, "Nothing yet.")]));
    for (const [id, value] of Object.entries(order.facts || {})) {
      const place = document.getElementById(id);
      if (place) place.textContent = value;
    }
  }

  function eventLine(event) {
    return h("li", { class: event.type === "payment.failed" ? "bad" : "" },
      h("time", { datetime: event.at }, new Date(event.at).toLocaleTimeString()),
      h("code", {}, event.type),
      event.decline_code ? h("small", {}, event.decline_code.replaceAll("_", " ")) : null);
  }

  async function follow() {
    for (;;) {
      try {
        const answer = await fetch(page.state_url, { headers: { accept: "application/json" } });
        if (answer.ok) show(await answer.json());
      } catch { /* the shop restarts; the next look finds it */ }
      await new Promise((resolve) => setTimeout(resolve, 1500));
    }
  }
  follow();
})();
