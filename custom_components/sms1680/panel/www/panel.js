// The page: accounts above, conversations beside, and the chosen conversation.
import { Api } from "./api.js";
import { STYLE, debounced, fill, make } from "./dom.js";
import { formatTime, isChinese, translate } from "./texts.js";
import "./alarms.js";
import "./thread.js";

const PAGE = 30;
const MOST = 1000; // conversations that the command lists

class Panel extends HTMLElement {
  constructor() {
    super();
    this.attachShadow({ mode: "open" });
    this._limit = PAGE;
    this._onVisible = () => this._markRead();
  }

  set hass(hass) {
    this._hass = hass;
    if (!this._api) return;
    const relabel = isChinese(this._api.hass) !== isChinese(hass);
    this._api.hass = hass;
    if (!relabel) return;
    this._build();
    this._again?.();
  }

  get hass() {
    return this._hass;
  }

  set narrow(narrow) {
    this._narrow = narrow;
    this.toggleAttribute("narrow", Boolean(narrow));
  }

  async connectedCallback() {
    this._api ??= new Api(this._hass);
    if (this._list) this._changed(new Set([null]), true);
    else this._build();
    this._end = this._api.watch((conversations, alarms) => this._changed(conversations, alarms));
    this._timer = setInterval(() => this._loadAccounts(), 60000);
    document.addEventListener("visibilitychange", this._onVisible);
  }

  disconnectedCallback() {
    this._end?.();
    clearInterval(this._timer);
    document.removeEventListener("visibilitychange", this._onVisible);
  }

  _t(key, values) {
    return translate(this._hass, key, values);
  }

  _build() {
    const menu = make("button", { className: "plain icon menu", "aria-label": this._t("menu"), onclick: () =>
      this.dispatchEvent(new CustomEvent("hass-toggle-menu", { bubbles: true, composed: true })) }, "☰");
    this._back = make("button", { className: "plain icon", "aria-label": this._t("back"), hidden: true, onclick: () => this._close() }, "←");
    this._heading = make("h1", {}, this._t("title"));
    this._accounts = make("div", { id: "accounts", className: "note" });
    this._search = make("input", { type: "search", id: "search", "aria-label": this._t("search"), placeholder: this._t("search"),
      oninput: debounced(() => { this._limit = PAGE; this._load(); }, 300) });
    this._new = make("button", { className: "primary", id: "new", onclick: () => this._write() }, this._t("new_message"));
    this._alarms = make("button", { className: "plain", id: "alarms", hidden: true, onclick: () => this._showAlarms() });
    this._list = make("ul", { id: "conversations", "aria-label": this._t("conversations"), onkeydown: (event) => this._move(event) });
    this._more = make("button", { className: "plain", hidden: true, onclick: () => { this._limit = Math.min(this._limit + PAGE, MOST); this._load(); } }, this._t("more"));
    this._empty = make("p", { className: "note empty", role: "status", hidden: true });
    this._main = make("main", {}, make("p", { className: "note empty" }, this._t("choose")));
    const style = make("style", {}, STYLE + `
      :host { display: flex; flex-direction: column; height: 100vh; height: 100dvh; background: var(--primary-background-color); }
      header { display: flex; align-items: center; gap: 8px; padding: 0 12px; min-height: var(--header-height, 56px);
        background: var(--app-header-background-color, var(--primary-color)); color: var(--app-header-text-color, #fff); }
      header .icon { color: inherit; font-size: 1.25rem; min-width: 40px; }
      .menu { display: none; } :host([narrow]) .menu { display: block; }
      h1 { font-size: 1.25rem; font-weight: 400; margin: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
      #accounts { padding: 6px 12px; border-bottom: 1px solid var(--divider-color); background: var(--card-background-color); }
      #accounts b { font-weight: 500; color: var(--primary-text-color); }
      .body { flex: 1; display: flex; min-height: 0; }
      nav { width: 340px; flex: none; display: flex; flex-direction: column; min-height: 0; overflow: auto;
        border-inline-end: 1px solid var(--divider-color); background: var(--card-background-color); }
      .tools { display: flex; flex-direction: column; gap: 8px; padding: 12px; }
      ul { list-style: none; margin: 0; padding: 0; }
      li button { width: 100%; border-radius: 0; background: none; text-align: start; padding: 10px 12px; display: block; }
      li button[aria-current=true] { background: var(--secondary-background-color); }
      li button * { pointer-events: none; }
      .line { display: flex; gap: 8px; align-items: baseline; }
      .line > :first-child { flex: 1; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
      .unread .name { font-weight: 700; }
      #alarms.error { color: var(--error-color); }
      .badge { background: var(--primary-color); color: var(--text-primary-color, #fff); border-radius: 10px; padding: 0 7px; font-size: 0.8rem; }
      main { flex: 1; min-width: 0; min-height: 0; display: flex; flex-direction: column; }
      main > sms1680-thread, main > sms1680-alarms { flex: 1; min-height: 0; }
      .empty { padding: 16px; text-align: center; }
      @media (max-width: 700px) {
        nav { width: 100%; border: 0; } main { display: none; }
        :host([open]) nav, :host([open]) #accounts { display: none; } :host([open]) main { display: flex; }
      }
    `);
    this.shadowRoot.replaceChildren(style, make("header", {}, menu, this._back, this._heading), this._accounts,
      make("div", { className: "body" },
        make("nav", {}, make("div", { className: "tools" }, this._new, this._alarms, this._search), this._list, this._more, this._empty), this._main));
    // What stands above the list comes first, so that the list does not move away from under a finger.
    Promise.all([this._loadAccounts(), this._loadAlarms()]).then(() => this._load());
  }

