// The page of somebody who waits: counts down to the end of an offer, and says it aloud when something has changed.
// Without it the page tells the same: the offer's end stands there as a plain time.
"use strict";

(() => {
  const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, SOON = 5 * MINUTE;
  const byId = (id) => document.getElementById(id);
  let timer = 0, isAnnounced = false, state = "";

  function announce(sentence) {
    const status = byId("status");
    if (status) status.textContent = sentence;
  }

  /** "3 hours 12 minutes", in the page's language; a running clock in the last hour. */
  function inWords(left) {
    if (left < HOUR) {
      const seconds = Math.ceil(left / SECOND);
      return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    }
    const unit = (number, name) =>
      new Intl.NumberFormat(document.documentElement.lang, { style: "unit", unit: name, unitDisplay: "long" }).format(number);
    const hours = Math.floor(left / HOUR), minutes = Math.floor((left % HOUR) / MINUTE);
    return minutes ? `${unit(hours, "hour")} ${unit(minutes, "minute")}` : unit(hours, "hour");
  }

  function tick() {
    const clock = document.querySelector("[data-until]");
    if (!clock) return;
    const left = Date.parse(clock.dataset.until) - Date.now();
    clock.textContent = left > 0 ? inWords(left) : "0:00";
    clock.parentElement.classList.toggle("until--soon", left < SOON);
    if (left <= MINUTE && left > 0 && !isAnnounced) {
      isAnnounced = true;
      announce(clock.dataset.lastMinute);
    }
    if (left > 0) timer = setTimeout(tick, left < HOUR + MINUTE ? SECOND : MINUTE / 2);
    else timer = setTimeout(() => htmx.trigger("#entry", "refresh"), 1500);
  }

  /** Begin to count; after the page has fetched itself anew, tell what is new. */
  function begin() {
    clearTimeout(timer);
    const entry = byId("entry");
    if (!entry) return;
    const isNews = state && state !== entry.dataset.pollState;
    state = entry.dataset.pollState;
    if (isNews) {
      announce(entry.dataset.say);
      if (document.activeElement === document.body) byId("entry-title")?.focus({ preventScroll: true });
    }
    tick();
  }

  document.addEventListener("DOMContentLoaded", begin);
  document.addEventListener("htmx:afterSettle", begin);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && byId("entry")?.hasAttribute("hx-get")) htmx.trigger("#entry", "refresh");
  });
})();
