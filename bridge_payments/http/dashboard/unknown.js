// Instructions of which nobody knows yet whether they were executed, and how a person ends that.
import { get, post } from "./api.js";
import { act, age, code, h, moment, say, table, tag, whole } from "./dom.js";

const path = (one, verb) => `/admin/operations/${encodeURIComponent(one.id)}/${verb}`;

export const unknown = {
  title: "Unknown outcomes",

  load: () => get("/admin/operations"),

  draw(found, _, reload) {
    return [
      h("h1", { tabindex: "-1" }, "Unknown outcomes"),
      h("p", { class: "lead" }, "An answer never came, so the money may have moved. Each is looked up at its provider by itself, "
        + "at growing intervals, and nothing is sent twice meanwhile. Resolve one only with evidence from the provider."),
      h("section", { class: "panel", "aria-label": "Open instructions" },
        table("Open instructions", [["Since"], ["Instruction"], ["Account", "wide"], ["About"], ["Looked at", "n wide"], ["Next look", "wide"], ["Why", "wide"], ["", "buttons"]],
          found.map((one) => [
            h("span", { title: one.created_at }, age(one.created_at)), h("span", {}, code(one.verb), " ", tag(one.state)), code(one.provider_id),
            about(one), `${whole(one.attempts)} times`, moment(one.due_at, { timeStyle: "short" }), one.error_message || one.error_code || "–",
            h("span", { class: "actions" }, operationActions(one, reload)),
          ]), "Every instruction has an answer.")),
    ];
  },
};

const about = (one) => (one.subject_id.startsWith("pay_")
  ? h("a", { href: `#/payments/${encodeURIComponent(one.subject_id)}` }, "its payment") : code(one.subject_id));

/** The buttons of an instruction that is open. */
export const operationActions = (one, reload) => [
  act("Look up now", () => post(path(one, "look-up")).then(reload), "The provider was asked.", { "aria-label": `Look up ${one.verb} now` }),
  h("button", { type: "button", class: "soft small", "aria-label": `Resolve ${one.verb}`, onclick: () => resolve(one, reload) }, "Resolve …"),
];

/** Ask what became of it, and how one knows. The provider is asked first, and outranks whoever types here. */
function resolve(one, reload) {
  const reference = h("input", { id: "reference", maxlength: "191", autocomplete: "off", spellcheck: "false" });
  const evidence = h("textarea", { id: "evidence", rows: "3", maxlength: "2000", required: true });
  const problem = h("p", { class: "problem", role: "alert" });
  const choice = (value, text) => h("label", { class: "choice" },
    h("input", { type: "radio", name: "outcome", value, required: true, onchange: () => { reference.required = value === "executed"; named.hidden = value !== "executed"; } }), text);
  const named = h("div", { class: "field", hidden: true }, h("label", { for: "reference" }, "What the provider calls it"), reference);
  const form = h("form", { onsubmit: async (event) => {
    event.preventDefault();
    const outcome = new FormData(form).get("outcome");
    const body = { outcome, evidence: evidence.value, ...(outcome === "executed" ? { provider_reference: reference.value.trim() } : {}) };
    send.disabled = true;
    try {
      await post(path(one, "resolve"), body);
      dialog.close();
      say("It is resolved.");
      await reload();
    } catch (error) {
      problem.textContent = error.message;
    } finally {
      send.disabled = false;
    }
  } },
  h("h2", { id: "resolve-title" }, "What became of it?"),
  h("p", { class: "quiet" }, code(one.verb), " on ", code(one.subject_id), ", asked of ", code(one.provider_id), " ", age(one.created_at), " ago."),
  h("fieldset", {}, h("legend", { class: "hidden" }, "Outcome"),
    choice("executed", " It was executed"), choice("not_executed", " It never happened", false)),
  named,
  h("div", { class: "field" }, h("label", { for: "evidence" }, "How you know"), evidence,
    h("p", { class: "quiet small" }, "Kept for good with your name. No card numbers. The provider is asked first, and what it says counts.")),
  problem);
  const send = h("button", {}, "Resolve");
  form.append(h("div", { class: "actions" }, send, h("button", { type: "button", class: "soft", onclick: () => dialog.close() }, "Leave it")));
  const dialog = h("dialog", { "aria-labelledby": "resolve-title" }, form);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