  async _load() {
    const search = this._search.value.trim();
    try {
      const { conversations, more } = await this._api.ask("conversations/list", { limit: this._limit, ...(search ? { search } : {}) });
      if (search !== this._search.value.trim()) return;
      this._conversations = conversations;
      this._more.hidden = !more || this._limit === MOST;
      this._empty.hidden = conversations.length > 0;
      this._empty.textContent = this._t(search ? "nothing_found" : "no_conversations");
      const focused = this.shadowRoot.activeElement;
      fill(this._list, conversations.map((conversation) => this._row(conversation)));
      if (focused?.isConnected) focused.focus(); // a row that moved has lost it
    } catch (error) {
      await this._complain(error);
    }
  }

  async _complain(error) {
    this._empty.textContent = await this._api.explain(error);
    this._empty.hidden = false;
  }

  _row(conversation) {
    const { last } = conversation;
    const preview = make("span", { className: "note", dir: "auto" });
    if (last) preview.textContent = (last.direction === "out" ? this._t("you") : "") + (last.text ?? this._t("text_not_stored"));
    const who = make("span", { className: "name" }, make("bdi", {}, conversation.name ?? conversation.number));
    const badge = conversation.unread
      ? make("span", { className: "badge" }, String(conversation.unread), make("span", { className: "hidden" }, ` ${this._t("unread", { count: conversation.unread })}`))
      : null;
    const waiting = conversation.waiting ? make("span", { className: "note" }, this._t("waiting_count", { count: conversation.waiting })) : null;
    const button = make("button", { "aria-current": String(conversation.id === this._open?.id), onclick: () => this._choose(conversation),
      className: conversation.unread ? "unread" : "" },
      make("div", { className: "line" }, who, make("span", { className: "note" }, formatTime(this._hass, conversation.time))),
      make("div", { className: "line" }, preview, waiting, badge));
    button.dataset.id = conversation.id;
    return make("li", { "data-key": conversation.id }, button);
  }

  _buttons() {
    return [...this._list.querySelectorAll("button")];
  }

  _move(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const buttons = this._buttons();
    buttons[buttons.indexOf(this.shadowRoot.activeElement) + step]?.focus();
    event.preventDefault();
  }

  async _choose(conversation) {
    this._open = conversation;
    this._again = () => this._choose(conversation);
    this._thread = make("sms1680-thread", { api: this._api, conversation });
    this._show(this._thread, this._headingOf(conversation));
    await this._markRead();
  }

  async _markRead() {
    if (!this._open || document.hidden) return;
    await this._api.ask("conversations/mark_read", { conversation: this._open.id }).catch(() => undefined);
    await this._load();
  }

