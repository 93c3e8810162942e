// What the pages can do when scripts run: nothing here is needed to book. htmx does the swapping; this file keeps
// focus and announcements right, lets selects answer at once, and tells when a held time runs out.
"use strict";

(() => {
  const ONE_MINUTE = 60_000;
  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);
  root.classList.add("js");

  /** Say a sentence through the page's one live region. */
  function announce(sentence) {
    const status = byId("status");
    if (status) status.textContent = sentence;
  }

  // --- Selects that answer at once ---------------------------------------------------------------------------------
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-submit-on-change]");
    if (form) form.requestSubmit();
  });

  // --- The device's time zone: suggested, never taken --------------------------------------------------------------
  function suggestZone() {
    const select = byId("field-zone"), hint = byId("zone-hint");
    if (!select || !hint || !select.dataset.zone) return;
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const option = [...select.options].find((each) => each.value === zone);
    if (!option || zone === select.dataset.zone || sameClock(zone, select.dataset.zone)) return;
    const address = new URL(location.pathname.replace(/\/slots$/, ""), location.href);
    address.search = location.search;
    address.searchParams.set("zone", zone);
    const link = document.createElement("a");
    link.href = address.href;
    link.textContent = hint.dataset.link.replace("{place}", option.textContent.trim());
    hint.replaceChildren(`${hint.dataset.sentence} `, link);
    hint.hidden = false;
  }

  function sameClock(one, other) {
    const now = new Date();
    const clock = (timeZone) => now.toLocaleString("en-GB", { timeZone });
    try { return clock(one) === clock(other); } catch { return true; }
  }

  // --- Days: swap the times only, keep the page ----------------------------------------------------------------------
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-day]");
    const slots = byId("slots");
    if (!link || !slots || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || event.button) return;
    event.preventDefault();
    const address = new URL(link.href);
    const fragment = new URL(slots.dataset.url, location.href);
    fragment.search = address.search;
    slots.dataset.chosen = "";
    htmx.ajax("GET", fragment.pathname + fragment.search, { source: slots, target: "#slots", swap: "outerHTML" })
      .then(() => {
        history.replaceState(null, "", address);
        const heading = byId("slots-title");
        heading?.focus({ preventScroll: true });
        byId("slots")?.scrollIntoView({ block: "nearest" });
      });
  });

  let shown = {}; // what #slots showed before: day, count, version

  /** After the times were swapped: mark the day in the month, tell only what changed, let the overview follow. */
  function afterSlots(slots) {
    const { day, count, version, summary } = slots.dataset;
    if (version === shown.version && day === shown.day) return;
    markDay(day);
    if (summary && (day !== shown.day || count !== shown.count)) announce(summary);
    if (day === shown.day) htmx.trigger("#overview", "refresh");
    shown = { day, count, version };
    const hidden = document.querySelector('form[data-submit-on-change] input[name="day"]');
    if (hidden && day) hidden.value = day;
  }

  function markDay(day) {
    for (const link of document.querySelectorAll(".month__day[aria-current]")) link.removeAttribute("aria-current");
    byId(`day-${day}`)?.setAttribute("aria-current", "date");
  }

  // --- Refreshing: only while somebody looks, and never under a finger or a cursor --------------------------------------
  let focusedTime = null;

  document.addEventListener("htmx:beforeRequest", (event) => {
    const isPoll = event.detail.elt.matches("[data-poll]") && !event.detail.requestConfig.triggeringEvent;
    if (isPoll && document.hidden && !("chosen" in event.detail.elt.dataset)) event.preventDefault();
  });
  document.addEventListener("htmx:beforeSwap", () => {
    const active = document.activeElement;
    focusedTime = active?.matches("#slots .time") ? active.id : null;
  });
  // What was opened stays open, and what is being marked with the cursor stays under it.
  let opened = [];
  document.addEventListener("htmx:beforeSwap", (event) => {
    const target = event.detail.target, selection = getSelection();
    if (!target.matches("[data-poll]")) return;
    const isMarking = selection && !selection.isCollapsed && target.contains(selection.anchorNode);
    if (isMarking && !event.detail.requestConfig.triggeringEvent) event.detail.shouldSwap = false;
    opened = [...target.querySelectorAll("details[id][open]")].map((details) => details.id);
  });
  document.addEventListener("htmx:afterSwap", () => {
    for (const id of opened) byId(id)?.setAttribute("open", "");
    opened = [];
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
  window.addEventListener("pageshow", (event) => { if (event.persisted) refresh(); });

  function refresh() {
    for (const id of ["slots", "summary"]) if (byId(id)?.hasAttribute("hx-get")) htmx.trigger(`#${id}`, "refresh");
  }

  // --- A held time: one announcement a minute before its end, and the truth when it is over ---------------------------
  let timers = [];

  function watchHold() {
    timers.forEach(clearTimeout);
    timers = [];
    const summary = byId("summary");
    if (!summary?.dataset.heldUntil) return;
    const left = Date.parse(summary.dataset.heldUntil) - Date.now();
    if (left > ONE_MINUTE) timers.push(setTimeout(() => announce(summary.dataset.lastMinute), left - ONE_MINUTE));
    timers.push(setTimeout(() => htmx.trigger("#summary", "refresh"), Math.max(left, 0) + 1500));
  }

  // --- After every swap ------------------------------------------------------------------------------------------------
  document.addEventListener("htmx:afterSettle", (event) => {
    const slots = byId("slots");
    if (event.target.id === "month" || event.target.id === "soonest") markDay(shown.day);
    if (slots && event.target === slots) {
      afterSlots(slots);
      const isLost = focusedTime && !byId(focusedTime) && document.activeElement === document.body;
      if (isLost) byId("slots-title")?.focus({ preventScroll: true });
      focusedTime = null;
    }
    watchHold();
    focusWhatMatters();
  });

  /** Errors, lost times and offers want to be read first. Each takes the focus once. */
  function focusWhatMatters() {
    const target = document.querySelector("[data-focus]");
    if (!target) return;
    target.removeAttribute("data-focus");
    target.focus();
    target.scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("DOMContentLoaded", () => {
    const slots = byId("slots");
    if (slots) shown = { day: slots.dataset.day, count: slots.dataset.count, version: slots.dataset.version };
    suggestZone();
    watchHold();
    focusWhatMatters();
  });
})();
