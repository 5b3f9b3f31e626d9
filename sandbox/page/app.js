// The phone page: reads the state once, then follows the server-sent events. Data is only inserted as text nodes.

import { choose, clock, cmppFaults, faults, moment, switchLanguage, t, translate } from "./words.js";
import { Conversation, element, icon } from "./conversation.js";

const $ = (id) => document.getElementById(id);
const MAX_ITEMS = 2000; // the newest messages and replies that the page holds
const items = new Map();
const unread = new Map();
const added = new Set(); // numbers added by hand, without messages yet
const phoneRows = new Map();
const edited = new Set(); // fields with changes that are not saved yet
let state = null;
let selected = /^#\d{1,20}$/.test(location.hash) ? location.hash.slice(1) : null;
let account = null;
let replyTo = null;

const conversation = new Conversation($("talk"), { decide, answer });

async function post(path, body) {
  const response = await fetch(`/api/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const result = await response.json().catch(() => ({ error: `HTTP ${response.status}` }));
  if (!response.ok) throw new Error(result.error ?? `HTTP ${response.status}`);
  return result;
}

function decide(message, approve) {
  return post("held", { message_id: message.message_id, approve });
}

function currentAccount() {
  return state.accounts.find((one) => one.username === account) ?? state.accounts[0];
}

// --- phones ------------------------------------------------------------------------------------------------------------

function conversations() {
  const byNumber = new Map([...added].map((number) => [number, []]));
  for (const item of [...items.values()].sort((a, b) => a.serial - b.serial)) {
    if (!byNumber.has(item.number)) byNumber.set(item.number, []);
    byNumber.get(item.number).push(item);
  }
  return byNumber;
}

function lastOf(list) {
  return list.length ? list[list.length - 1].serial : 0;
}

function formatNumber(number) {
  return /^\d{11}$/.test(number) ? `${number.slice(0, 3)} ${number.slice(3, 7)} ${number.slice(7)}` : number;
}

function showPhones() {
  const known = conversations();
  const numbers = [...known.keys()].sort((a, b) => lastOf(known.get(b)) - lastOf(known.get(a)));
  if (selected === null && numbers.length) select(numbers[0]);
  const list = $("phone-list");
  for (const [number, row] of phoneRows) if (!known.has(number) && phoneRows.delete(number)) row.remove();
  numbers.forEach((number, place) => {
    const row = phoneRow(number, known.get(number).at(-1));
    if (list.children[place] !== row) list.insertBefore(row, list.children[place] ?? null);
  });
  const total = [...unread.values()].reduce((sum, count) => sum + count, 0);
  document.title = total ? `(${total}) ${t("title")}` : t("title");
  $("phones-title").dataset.count = String(numbers.length);
}

/** Fill the row of a phone, which is kept: a press is not lost when the row changes before the release. */
function phoneRow(number, last) {
  if (!phoneRows.has(number)) {
    const made = element("button", { type: "button" });
    made.addEventListener("click", () => select(number));
    phoneRows.set(number, element("li", {}, [made]));
  }
  const row = phoneRows.get(number);
  const button = row.firstElementChild;
  button.setAttribute("aria-current", String(number === selected));
  button.replaceChildren(
    element("span", { class: "face", "data-hue": hue(number) }, number.slice(-2)),
    element("span", { class: "who" }, [
      element("b", {}, formatNumber(number)),
      element("small", {}, last ? last.text : t("no_messages")),
    ]),
    element("span", { class: "when" }, [
      element("time", {}, last ? clock(timeOf(last)) : ""),
      unread.get(number) ? element("i", { class: "badge" }, String(unread.get(number))) : "",
    ]),
  );
  return row;
}

function hue(number) {
  return String([...number].reduce((sum, digit) => sum + Number(digit), 0) % 5);
}

function timeOf(item) {
  return item.kind === "uplink" ? item.at : item.sent_at ?? item.accepted_at;
}

function select(number) {
  selected = number;
  history.replaceState(null, "", `#${number}`);
  unread.delete(number);
  replyTo = null;
  edited.delete("extension");
  showHandset();
  showPhones();
}

function showHandset() {
  const list = selected ? conversations().get(selected) ?? [] : [];
  $("phone-number").textContent = selected ? formatNumber(selected) : "—";
  $("phone-face").textContent = selected ? selected.slice(-2) : "";
  $("phone-face").dataset.hue = selected ? hue(selected) : "0";
  const status = state?.phones[selected];
  $("reachable").checked = status === undefined || status === "0";
  $("reachable").disabled = selected === null || !/^1\d{10}$/.test(selected);
  $("phone-note").textContent = $("reachable").checked ? "" : t("unreachable");
  conversation.show(list, selected ? t("empty") : t("nobody"));
  showReply(list);
}

function showReply(list) {
  const last = replyTo ?? list.filter((item) => item.kind === "message" && item.arrived).at(-1);
  const source = last?.source ?? (state ? currentAccount().source : "");
  $("reply-source").textContent = source;
  if (!edited.has("extension")) $("extension").value = last?.extension ?? "";
  $("reply").dataset.username = last?.username ?? "";
  for (const id of ["content", "extension"]) $(id).disabled = selected === null;
}

function answer(message) {
  replyTo = message;
  edited.delete("extension");
  showReply([message]);
  $("content").focus();
}

async function sendReply(event) {
  event.preventDefault();
  const content = $("content").value;
  if (!selected || !content.trim()) return;
  const username = $("reply").dataset.username || currentAccount().username;
  try {
    await post("reply", { number: selected, content, extension: $("extension").value.trim(), username });
    $("content").value = "";
    replyTo = null;
    edited.delete("extension");
    $("reply-problem").textContent = "";
    grow();
  } catch (error) {
    $("reply-problem").textContent = `${t("bad_reply")} (${error.message})`;
  }
}

function grow() {
  const box = $("content");
  box.style.height = "auto";
  const borders = box.offsetHeight - box.clientHeight;
  box.style.height = `${Math.min(box.scrollHeight + borders, 120)}px`;
}

// --- panel -------------------------------------------------------------------------------------------------------------

function setUnlessEdited(id, value) {
  if (!edited.has(id)) $(id).value = value;
}

function showPanel() {
  const one = currentAccount();
  $("account").replaceChildren(
    ...state.accounts.map((each) =>
      element("option", { value: each.username, selected: each === one ? "" : null }, each.username),
    ),
  );
  $("account").disabled = state.accounts.length < 2;
  const balance = Object.values(one.balances).reduce((sum, left) => sum + left, 0);
  $("balance").textContent = balance.toLocaleString();
  setUnlessEdited("balance-input", Object.values(one.balances)[0] ?? "");
  setUnlessEdited("rate-input", one.rate ?? "");
  setUnlessEdited("report-address", one.report_address ?? "");
  setUnlessEdited("uplink-address", one.uplink_address ?? "");
  $("signature-required").checked = one.signature_required;
  $("manual").checked = one.manual;
  $("repeat").checked = state.pushes.repeat;
  $("waiting").textContent = state.pushes.waiting;
  $("delivered").textContent = state.pushes.delivered;
  $("given-up").textContent = state.pushes.given_up;
  $("waiting").parentElement.classList.toggle("busy", state.pushes.waiting > 0);
  $("given-up").parentElement.classList.toggle("bad", state.pushes.given_up > 0);
  showCounts();
  showWords("forbidden", state.words.forbidden);
  showWords("review", state.words.review);
  showFaults();
}

function showCounts() {
  const counts = state.counts;
  const refused = Object.entries(counts)
    .filter(([key]) => key.startsWith("verdict_") && !/_(accepted|review|manual)$/.test(key))
    .reduce((sum, [, count]) => sum + count, 0);
  const rows = [
    ["accepted", counts.messages ?? 0],
    ["scheduled", counts.scheduled ?? 0],
    ["held", counts.held ?? 0],
    ["refused", refused],
  ];
  $("counts").replaceChildren(
    ...rows.map(([key, count]) => element("div", {}, [element("dt", {}, t(key)), element("dd", {}, String(count))])),
  );
}

function showWords(id, words) {
  $(id).parentElement.hidden = words.length === 0;
  $(id).replaceChildren(...words.map((word) => element("span", { class: "word" }, word)));
}

function showFaults() {
  const overCMPP = state.cmpp?.queue ?? [];
  $("clear-faults").disabled =
    state.faults.standing === null && state.faults.queue.length === 0 && overCMPP.length === 0;
  showFaultRows($("faults"), faults, "fault", state.faults.queue, faultRow);
  $("cmpp").hidden = state.cmpp === null;
  showFaultRows($("cmpp-faults"), cmppFaults, "cmpp_fault", overCMPP, cmppFaultRow);
}

function showFaultRows(list, names, words, queue, makeRow) {
  if (!list.children.length) list.append(...names.map(makeRow));
  [...list.children].forEach((row, index) => {
    const name = names[index];
    const [title, note] = t(`${words}_${name}`);
    row.querySelector("b").textContent = title;
    row.querySelector("small").textContent = note;
    const count = queue.filter((each) => each === name).length;
    const once = row.querySelector("button");
    once.textContent = count ? `${t("once")} · ${count}` : t("once");
    once.classList.toggle("on", count > 0);
    const always = row.querySelector("input");
    if (always) {
      always.checked = state.faults.standing === name;
      always.setAttribute("aria-label", title);
    }
  });
}

function faultRow(name) {
  const always = element("input", { type: "checkbox", role: "switch" });
  always.addEventListener("change", () => post("faults", { standing: always.checked ? name : null }));
  return element("li", {}, [element("span", {}, [element("b"), element("small")]), onceButton({ next: name }), always]);
}

function cmppFaultRow(name) {
  return element("li", {}, [element("span", {}, [element("b"), element("small")]), onceButton({ cmpp: name })]);
}

function onceButton(fault) {
  const once = element("button", { type: "button", class: "quiet" }, "");
  once.addEventListener("click", () => post("faults", fault));
  return once;
}

function showStory() {
  const { steps, links } = state.story;
  $("story").hidden = steps.length === 0 && links.length === 0;
  const done = steps.filter((step) => step.state === "done").length;
  $("story-count").textContent = steps.length ? `${done} / ${steps.length}` : "";
  $("story-bar").style.width = steps.length ? `${(100 * done) / steps.length}%` : "0";
  $("story-bar").classList.toggle("bad", steps.some((step) => step.state === "failed"));
  const icons = { waiting: "clock", done: "tick", failed: "cross" };
  $("steps").replaceChildren(
    ...steps.map((step) =>
      element("li", { class: step.state }, [
        element("span", { class: "state" }, step.state === "running" ? "" : [icon(icons[step.state])]),
        element("span", {}, [element("b", {}, choose(step.en, step.zh)), step.detail ? element("small", {}, step.detail) : ""]),
      ]),
    ),
  );
  $("links").hidden = links.length === 0;
  $("links").replaceChildren(
    ...links.map((link) =>
      element("a", { href: /^https?:\/\//i.test(link.url) ? link.url : "#", target: "_blank", rel: "noopener noreferrer" }, [
        link.title,
        icon("out"),
      ]),
    ),
  );
}

// --- updates from the platform --------------------------------------------------------------------------------------------

async function readAll() {
  const [newState, list] = await Promise.all(
    ["state", "messages"].map((what) => fetch(`/api/${what}`).then((response) => response.json())),
  );
  items.clear();
  for (const item of list.messages) items.set(item.serial, item);
  state = newState;
  showAll();
}

function showAll() {
  if (!state) return;
  showStory();
  showPanel();
  showHandset();
  showPhones();
}

function applyChanges(changes) {
  if (state && changes.state.epoch !== state.epoch) {
    state = changes.state;
    readAll();
    return;
  }
  state = changes.state;
  for (const item of changes.items) {
    const isNew = !items.get(item.serial)?.arrived && item.kind === "message" && item.arrived;
    items.set(item.serial, item);
    if (isNew && item.number !== selected) unread.set(item.number, (unread.get(item.number) ?? 0) + 1);
    if (item.number === selected) conversation.update(item);
  }
  while (items.size > MAX_ITEMS) items.delete(items.keys().next().value);
  if (changes.items.some((item) => item.number === selected)) showReply(conversations().get(selected) ?? []);
  showStory();
  showPanel();
  showPhones();
}

function follow() {
  const source = new EventSource("/api/events");
  source.addEventListener("open", () => {
    live("live");
    readAll();
  });
  source.addEventListener("changes", (event) => applyChanges(JSON.parse(event.data)));
  source.addEventListener("error", () => live("offline"));
}

function live(how) {
  $("live").className = `live ${how}`;
  $("live-text").dataset.t = how;
  $("live-text").textContent = t(how);
}

function showTime() {
  $("status-time").textContent = clock(Date.now() / 1000);
}

// --- user input ------------------------------------------------------------------------------------------------

function setAccount(values) {
  return post("account", { username: currentAccount().username, ...values });
}

$("reply").addEventListener("submit", sendReply);
$("content").addEventListener("input", grow);
$("content").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) sendReply(event);
});
$("new-phone").addEventListener("submit", (event) => {
  event.preventDefault();
  const number = $("new-number").value.replace(/\D/g, "");
  if (!number) return;
  added.add(number);
  $("new-number").value = "";
  select(number);
});
$("reachable").addEventListener("change", async () => {
  await post("phone", { number: selected, report_status: $("reachable").checked ? "0" : "UNDELIV" });
  $("phone-note").textContent = $("reachable").checked ? "" : t("unreachable");
});
$("account").addEventListener("change", () => {
  account = $("account").value;
  edited.clear();
  showPanel();
});
$("top-up").addEventListener("submit", (event) => {
  event.preventDefault();
  for (const id of ["balance-input", "rate-input"]) edited.delete(id);
  const product = Object.keys(currentAccount().balances)[0];
  const rate = Number($("rate-input").value);
  setAccount({ balances: { [product]: Number($("balance-input").value) }, rate: rate > 0 ? rate : null });
});
$("addresses").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await setAccount({ report_address: $("report-address").value, uplink_address: $("uplink-address").value });
    for (const id of ["report-address", "uplink-address"]) edited.delete(id);
    $("address-problem").textContent = "";
  } catch (error) {
    $("address-problem").textContent = `${t("bad_address")} (${error.message})`;
  }
});
$("signature-required").addEventListener("change", (event) => setAccount({ signature_required: event.target.checked }));
for (const id of ["extension", "balance-input", "rate-input", "report-address", "uplink-address"]) {
  $(id).addEventListener("input", () => edited.add(id));
}
$("manual").addEventListener("change", (event) => setAccount({ manual: event.target.checked }));
$("repeat").addEventListener("change", (event) => post("pushes", { repeat: event.target.checked }));
$("clear-faults").addEventListener("click", () => post("faults", { clear: true }));
$("restart").addEventListener("click", () => post("faults", { restart: true }));
$("language").addEventListener("click", () => {
  switchLanguage();
  showTime();
  showAll();
});

translate();
showTime();
setInterval(showTime, 10_000);
live("connecting");
follow();
