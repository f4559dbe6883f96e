// The hosted card fields: this page belongs to the gateway, so the shop that frames it never sees a number.
// A shop sends {type: "tokenize"} with a MessagePort; the port hears {token} or {problem}.
"use strict";

const form = document.getElementById("card");
const problem = document.getElementById("problem");
const value = (id) => document.getElementById(id).value;

async function tokenize() {
  const [month, year] = value("expiry").split("/").map((part) => part.trim());
  const request = {
    securePaymentContainerRequest: {
      merchantAuthentication: { name: form.dataset.login, clientKey: form.dataset.key },
      data: {
        type: "TOKEN",
        id: crypto.randomUUID(),
        token: {
          cardNumber: value("number").replace(/\D/g, ""),
          expirationDate: (month || "") + (year || ""),
          cardCode: value("code"),
        },
      },
    },
  };
  const answer = await fetch("/xml/v1/request.api", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(request),
  });
  const said = JSON.parse((await answer.text()).replace(/^\uFEFF/, ""));
  if (said.messages.resultCode !== "Ok") throw new Error(said.messages.message[0].text);
  return said.opaqueData.dataValue;
}

addEventListener("message", async (event) => {
  const [port] = event.ports;
  if (!port || event.data?.type !== "tokenize") return;
  problem.textContent = "";
  try {
    port.postMessage({ token: await tokenize() });
  } catch (error) {
    problem.textContent = error.message;
    port.postMessage({ problem: error.message });
  }
});
