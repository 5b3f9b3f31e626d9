// One conversation: its messages as bubbles, what waits, open questions, and the box to write.
import "./composer.js";
import { STYLE, fill, make } from "./dom.js";
import { formatTime, translate } from "./texts.js";

const TICKS = { sending: "…", accepted: "✓", pending: "✓", delivered: "✓✓", held: "⏸", unknown: "?", expired: "?" };
const BAD = ["failed", "refused", "not_sent"];
const CANCEL_TEXTS = { unknown: "cancel_unknown" };

class Thread extends HTMLElement {
  // Properties: api, conversation, writable (whether to show the box), limit (messages on a page).
  constructor() {
    super();
    this.attachShadow({ mode: "open" });
    this.limit = 50;
    this.writable = true;
    this._older = [];
    this._page = { messages: [], waiting: [], questions: [] };
  }

  connectedCallback() {
    if (this._list) return;
    this._list = make("ol", { id: "messages", role: "log", "aria-live": "polite", tabIndex: 0 });
    this._olderButton = make("button", { className: "plain", hidden: true, onclick: () => this._loadOlder() }, this._t("older"));
    this._notice = make("div", { className: "note error", role: "alert", hidden: true });
    this._scroller = make("div", { className: "scroller" }, this._olderButton, this._list);
    const style = make("style", {}, STYLE + `
      :host { display: flex; flex-direction: column; min-height: 0; height: 100%; }
      .scroller { flex: 1; overflow: auto; min-height: 0; padding: 12px; }
      ol { list-style: none; margin: 0; padding: 0; display: flex; flex-direction: column; gap: 8px; }
      li { max-width: min(80%, 560px); align-self: flex-start; }
      li.out { align-self: flex-end; }
      .bubble { padding: 8px 12px; border-radius: 14px; background: var(--secondary-background-color);
        width: fit-content; max-width: 100%; white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: plaintext; }
      li.out .bubble { margin-inline-start: auto; background: var(--primary-color); color: var(--text-primary-color, #fff); }
      li.waiting .bubble { background: none; border: 1px dashed var(--divider-color); color: inherit; }
      li.bad .bubble { background: none; border: 1px solid var(--error-color); color: inherit; }
      li.question { align-self: center; text-align: center; }
      .meta { margin: 2px 6px 0; } li.out .meta { text-align: end; }
      .unstored { font-style: italic; opacity: 0.8; }
    `);
    this.shadowRoot.replaceChildren(style, this._scroller, this._notice);
    this.refresh();
  }

  _t(key, values) {
    return translate(this.api.hass, key, values);
  }

  // Load the newest page again.
  async refresh() {
    try {
      const page = await this._newest();
      if (this._failed) this._notice.hidden = true;
      this._failed = false;
      const known = JSON.stringify(page);
      if (known === this._known) return;
      this._known = known;
      this._keepOlder(page);
      this._page = page;
      this.conversation = { ...this.conversation, ...page.conversation };
      this._render();
      this._composer();
    } catch (error) {
      await this._fail(error);
    }
  }

  // Return the newest page. The conversation with a deleted recipient goes on under the number.
  async _newest() {
    const list = (conversation) => this.api.ask("messages/list", { conversation, limit: this.limit });
    const { id, name, number } = this.conversation;
    const page = await list(id);
    const isGone = name && !page.conversation.name && page.conversation.number !== number;
    return isGone ? list(number) : page;
  }

  // Keep what new messages push off the newest page, if older ones are shown; begin again where the pages do not meet.
  _keepOlder(page) {
    const keys = new Set(page.messages.map((message) => message.key));
    const meets = this._page.messages.some((message) => keys.has(message.key));
    if (this._older.length && meets && page.next) {
      this._older.unshift(...this._page.messages.filter((message) => !keys.has(message.key)));
    } else {
      this._older = [];
      this._next = page.next;
    }
  }

  async _loadOlder() {
    this._olderButton.disabled = true;
    try {
      const before = this._next;
      const page = await this.api.ask("messages/list", { conversation: this.conversation.id, before, limit: this.limit });
      if (before !== this._next) return; // the newest page was loaded again meanwhile
      this._older.push(...page.messages);
      this._next = page.next;
      const height = this._scroller.scrollHeight;
      this._render();
      this._scroller.scrollTop += this._scroller.scrollHeight - height;
    } catch (error) {
      await this._fail(error);
    } finally {
      this._olderButton.disabled = false;
    }
  }

  async _fail(error) {
    this._showNotice(await this.api.explain(error));
    this._failed = true;
  }

