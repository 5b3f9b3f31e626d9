// What the card shows: one conversation, or the newest of all.
import { Api } from "./api.js";
import { STYLE, make } from "./dom.js";
import { translate } from "./texts.js";
import "./thread.js";

class CardView extends HTMLElement {
  constructor() {
    super();
    this.attachShadow({ mode: "open" });
    this._config = {};
  }

  set hass(hass) {
    if (this._api) this._api.hass = hass;
    else this._api = new Api(hass);
  }

  configure(config) {
    this._config = config ?? {};
    this._shown = undefined;
    if (this.isConnected) this._load();
  }

  connectedCallback() {
    this._end = this._api.watch(() => this._load());
    this._load();
  }

  disconnectedCallback() {
    this._end?.();
  }

  async _load() {
    const wanted = this._config.conversation;
    try {
      const conversation = wanted ? await this._named(wanted) : (await this._api.ask("conversations/list", { limit: 1 })).conversations[0];
      if (!conversation) this._message(translate(this._api.hass, "no_conversations"));
      else if (this._shown && (this._shown === conversation.id || this._thread.draft)) await this._refresh();
      else this._build(conversation);
    } catch (error) {
      if (this._shown) await this._refresh(); // says why, and keeps what is being written
      else this._message(await this._api.explain(error));
    }
  }

  async _named(id) {
    const { conversation } = await this._api.ask("messages/list", { conversation: id, limit: 1 });
    return conversation;
  }

  async _refresh() {
    const thread = this._thread;
    await thread.refresh();
    if (thread !== this._thread) return;
    this._shown = thread.conversation.id;
    this._name.textContent = this._headingOf(thread.conversation);
  }

  _headingOf({ name, number }) {
    return this._config.title || name || number;
  }

  _build(conversation) {
    this._shown = conversation.id;
    this._name = make("bdi", {}, this._headingOf(conversation));
    this._thread = make("sms1680-thread", {
      api: this._api, conversation, limit: Number(this._config.count) || 10, writable: this._config.compose !== false });
    this._card(make("h2", {}, this._name), this._thread);
  }

  _message(text) {
    this._shown = undefined;
    this._card(make("p", { className: "note", role: "status" }, text));
  }

  _card(...content) {
    const style = make("style", {}, STYLE + `
      ha-card { display: flex; flex-direction: column; height: 100%; overflow: hidden; }
      h2 { font-size: 1.25rem; font-weight: 400; margin: 0; padding: 16px 16px 0; }
      p { padding: 16px; margin: 0; } sms1680-thread { flex: 1; min-height: 240px; max-height: 480px; }
    `);
    this.shadowRoot.replaceChildren(style, make("ha-card", {}, ...content));
  }
}

if (!customElements.get("sms1680-card-view")) customElements.define("sms1680-card-view", CardView);
