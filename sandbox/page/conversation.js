// The conversation of one phone: bubbles with signature, parts, extension, time and ticks. Data becomes text only.

import { clock, day, moment, t } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const SIGNATURE = /^【[^【】]+】|【[^【】]+】$/;

/** Create an element with attributes (null: omitted) and children: one text, or a list of texts and elements. */
export function element(name, attributes = {}, children = []) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== null) made.setAttribute(key, value);
  made.append(...(Array.isArray(children) ? children : [children]).filter((child) => child !== ""));
  return made;
}

/** Create one of the page's icons, with a label for screen readers. */
export function icon(name, label = "") {
  const svg = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#${name}`);
  svg.append(use);
  svg.classList.add("icon", `icon-${name}`);
  if (label) {
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", label);
    const title = document.createElementNS(SVG, "title");
    title.textContent = label;
    svg.append(title);
  } else {
    svg.setAttribute("aria-hidden", "true");
  }
  return svg;
}

function timeOf(item) {
  return item.kind === "uplink" ? item.at : item.sent_at ?? item.accepted_at;
}

function withSignature(text) {
  const match = SIGNATURE.exec(text);
  if (!match) return [text];
  const chip = element("span", { class: "signature" }, match[0]);
  return match.index === 0 ? [chip, text.slice(match[0].length)] : [text.slice(0, match.index), chip];
}

function uplinkTick(item) {
  const icons = { waiting: "clock", delivered: "ticks", given_up: "cross", none: "tick" };
  return icon(icons[item.push], t(`push_${item.push}`));
}

function messageTick(item) {
  if (item.state === "delivered") return icon("ticks", t("report_delivered"));
  if (item.arrived) return icon("tick", t("report_pending"));
  if (item.state === "scheduled") return icon("clock", t("scheduled"));
  if (item.state === "held") return icon("hand", t("held"));
  return icon("cross", t("not_delivered"));
}

function remark(item) {
  if (item.state === "scheduled") return `${t("goes_out")} ${moment(item.due_at)}`;
  if (item.state === "held") return t(`held_${item.held_for}`);
  if (item.state === "rejected") return `${t("rejected")} · ${item.status}`;
  return `${t("not_delivered")} · ${item.status}`;
}

/** The bubbles of the selected phone. */
export class Conversation {
  constructor(list, actions) {
    this.list = list;
    this.actions = actions;
    this.nodes = new Map();
    this.lastDay = "";
  }

  /** Show a whole conversation, or the text `empty` if it has no items. */
  show(items, empty) {
    this.nodes.clear();
    this.lastDay = "";
    this.list.replaceChildren();
    this.empty = items.length ? null : element("li", { class: "nothing" }, empty);
    if (this.empty) this.list.append(this.empty);
    for (const item of items) this.append(item);
    this.list.scrollTop = this.list.scrollHeight;
  }

  /** Show a new or changed message or uplink. */
  update(item) {
    const old = this.nodes.get(item.serial);
    if (old) {
      const made = this.bubble(item);
      old.replaceWith(made);
      this.nodes.set(item.serial, made);
      return;
    }
    this.empty?.remove();
    const atEnd = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 120;
    this.append(item).classList.add("fresh");
    if (atEnd) this.list.scrollTop = this.list.scrollHeight;
  }

  append(item) {
    const itsDay = day(timeOf(item));
    if (itsDay !== this.lastDay) {
      this.list.append(element("li", { class: "day" }, itsDay));
      this.lastDay = itsDay;
    }
    const made = this.bubble(item);
    this.nodes.set(item.serial, made);
    this.list.append(made);
    return made;
  }

  bubble(item) {
    return item.kind === "uplink" ? this.uplink(item) : this.message(item);
  }

  uplink(item) {
    return element("li", { class: "mine" }, [
      element("div", { class: "bubble" }, item.text),
      element("p", { class: "meta" }, [
        item.extension ? element("span", { class: "extension" }, `→ ${item.extension}`) : "",
        element("time", {}, clock(item.at)),
        uplinkTick(item),
      ]),
    ]);
  }

  message(item) {
    const bubble = element("button", { type: "button", class: "bubble", title: t("reply_to_this") }, withSignature(item.text));
    bubble.addEventListener("click", () => this.actions.answer(item));
    const made = element("li", { class: item.arrived ? "theirs" : "theirs ghost" }, [
      bubble,
      element("p", { class: "meta" }, [
        element("span", { class: "source" }, item.extension ? `${item.source}·${item.extension}` : item.source),
        element("span", {}, `${item.parts} ${t(item.parts === 1 ? "part" : "parts")}`),
        element("time", {}, clock(timeOf(item))),
        messageTick(item),
      ]),
    ]);
    if (!item.arrived) made.append(this.waiting(item));
    return made;
  }

  waiting(item) {
    const line = element("p", { class: "remark" }, [element("span", {}, remark(item))]);
    if (item.state === "held") {
      for (const [key, approve] of [["approve", true], ["reject", false]]) {
        const button = element("button", { type: "button", class: "quiet" }, t(key));
        button.addEventListener("click", () => this.actions.decide(item, approve));
        line.append(button);
      }
    }
    return line;
  }
}
