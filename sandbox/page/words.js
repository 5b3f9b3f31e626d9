// The page's texts in both languages, and the formats of its times.

const WORDS = {
  en: {
    title: "1680 sandbox",
    subtitle: "A local SMS platform for testing. Nothing leaves this machine.",
    connecting: "connecting…",
    live: "live",
    offline: "connection lost, reconnecting…",
    story: "Demonstration",
    phones: "Phones",
    new_phone: "Another number",
    add: "Add phone",
    no_messages: "No messages yet",
    empty: "SMS to this number appear here.",
    nobody: "No phones yet. Send an SMS through this platform, or add a number.",
    reachable: "reachable",
    unreachable: "Delivery reports for this phone say that delivery failed.",
    to: "To",
    extension: "Extension",
    no_extension: "extension",
    write: "Reply from this phone",
    send: "Send",
    bad_reply: "The reply was not sent. An extension consists of digits.",
    account: "Account",
    balance: "Balance",
    parts_left: "parts left",
    rate: "Rate (items/s)",
    no_limit: "no limit",
    apply: "Apply",
    signature_required: "Signature required",
    signature_required_note: "texts without 【…】 are answered with -15",
    manual: "Hold all messages",
    manual_note: "for manual review, answered with 4",
    forbidden: "Forbidden words:",
    review: "Reviewed words:",
    pushes: "Pushes",
    waiting: "waiting",
    delivered: "delivered",
    given_up: "given up",
    report_address: "Address for delivery reports",
    uplink_address: "Address for replies",
    save: "Save",
    bad_address: "Not saved. Enter a full address that starts with http:// or https://.",
    repeat: "Repeat pushes",
    repeat_note: "until the receiver answers with 200 and 0",
    faults: "HTTP faults",
    faults_note: "“Once” affects the next call, the switch affects every call.",
    clear: "Clear all",
    once: "Once",
    queued: "queued",
    accepted: "accepted",
    held: "held",
    scheduled: "scheduled",
    refused: "refused",
    part: "part",
    parts: "parts",
    goes_out: "will be sent",
    held_review: "held for review",
    held_manual: "held for manual review",
    approve: "Approve",
    reject: "Reject",
    not_delivered: "not delivered",
    rejected: "rejected",
    report_pending: "received, no delivery report yet",
    report_delivered: "delivery report: delivered",
    push_waiting: "waiting for the receiver",
    push_delivered: "delivered to the receiver",
    push_given_up: "given up",
    push_none: "no address registered",
    reply_to_this: "Reply to this message",
    fault_padded: ["Padded answer", "blanks, NUL and a BOM around it"],
    fault_half: ["Half an answer", "accepted, connection cut in the answer"],
    fault_drop_after: ["No answer", "accepted, then the connection is cut"],
    fault_drop_before: ["Dropped call", "connection cut, nothing accepted"],
    fault_stall_after: ["Slow answer", "accepted, answered after a minute"],
    fault_html: ["HTML with 200", "an error page, nothing accepted"],
    fault_error_accepted: ["504", "accepted, but a proxy timed out"],
    fault_empty: ["Empty answer", "nothing accepted"],
    fault_no_length: ["No length", "the answer ends with the connection"],
    fault_too_fast: ["Too fast", "5 or -5, nothing accepted"],
    fault_address: ["Address refused", "-14: the caller's IP address is not authorised"],
    cmpp_faults: "CMPP faults",
    restart: "Restart",
    cmpp_fault_lost_submit: ["SUBMIT lost", "not received, not answered"],
    cmpp_fault_lost_answer: ["Response lost", "accepted, not answered"],
    cmpp_fault_late_answer: ["Late response", "after the delivery report"],
    cmpp_fault_answered_twice: ["Answered twice", "the same SUBMIT_RESP again"],
    cmpp_fault_too_fast: ["Too fast", "result 8, nothing accepted"],
    cmpp_fault_drop_before: ["Dropped before", "connection breaks, nothing accepted"],
    cmpp_fault_drop_after: ["Dropped after", "accepted, then the connection breaks"],
    cmpp_fault_half_open: ["Half open", "connected, but nothing is answered"],
    cmpp_fault_terminate: ["TERMINATE", "answered, then the session ends"],
    cmpp_fault_restart: ["Restart", "accepted, then all connections break"],
    cmpp_fault_delivered_twice: ["DELIVER twice", "the same one, immediately"],
    cmpp_fault_redelivered: ["DELIVER repeated", "with a new Sequence_Id"],
    cmpp_fault_accepted_first: ["ACCEPTD first", "a report that is not final comes first"],
    cmpp_fault_segment_failed: ["Segment fails", "its report says UNDELIV"],
  },
  zh: {
    title: "1680 模拟平台",
    subtitle: "本机测试用短信平台，任何内容都不会离开本机。",
    connecting: "正在连接…",
    live: "实时",
    offline: "连接已断开，正在重试…",
    story: "演示进度",
    phones: "手机",
    new_phone: "其他号码",
    add: "添加手机",
    no_messages: "暂无短信",
    empty: "发往此号码的短信会显示在这里。",
    nobody: "还没有手机。请通过本平台发送短信，或添加一个号码。",
    reachable: "可送达",
    unreachable: "此手机的状态报告为失败。",
    to: "发给",
    extension: "扩展号（小号）",
    no_extension: "扩展号",
    write: "用这部手机回复",
    send: "发送",
    bad_reply: "回复未发送。扩展号只能是数字。",
    account: "账户",
    balance: "剩余条数",
    parts_left: "条可用",
    rate: "速率（条/秒）",
    no_limit: "不限",
    apply: "应用",
    signature_required: "必须有签名",
    signature_required_note: "内容没有【…】时返回 -15",
    manual: "全部人工审核",
    manual_note: "由人工审核，返回 4",
    forbidden: "禁用词（一级黑词）：",
    review: "审核词：",
    pushes: "推送",
    waiting: "等待",
    delivered: "已送达",
    given_up: "已放弃",
    report_address: "状态报告接收地址",
    uplink_address: "上行接收地址",
    save: "保存",
    bad_address: "未保存。请填写以 http:// 或 https:// 开头的完整地址。",
    repeat: "重复推送",
    repeat_note: "直到接收方返回 200 和 0",
    faults: "HTTP 故障",
    faults_note: "“一次”影响下一次调用，开关影响每一次调用。",
    clear: "全部清除",
    once: "一次",
    queued: "待触发",
    accepted: "已接受",
    held: "待人工审核",
    scheduled: "定时",
    refused: "已拒绝",
    part: "条",
    parts: "条",
    goes_out: "发送时间",
    held_review: "待审核（含审核词）",
    held_manual: "待人工审核",
    approve: "放行",
    reject: "驳回",
    not_delivered: "未送达",
    rejected: "已驳回",
    report_pending: "已收到，尚无状态报告",
    report_delivered: "状态报告：已送达",
    push_waiting: "等待接收方",
    push_delivered: "已推送到接收方",
    push_given_up: "已放弃推送",
    push_none: "未登记地址",
    reply_to_this: "回复这条短信",
    fault_padded: ["带填充的应答", "前后有空白、NUL 和 BOM"],
    fault_half: ["半截应答", "已接受，应答中途断开"],
    fault_drop_after: ["没有应答", "已接受，随后断开连接"],
    fault_drop_before: ["调用中断", "断开连接，未接受"],
    fault_stall_after: ["应答迟缓", "已接受，一分钟后应答"],
    fault_html: ["200 的 HTML", "错误页面，未接受"],
    fault_error_accepted: ["504", "已接受，但代理超时"],
    fault_empty: ["空应答", "未接受"],
    fault_no_length: ["没有长度", "应答以断开连接结束"],
    fault_too_fast: ["提交太快", "返回 5 或 -5，未接受"],
    fault_address: ["拒绝地址", "返回 -14：调用方的 IP 地址未授权"],
    cmpp_faults: "CMPP 故障",
    restart: "重启",
    cmpp_fault_lost_submit: ["SUBMIT 丢失", "平台未收到，也不应答"],
    cmpp_fault_lost_answer: ["应答丢失", "已接受，不应答"],
    cmpp_fault_late_answer: ["应答迟到", "晚于状态报告"],
    cmpp_fault_answered_twice: ["重复应答", "同一 SUBMIT_RESP 发两次"],
    cmpp_fault_too_fast: ["提交太快", "返回 8，未接受"],
    cmpp_fault_drop_before: ["提前断开", "断开连接，未接受"],
    cmpp_fault_drop_after: ["接受后断开", "已接受，随后断开连接"],
    cmpp_fault_half_open: ["半开连接", "连接仍在，不再有任何应答"],
    cmpp_fault_terminate: ["TERMINATE", "应答后结束会话"],
    cmpp_fault_restart: ["重启", "已接受，随后断开全部连接"],
    cmpp_fault_delivered_twice: ["DELIVER 重复", "同一 DELIVER 立即再发一次"],
    cmpp_fault_redelivered: ["DELIVER 重发", "换新的 Sequence_Id"],
    cmpp_fault_accepted_first: ["先报 ACCEPTD", "先发一条非最终的状态报告"],
    cmpp_fault_segment_failed: ["分段失败", "该分段的状态报告为 UNDELIV"],
  },
};

