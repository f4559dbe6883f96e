// The bag lives in the payer's browser until it becomes an order; prices shown here are only shown.
"use strict";

const Bag = {
  read() {
    try {
      return JSON.parse(localStorage.getItem("bag")) || { currency: "USD", items: {} };
    } catch {
      return { currency: "USD", items: {} };
    }
  },
  write(bag) {
    localStorage.setItem("bag", JSON.stringify(bag));
    Bag.showCount();
  },
  change(sku, by) {
    const bag = Bag.read();
    const count = Math.min(Math.max((bag.items[sku] || 0) + by, 0), 20);
    if (count) bag.items[sku] = count;
    else delete bag.items[sku];
    Bag.write(bag);
    return bag;
  },
  showCount() {
    const count = Object.values(Bag.read().items).reduce((sum, one) => sum + one, 0);
    const badge = document.getElementById("bag-count");
    if (!badge) return;
    badge.textContent = count;
    badge.hidden = !count;
  },
};

/** Format minor units; how many decimals a currency has is told by the server, not by the browser's locale data. */
function money(minor, currency, exponents) {
  const decimals = exponents[currency] ?? 2;
  const options = { style: "currency", currency, minimumFractionDigits: decimals, maximumFractionDigits: decimals };
  return new Intl.NumberFormat(navigator.language, options).format(minor / 10 ** decimals);
}

/** Make an element: h("li", {class: "x"}, "text", child). Text is always text, never markup. */
function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child != null && child !== false));
  return element;
}

(() => {
  const holder = document.getElementById("page");
  const page = holder ? JSON.parse(holder.textContent) : {};
  Bag.showCount();
  if (page.kind === "store") store();
  if (page.kind === "bag") bagPage();

  function store() {
    const select = document.getElementById("currency");
    const said = document.getElementById("said");
    let timer = 0;
    select.value = Bag.read().currency;
    const showPrices = () => {
      for (const price of document.querySelectorAll("[data-price]")) {
        price.textContent = money(page.products[price.dataset.price].prices[select.value], select.value, page.exponents);
      }
    };
    select.addEventListener("change", () => {
      Bag.write({ ...Bag.read(), currency: select.value });
      showPrices();
    });
    for (const button of document.querySelectorAll("[data-add]")) {
      button.addEventListener("click", () => {
        Bag.change(button.dataset.add, 1);
        said.textContent = `${page.products[button.dataset.add].name} is in your bag`;
        said.classList.add("on");
        clearTimeout(timer);
        timer = setTimeout(() => said.classList.remove("on"), 2200);
      });
    }
    showPrices();
  }

  function bagPage() {
    const checkout = document.getElementById("checkout");
    const problem = document.getElementById("bag-problem");
    const show = () => {
      const bag = Bag.read();
      const rows = Object.entries(bag.items).filter(([sku]) => page.products[sku]);
      const price = (sku, count) => page.products[sku].prices[bag.currency] * count;
      document.getElementById("items").replaceChildren(...rows.map(([sku, count]) => h("li", {},
        h("span", { class: "thumb" }, h("img", { src: `/static/products/${sku}.svg`, alt: "" })),
        h("span", { class: "what" }, h("strong", {}, page.products[sku].name),
          h("span", { class: "stepper" },
            h("button", { type: "button", "aria-label": `One ${page.products[sku].name} less`, onclick: () => { Bag.change(sku, -1); show(); } }, "−"),
            h("output", {}, String(count)),
            h("button", { type: "button", "aria-label": `One ${page.products[sku].name} more`, onclick: () => { Bag.change(sku, 1); show(); } }, "+"))),
        h("span", { class: "sum" }, money(price(sku, count), bag.currency, page.exponents)))));
      document.getElementById("empty").hidden = rows.length > 0;
      const sum = rows.reduce((total, [sku, count]) => total + price(sku, count), 0);
      document.getElementById("subtotal").textContent = rows.length ? money(sum, bag.currency, page.exponents) : "–";
      checkout.disabled = !rows.length;
    };
    checkout.addEventListener("click", async () => {
      checkout.disabled = true;
      problem.textContent = "";
      try {
        const answer = await fetch("/shop/orders", {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify(Bag.read()),
        });
        const body = await answer.json();
        if (!answer.ok) throw new Error(body.error);
        Bag.write({ ...Bag.read(), items: {} });
        localStorage.setItem(`order:${body.number}`, body.token);
        location.assign(`/checkout/${body.number}`);
      } catch (error) {
        problem.textContent = error.message || "The shop does not answer. Try again.";
        checkout.disabled = false;
      }
    });
    show();
  }
})();