  _headingOf({ name, number }) {
    return name ? `${name} · ${number}` : number;
  }

  _show(element, heading) {
    this._main.replaceChildren(element);
    for (const button of this._buttons()) button.setAttribute("aria-current", String(button.dataset.id === this._open?.id));
    this._heading.replaceChildren(make("bdi", {}, heading));
    this._back.hidden = false;
    this.toggleAttribute("open", true);
  }

  _close() {
    this._open = this._thread = this._again = undefined;
    this._main.replaceChildren(make("p", { className: "note empty" }, this._t("choose")));
    this._heading.textContent = this._t("title");
    this._back.hidden = true;
    this.toggleAttribute("open", false);
    this._load();
  }

  async _write() {
    const shown = this._main.firstChild;
    let contacts;
    try {
      ({ contacts } = await this._api.ask("contacts/list"));
    } catch (error) {
      await this._complain(error);
      return;
    }
    if (this._main.firstChild !== shown) return; // something else was opened meanwhile
    this._open = this._thread = undefined;
    this._again = () => this._write();
    const composer = make("sms1680-composer", { api: this._api, contacts, isAdmin: this._isAdmin, account: this._firstAccount });
    // The answer can come after a conversation was opened, which then stays open.
    composer.addEventListener("sms1680-sent", () => composer.isConnected && this._close());
    this._show(composer, this._t("new_message"));
  }

  async _changed(conversations, alarms) {
    const isOpen = this._open && conversations.has(this._open.id);
    const thread = this._thread;
    if (thread && (isOpen || conversations.has(null))) {
      await thread.refresh();
      // A number that became a recipient has another id, and a recipient can get another name or number.
      if (thread === this._thread) {
        this._open = thread.conversation;
        this._heading.replaceChildren(make("bdi", {}, this._headingOf(this._open)));
      }
      if (isOpen) await this._markRead();
    }
    if (alarms) await this._loadAlarms();
    if (!conversations.size) return;
    await this._load();
    await this._loadAccounts();
  }

  async _loadAlarms() {
    try {
      const { alarms } = await this._api.ask("alarms/list");
      const open = alarms.filter((alarm) => alarm.closed_at === null).length;
      this._alarms.hidden = alarms.length === 0;
      this._alarms.className = open ? "plain error" : "plain";
      this._alarms.textContent = this._t(open ? "open_alarms" : "alarms", { count: open });
    } catch {
      // What was last known stays: an open alarm must not disappear with the connection.
    }
    await this.shadowRoot.querySelector("sms1680-alarms")?.refresh();
  }

  _showAlarms() {
    this._open = this._thread = undefined;
    this._again = () => this._showAlarms();
    this._show(make("sms1680-alarms", { api: this._api }), this._t("alarms"));
  }

  async _loadAccounts() {
    try {
      const { accounts, is_admin: isAdmin } = await this._api.ask("accounts/list");
      this._isAdmin = isAdmin;
      this._firstAccount = accounts.find((account) => account.loaded)?.config_entry_id;
      this._accounts.replaceChildren(...accounts.map((account) => this._account(account)));
    } catch {
      this._accounts.replaceChildren();
    }
  }

  _account(account) {
    const facts = [];
    if (!account.loaded) facts.push(this._t("not_loaded"));
    if (account.balance !== undefined && account.balance !== null) facts.push(this._t("balance", { count: account.balance }));
    if (account.spent !== undefined) facts.push(this._t(account.cost ? "spent_cost" : "spent", { count: account.spent, cost: account.cost }));
    const problem = account.problem ? make("span", { className: "error" }, ` ${account.problem}`) : null;
    if (!account.problem && account.spent !== undefined) facts.push(this._t("can_send"));
    const days = account.keep_days;
    facts.push(days > 0 ? this._t(account.keep_texts ? "keeps" : "keeps_no_texts", { days }) : this._t("keeps_nothing"));
    return make("div", {}, make("b", {}, make("bdi", {}, account.title)), ` · ${facts.join(" · ")}`, problem);
  }
}

if (!customElements.get("sms1680-panel")) customElements.define("sms1680-panel", Panel);
