// What the pages can do when scripts run: nothing here is needed to book. htmx does the swapping; this file keeps
// focus and announcements right, makes one stop of the month for the Tab key, and tells when a held time runs out.
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

  // --- The device's time zone: told where the service is online, else suggested and never taken ----------------------
  function suggestZone() {
    const select = byId("field-zone"), hint = byId("zone-hint");
    if (!select?.dataset.zone) return;
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (zone === select.dataset.zone || sameClock(zone, select.dataset.zone)) return;
    const told = `lockstep-device-zone=${zone}`;
    if ("asksDevice" in byId("zone").dataset && !document.cookie.includes(told)) {
      document.cookie = `${told};path=/;samesite=lax`;
      if (document.cookie.includes(told)) return location.reload();
    }
    const option = [...select.options].find((each) => each.value === zone);
    if (!option) return;
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
        const whole = byId("month-all");
        if (whole) whole.checked = false;
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
    keepInMind(day);
  }

  /** Every form of the page leads back to the day that is open now. */
  function keepInMind(day) {
    if (day) for (const field of document.querySelectorAll("#chooser [name=day], #soonest [name=day]")) field.value = day;
  }

  function markDay(day) {
    for (const link of document.querySelectorAll(".month__day[aria-current]")) link.removeAttribute("aria-current");
    byId(`day-${day}`)?.setAttribute("aria-current", "date");
  }

  // --- The month as a grid: one stop of the Tab key, arrows within -------------------------------------------------------
  const DAY = ".month__day";
  const STEPS = { ArrowUp: -7, ArrowDown: 7, ArrowLeft: -1, ArrowRight: 1 };
  const MONTHS = { PageUp: -1, PageDown: 1 };
  const dateOf = (cell) => cell.id.slice(4);
  const iso = (...parts) => new Date(Date.UTC(...parts)).toISOString().slice(0, 10);

  /** Give the table the roles and the one stop of a grid, unless it has them already. */
  function makeGrid() {
    const table = document.querySelector("#month table:not([role])");
    if (!table) return;
    table.setAttribute("role", "grid");
    for (const cell of table.querySelectorAll(DAY)) {
      cell.tabIndex = -1;
      if (cell.href) continue;
      cell.role = "link";
      cell.ariaDisabled = "true";
      cell.ariaLabel = cell.dataset.name;
    }
    const stop = ["[aria-current]", "a", DAY].map((kind) => table.querySelector(kind)).find(Boolean);
    if (stop) stop.tabIndex = 0;
  }

  function goTo(cell) {
    for (const each of document.querySelectorAll(DAY)) each.tabIndex = each === cell ? 0 : -1;
    if (!cell.offsetParent) byId("month-all").checked = true; // its week is folded away
    cell.focus();
  }

  document.addEventListener("keydown", (event) => {
    const { target, key } = event;
    if (!target.closest("[role=grid]") || event.ctrlKey || event.metaKey || event.altKey) return;
    const [year, month, day] = dateOf(target).split("-").map(Number);
    const week = target.closest("tr").querySelectorAll(DAY);
    const months = MONTHS[key] * (event.shiftKey ? 12 : 1);
    if (key === " ") target.click();
    else if (STEPS[key]) goToDate(iso(year, month - 1, day + STEPS[key]));
    else if (key === "Home") goTo(week[0]);
    else if (key === "End") goTo(week[week.length - 1]);
    else if (months) goToMonth([iso(year, month - 1 + months, day), iso(year, month + months, 0)].sort()[0]);
    else return;
    event.preventDefault();
  });

  function goToDate(date) {
    const cell = byId(`day-${date}`);
    if (cell) goTo(cell);
    else goToMonth(date);
  }

  /** Fetch the month of a date, as far as there are months to be had, and focus the day that is nearest. */
  async function goToMonth(date) {
    const { first, last, month, url } = byId("month").dataset;
    const wanted = [first, `${date.slice(0, 8)}01`, last].sort()[1];
    if (wanted !== month) {
      const address = url.replace(/month=[^&]*/, `month=${wanted.slice(0, 7)}`);
      await htmx.ajax("GET", address, { target: "#month", select: "#month", swap: "outerHTML" });
      makeGrid();
      const days = [...document.querySelectorAll(`#month ${DAY}`)].filter((cell) => dateOf(cell).startsWith(wanted.slice(0, 7)));
      goTo(days.find((cell) => dateOf(cell) >= date) || days.pop());
    }
    announce(document.querySelector(".month__title").textContent);
  }

  // --- Refreshing: only while somebody looks, and never under a finger or a cursor --------------------------------------
  let focusedTime = null, focusedDay = "", isWhole = false;

  document.addEventListener("htmx:beforeRequest", (event) => {
    const isPoll = event.detail.elt.matches("[data-poll]") && !event.detail.requestConfig.triggeringEvent;
    if (isPoll && document.hidden && !("chosen" in event.detail.elt.dataset)) event.preventDefault();
  });
  document.addEventListener("htmx:beforeSwap", () => {
    const active = document.activeElement;
    focusedTime = active?.matches("#slots .time") ? active.id : null;
    focusedDay = active?.matches("#month .month__day") ? active.id : "";
    isWhole = byId("month-all")?.checked;
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
    if (event.target.id === "times") {
      shown = { ...slots?.dataset };
      announce(shown.summary || "");
    } else if (event.target.id === "month" || event.target.id === "soonest") {
      markDay(shown.day);
      keepInMind(shown.day);
      if (isWhole && byId("month-all")) byId("month-all").checked = true;
    }
    makeGrid();
    if (focusedDay && byId(focusedDay) && document.activeElement === document.body) goTo(byId(focusedDay));
    focusedDay = "";
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
    if (slots) shown = { ...slots.dataset };
    makeGrid();
    suggestZone();
    watchHold();
    focusWhatMatters();
  });
})();
