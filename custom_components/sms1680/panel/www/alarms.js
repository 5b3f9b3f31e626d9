// The alarms of duty groups: the open ones, then the newest closed ones, each with its steps.
import { STYLE, fill, make } from "./dom.js";
import { formatTime, listed, translate } from "./texts.js";

const ACTIONS = ["acknowledge", "resolve_alarm"];

class Alarms extends HTMLElement {
  // Property: api.
  constructor() {
    super();
    this.attachShadow({ mode: "open" });
    this._unfolded = new Set();
  }

  connectedCallback() {
    if (this._list) return;
    this._list = make("ul", { "aria-label": this._t("alarms") });
    this._notice = make("p", { className: "error", role: "alert", hidden: true });
    const style = make("style", {}, STYLE + `
      :host { display: block; overflow: auto; height: 100%; padding: 12px; }
      ul { list-style: none; margin: 0; padding: 0; display: flex; flex-direction: column; gap: 12px; }
      ul > li { padding: 12px; border: 1px solid var(--divider-color); border-radius: 12px; background: var(--card-background-color); }
      ul > li.ringing { border-color: var(--error-color); }
      h2 { font-size: 1rem; font-weight: 500; margin: 0; }
      .text { margin: 6px 0; white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: plaintext; }
      .actions { display: flex; flex-wrap: wrap; gap: 8px; margin-top: 8px; }
      ol { margin: 4px 0 0; padding-inline-start: 20px; } summary { cursor: pointer; min-height: 28px; }
    `);
    this.shadowRoot.replaceChildren(style, this._notice, this._list);
    this.refresh();
  }

  _t(key, values) {
    return translate(this.api.hass, key, values);
  }

  async refresh() {
    try {
      const { alarms } = await this.api.ask("alarms/list");
      this._show(alarms);
      this._notice.hidden = true;
    } catch (error) {
      await this._complain(error);
    }
  }

  _show(alarms) {
    fill(this._list, alarms.length ? alarms.map((alarm) => this._row(alarm)) : [make("li", { className: "note" }, this._t("no_alarms"))]);
  }

  _row(alarm) {
    const text = make("div", { className: "text", dir: "auto" });
    text.textContent = alarm.text ?? this._t("text_not_stored");
    const open = alarm.closed_at === null;
    const by = alarm.by ?? this._t("somebody");
    const state = this._t(`alarm_${alarm.state}`, { by, until: alarm.until && formatTime(this.api.hass, alarm.until) });
    const facts = [state, formatTime(this.api.hass, alarm.raised_at)];
    if (alarm.count > 1) facts.push(this._t("raised_times", { count: alarm.count }));
    if (alarm.state === "open") facts.push(this._t(`level_${alarm.level}`));
    if (alarm.texted.length) facts.push(this._t("texted", { names: listed(this.api.hass, alarm.texted) }));
    const heading = make("h2", {}, make("bdi", {}, this._t("alarm_of", { number: alarm.number, group: alarm.group ?? "?" })));
    return make("li", { "data-key": alarm.id, className: ["open", "unanswered"].includes(alarm.state) ? "ringing" : "" }, heading, text,
      make("div", { className: `note alarm-${alarm.state}` }, facts.join(" · ")),
      alarm.can_control && open ? this._actions(alarm) : null, this._steps(alarm));
  }

  _actions(alarm) {
    // Both buttons keep their places: a second click on the first one must not resolve the alarm.
    return make("div", { className: "actions" }, ...ACTIONS.map((action) => make("button", {
      className: action === "acknowledge" ? "primary" : "", disabled: action === "acknowledge" && alarm.state === "acknowledged",
      "aria-label": `${this._t(action)}: ${this._t("alarm_of", { number: alarm.number, group: alarm.group ?? "?" })}`,
      onclick: (event) => this._change(event.currentTarget, alarm, action) }, this._t(action))));
  }

  _steps(alarm) {
    const steps = alarm.steps.map((step) => {
      const names = listed(this.api.hass, step.members) || "-";
      const until = step.until && formatTime(this.api.hass, step.until);
      const words = this._t(`step_${step.step}`, { names, by: step.by ?? this._t("somebody"), until });
      return make("li", { dir: "auto" }, `${formatTime(this.api.hass, step.time)} ${words}`);
    });
    return make("details", { className: "note", open: this._unfolded.has(alarm.id), ontoggle: ({ currentTarget }) =>
      (currentTarget.open ? this._unfolded.add(alarm.id) : this._unfolded.delete(alarm.id)) },
      make("summary", {}, this._t("steps")), make("ol", {}, ...steps));
  }

  async _change(button, alarm, action) {
    button.disabled = true;
    try {
      await this.api.ask("alarms/change", { alarm: alarm.id, action });
      button.disabled = false;
      await this.refresh();
    } catch (error) {
      button.disabled = false;
      await this._complain(error);
    }
  }

  async _complain(error) {
    this._notice.textContent = await this.api.explain(error);
    this._notice.hidden = false;
  }
}

if (!customElements.get("sms1680-alarms")) customElements.define("sms1680-alarms", Alarms);
