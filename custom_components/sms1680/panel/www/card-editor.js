// The editor of the card.
import { Api } from "./api.js";
import { STYLE, make } from "./dom.js";
import { translate } from "./texts.js";

class CardEditor extends HTMLElement {
  constructor() {
    super();
    this.attachShadow({ mode: "open" });
  }

  set hass(hass) {
    this._hass = hass;
    if (!this._contacts) this._load();
  }

  setConfig(config) {
    this._config = config;
    if (this._contacts) this._build();
  }

  async _load() {
    this._contacts = [];
    const { contacts } = await new Api(this._hass).ask("contacts/list").catch(() => ({ contacts: [] }));
    this._contacts = contacts;
    this._build();
  }

  _build() {
    if (!this._config || this.shadowRoot.activeElement) return;
    const text = (key) => translate(this._hass, key);
    const { conversation = "", title = "", count = 10, compose = true } = this._config;
    const choice = make("select", { id: "conversation" }, make("option", { value: "" }, text("card_newest")),
      ...this._contacts.map((contact) => make("option", { value: contact.conversation }, `${contact.name} (${contact.number})`)));
    choice.value = conversation;
    const fields = [
      ["card_recipient", choice, () => choice.value],
      ["card_title", make("input", { id: "title", value: title }), (field) => field.value],
      ["card_count", make("input", { id: "count", type: "number", min: 1, max: 200, value: count }), (field) => Number(field.value)],
      ["card_compose", make("input", { id: "compose", type: "checkbox", checked: compose }), (field) => field.checked],
    ];
    const rows = fields.map(([key, field, value]) => {
      field.addEventListener("change", () => this._change(field.id, value(field)));
      return make("div", { className: "row" }, make("label", { for: field.id }, text(key)), field);
    });
    this.shadowRoot.replaceChildren(make("style", {}, STYLE + ".row { margin-bottom: 12px; } label { display: block; }"), ...rows);
  }

  _change(name, value) {
    const config = { ...this._config, [name]: value };
    if (value === "") delete config[name];
    this._config = config;
    this.dispatchEvent(new CustomEvent("config-changed", { detail: { config }, bubbles: true, composed: true }));
  }
}

if (!customElements.get("sms1680-conversation-card-editor")) {
  customElements.define("sms1680-conversation-card-editor", CardEditor);
}