const STORED = "sms1680-language";

function stored() {
  try {
    return localStorage.getItem(STORED);
  } catch {
    return null;
  }
}

let language = new URLSearchParams(location.search).get("lang") ?? stored() ?? navigator.language;
language = language.toLowerCase().startsWith("zh") ? "zh" : "en";

/** Return the text for a key in the current language. */
export function t(key) {
  return WORDS[language][key] ?? key;
}

/** Return the text in the current language. */
export function choose(en, zh) {
  return language === "zh" ? zh : en;
}

/** The faults that the page shows, in order. */
export const faults = named("fault_");
export const cmppFaults = named("cmpp_fault_");

function named(prefix) {
  return Object.keys(WORDS.en).filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length));
}

/** Set the texts, placeholders and labels of all elements that have a key. */
export function translate() {
  document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
  document.title = t("title");
  for (const element of document.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const element of document.querySelectorAll("[data-p]")) element.placeholder = t(element.dataset.p);
  for (const element of document.querySelectorAll("[data-l]")) {
    element.setAttribute("aria-label", t(element.dataset.l));
    element.title = t(element.dataset.l);
  }
  document.getElementById("language").textContent = language === "zh" ? "English" : "中文";
}

/** Switch to the other language and store the choice. */
export function switchLanguage() {
  language = language === "zh" ? "en" : "zh";
  try {
    localStorage.setItem(STORED, language);
  } catch {
    // without storage, the choice lasts until the page is closed
  }
  translate();
}

function format(seconds, options) {
  return new Intl.DateTimeFormat(language === "zh" ? "zh-CN" : "en-GB", options).format(new Date(seconds * 1000));
}

/** Return a time of day. */
export function clock(seconds) {
  return format(seconds, { hour: "2-digit", minute: "2-digit" });
}

/** Return a date. */
export function day(seconds) {
  return format(seconds, { weekday: "long", day: "numeric", month: "long" });
}

/** Return a short date and time. */
export function moment(seconds) {
  return format(seconds, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
}
