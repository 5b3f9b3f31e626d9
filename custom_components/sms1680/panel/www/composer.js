// The box to write a message, with its cost while typing.
import { STYLE, debounced, make } from "./dom.js";
import { translate } from "./texts.js";

const isHandled = (one) => ["accepted", "held"].includes(one.outcome) || one.delayed_until || one.trying_until;

class Composer extends HTMLElement {
  // target: the message's fields that name the recipients, or null to choose them; account: the id of a config entry.
  constructor() {
    super();
    this.attachShadow({ mode: "open" });
    this.target = null;
    this.contacts = [];
    this.isAdmin = false;
    this.account = undefined;
    this._estimate = debounced(() => this._showEstimate(), 250);
  }

  connectedCallback() {
    if (!this._text) this._build();
  }

  get draft() {
    return this._text?.value ?? "";
  }

  focus() {
    this._text?.focus();
  }

  _t(key, values) {
    return translate(this.api.hass, key, values);
  }

  _build() {
    this._text = make("textarea", { id: "text", rows: 2, oninput: () => this._estimate(), onkeydown: (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this._send();
    }, placeholder: this._t("write_hint"), dir: "auto" });
    this._priority = make("select", { id: "priority" },
      ...["normal", "critical"].map((value) => make("option", { value }, this._t(value))));
    this._at = make("input", { id: "at", type: "datetime-local" });
    this._cost = make("div", { className: "note", id: "cost", role: "status" });
    this._result = make("div", { id: "result", role: "alert" });
    this._button = make("button", { className: "primary", type: "submit" }, this._t("send"));
    const field = (id, input) => make("div", { className: "field" }, make("label", { for: id, className: "note" }, this._t(id === "at" ? "send_at" : id)), input);
    const form = make("form", { onsubmit: (event) => { event.preventDefault(); this._send(); } },
      this.target ? null : this._recipients(),
      make("label", { for: "text", className: "hidden" }, this._t("write")), this._text, this._cost,
      make("div", { className: "row" }, field("priority", this._priority), field("at", this._at), this._button),
      this._result);
    const style = make("style", {}, STYLE + `
      form { padding: 12px; border-top: 1px solid var(--divider-color); background: var(--card-background-color); }
      .row { display: flex; gap: 8px; align-items: end; flex-wrap: wrap; margin-top: 4px; }
      .field { flex: 1 1 120px; } .row button { flex: none; }
      fieldset { border: 1px solid var(--divider-color); border-radius: 8px; margin: 0 0 8px; max-height: 40vh; overflow: auto; }
      fieldset label.choice { display: flex; gap: 8px; align-items: center; padding: 6px 0; }
      .warning { color: var(--warning-color); }
    `);
    this.shadowRoot.replaceChildren(style, form);
  }

  _recipients() {
    const writable = this.contacts.filter((contact) => contact.entity_id);
    this._writable = writable;
    this._choices = writable.map((contact) => make("input", { type: "checkbox", value: contact.entity_id, onchange: () => this._estimate() }));
    const labels = writable.map((contact, place) =>
      make("label", { className: "choice" }, this._choices[place], make("bdi", {}, contact.name), make("span", { className: "note" }, contact.number)));
    this._numbers = this.isAdmin ? make("input", { id: "numbers", inputMode: "tel" }) : null;
    return make("fieldset", {}, make("legend", {}, this._t("recipients")), ...labels,
      this._numbers && make("label", { for: "numbers", className: "note" }, this._t("numbers")), this._numbers);
  }

  // Return the fields of the command that name the recipients and the account.
  _addressed() {
    if (this.target) return { ...this.target };
    const entities = this._choices.filter((choice) => choice.checked).map((choice) => choice.value);
    const numbers = (this._numbers?.value ?? "").split(/[,，;；\s]+/).filter(Boolean);
    const fields = {};
    if (entities.length) fields.entity_id = entities;
    if (numbers.length) fields.number = numbers;
    const accounts = [...new Set(this.contacts.filter((one) => entities.includes(one.entity_id)).map((one) => one.config_entry_id))];
    if (numbers.length && accounts.length === 1) fields.config_entry_id = accounts[0];
    this.account = accounts[0] ?? this.account;
    return fields;
  }

  async _showEstimate() {
    const message = this._text.value;
    this._cost.replaceChildren();
    if (!message.trim()) return;
    this._addressed();
    const serial = (this._serial = (this._serial ?? 0) + 1);
    try {
      const { parts, cost, warnings } = await this.api.ask("estimate", { message, ...(this.account ? { config_entry_id: this.account } : {}) });
      if (serial !== this._serial || message !== this._text.value) return;
      const counted = parts === 1 ? this._t("one_part") : this._t("parts", { count: parts });
      const shown = cost ? this._t("cost", { parts: counted, cost }) : counted;
      this._cost.replaceChildren(make("div", {}, shown), ...warnings.map((text) => make("div", { className: "warning" }, text)));
    } catch (error) {
      this._cost.replaceChildren(make("div", { className: "warning" }, await this.api.explain(error)));
    }
  }

  async _send() {
    const message = this._text.value;
    const addressed = this._addressed();
    if (!message.trim() || this._button.disabled) return;
    if (!addressed.entity_id && !addressed.number && !addressed.conversation) {
      this._show(this._t("no_recipient"), true);
      return;
    }
    const fields = { ...addressed, message, priority: this._priority.value };
    this._button.disabled = true;
    try {
      if (this._at.value) fields.at = new Date(this._at.value).toISOString();
      const { messages } = await this.api.ask("messages/send", fields);
      const failed = messages.filter((one) => !isHandled(one));
      const lines = failed.map((one) => this._t("sent_to", { name: one.recipient ?? one.number, outcome: this._t(one.outcome) }));
      this._show(lines.join("\n"), true);
      if (failed.length) this._keep(new Set(failed.map((one) => one.number)));
      if (!failed.length) {
        this._text.value = this._at.value = "";
        this._priority.value = "normal";
        this._cost.replaceChildren();
        this.dispatchEvent(new CustomEvent("sms1680-sent", { bubbles: true, composed: true }));
      }
    } catch (error) {
      this._show(await this.api.explain(error), true);
    } finally {
      this._button.disabled = false;
    }
  }

  // Leave only those numbers that did not get the message: to send it again must not double it for the others.
  _keep(numbers) {
    if (this.target) return;
    const isKept = (place) => this._choices[place].checked && numbers.has(this._writable[place].number);
    const kept = this._writable.filter((_, place) => (this._choices[place].checked = isKept(place))).map((one) => one.number);
    if (this._numbers) this._numbers.value = [...numbers].filter((number) => !kept.includes(number)).join(", ");
  }

  _show(text, isError) {
    this._result.textContent = text;
    this._result.className = isError ? "error" : "note";
  }
}

if (!customElements.get("sms1680-composer")) customElements.define("sms1680-composer", Composer);
