// The card for dashboards. It is loaded with each page of Home Assistant, so it loads the rest only when it is used.
import { isChinese } from "./texts.js";

class ConversationCard extends HTMLElement {
  static getStubConfig() {
    return {};
  }

  static async getConfigElement() {
    await import("./card-editor.js");
    return document.createElement("sms1680-conversation-card-editor");
  }

  setConfig(config) {
    this._config = config;
    this._view?.configure(config);
  }

  set hass(hass) {
    this._hass = hass;
    if (this._view) this._view.hass = hass;
    else this._start();
  }

  getCardSize() {
    return 6;
  }

  getGridOptions() {
    return { columns: 12, rows: 6, min_columns: 6, min_rows: 4 };
  }

  async _start() {
    if (this._starting) return;
    this._starting = true;
    try {
      await import("./card-view.js");
    } catch {
      setTimeout(() => { this._starting = false; }, 10000); // then the next state of Home Assistant tries again
      return;
    }
    this._view = document.createElement("sms1680-card-view");
    this._view.hass = this._hass;
    this._view.configure(this._config);
    this.append(this._view);
  }
}

if (!customElements.get("sms1680-conversation-card")) {
  customElements.define("sms1680-conversation-card", ConversationCard);
  const chinese = isChinese(document.querySelector("home-assistant")?.hass);
  (window.customCards ??= []).push({
    type: "sms1680-conversation-card",
    name: chinese ? "短信会话" : "SMS conversation",
    description: chinese ? "与一位接收人的短信，或最新的会话。" : "The messages to and from one recipient, or the newest of all.",
    preview: false,
  });
}