  _render() {
    const { scrollTop, scrollHeight, clientHeight } = this._scroller;
    const atEnd = scrollHeight - scrollTop - clientHeight < 60;
    const newest = this._page.messages;
    const keys = new Set(newest.map((message) => message.key));
    const messages = [...newest, ...this._older.filter((message) => !keys.has(message.key))].reverse();
    fill(this._list, [
      ...messages.map((message) => (message.direction === "in" ? this._received(message) : this._sent(message))),
      ...this._page.waiting.map((message) => this._waiting(message)),
      ...this._page.questions.map((question) => this._question(question)),
    ]);
    this._olderButton.hidden = !this._next;
    if (atEnd) this._scroller.scrollTop = this._scroller.scrollHeight;
  }

  _bubble(text) {
    if (text === null) return make("div", { className: "bubble unstored" }, this._t("text_not_stored"));
    const bubble = make("div", { className: "bubble", dir: "auto" });
    bubble.textContent = text;
    return bubble;
  }

  _received(message) {
    const meta = [formatTime(this.api.hass, message.time), this._t(message.via)];
    if (message.incomplete) meta.push(this._t("incomplete"));
    if (message.redelivered) meta.push(this._t("redelivered"));
    return make("li", { "data-key": message.key, className: "in" }, this._bubble(message.text), make("div", { className: "meta note" }, meta.join(" · ")));
  }

  _sent(message) {
    const { hass } = this.api;
    const bad = BAD.includes(message.state);
    const scheduled = Boolean(message.due);
    const meta = [formatTime(hass, message.time)];
    meta.push(scheduled ? this._t("scheduled_for", { time: formatTime(hass, message.due) }) : this._t(message.state));
    meta.push(message.parts === 1 ? this._t("one_part") : this._t("parts", { count: message.parts }), this._t(message.via));
    if (message.priority === "critical") meta.push(this._t("critical"));
    if (message.automatic) meta.push(this._t("automatic"));
    const ticks = make("span", { "aria-hidden": "true" }, bad ? "! " : `${scheduled ? "⏲" : TICKS[message.state] ?? ""} `);
    return make("li", { "data-key": message.key, className: `out ${bad ? "bad" : ""} ${scheduled ? "waiting" : ""}` },
      this._bubble(message.text),
      make("div", { className: `meta note state-${message.state}` }, ticks, meta.join(" · ")),
      this._cause(message),
      message.reason && make("div", { className: `meta note reason ${bad ? "error" : ""}` }, message.reason),
      message.cancel_id && this._cancelButton(message.cancel_id));
  }

  _waiting(message) {
    const when = this._t(message.waits_for, { time: formatTime(this.api.hass, message.due) });
    return make("li", { "data-key": `waiting_${message.id}`, className: "out waiting" }, this._bubble(message.text),
      make("div", { className: "meta note" }, make("span", { "aria-hidden": "true" }, "⏲ "), when),
      this._cause(message),
      message.can_cancel ? this._cancelButton(message.id) : null);
  }

  _cause({ cause }) {
    return cause ? make("div", { className: "meta note cause" }, this._t(`by_${cause.kind}`), make("bdi", {}, cause.name)) : null;
  }

  _cancelButton(id) {
    return make("div", { className: "meta" }, make("button", { className: "plain", onclick: (event) => this._cancel(event.target, id) }, this._t("cancel")));
  }

  _question(question) {
    const choices = question.choices.length ? this._t("answers", { choices: question.choices.join(", ") }) : this._t("any_answer");
    const answers = question.answers.map((one) => make("div", { dir: "auto" }, this._t("answer", one)));
    return make("li", { className: "question note" },
      make("strong", {}, this._t(question.queued ? "question_queued" : "question")), make("div", {}, choices),
      ...(answers.length ? answers : [make("div", {}, this._t("no_answer"))]));
  }

  async _cancel(button, id) {
    button.disabled = true;
    try {
      const { result } = await this.api.ask("messages/cancel", { message: id });
      this._showNotice(this._t(CANCEL_TEXTS[result] ?? result));
    } catch (error) {
      this._showNotice(await this.api.explain(error));
    }
    button.disabled = false;
    await this.refresh();
  }

  get draft() {
    return this._box?.draft ?? "";
  }

  _showNotice(text) {
    this._notice.textContent = text;
    this._notice.hidden = this._failed = false;
  }

  _composer() {
    if (!this.writable) return;
    const { targets, can_write: canWrite, id, account, last } = this.conversation;
    const entry = account ?? last?.config_entry_id;
    // A number can belong to recipients of several accounts; one of them sends the message.
    const target = targets.length ? { entity_id: targets.slice(0, 1) } : { conversation: id, ...(entry ? { config_entry_id: entry } : {}) };
    // What is being written stays, and goes to whom the heading names.
    if (canWrite && this._box?.matches("sms1680-composer")) {
      Object.assign(this._box, { target, account: entry });
      return;
    }
    this._box?.remove();
    this._box = canWrite
      ? make("sms1680-composer", { api: this.api, target, account: entry })
      : make("p", { className: "note" }, this._t("may_not_write"));
    this.shadowRoot.append(this._box);
  }
}

if (!customElements.get("sms1680-thread")) customElements.define("sms1680-thread", Thread);
