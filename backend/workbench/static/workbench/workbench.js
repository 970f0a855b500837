// Keeps the workbench up to date while it is looked at: asks for its live part every two seconds,
// or listens to events, where the server sends them.
"use strict";

const EVERY = 2000; // milliseconds between an answer and the next question
const PATIENCE = 5000; // milliseconds until an answer counts as missing

const live = document.getElementById("live");
const pulse = document.getElementById("pulse");
const pause = document.getElementById("pause");
let timer = 0;
let events = null;
let asking = false;

// Leave unchanged texts alone: a screen reader would read them again.
function say(text) {
  if (pulse.textContent !== text) pulse.textContent = text;
}

// A part that holds the focus or a selection is left alone until it is let go.
function inUse(part) {
  const selection = document.getSelection();
  const selected = selection && !selection.isCollapsed && selection.containsNode(part, true);
  return part.contains(document.activeElement) || selected;
}

function show(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  finish(fresh);
  for (const part of fresh.querySelectorAll("section[id], #verdict")) {
    const old = document.getElementById(part.id);
    if (old && old.outerHTML !== part.outerHTML && !inUse(old)) old.replaceWith(part);
  }
}

// What only a script can do: local times and buttons that copy.
function finish(root) {
  for (const button of root.querySelectorAll("[data-copy]")) button.hidden = !navigator.clipboard;
  for (const time of root.querySelectorAll("time")) {
    time.textContent = new Date(time.dateTime).toLocaleTimeString([], { hour12: false });
  }
}

async function ask() {
  if (asking) return;
  asking = true;
  try {
    const answer = await fetch(live.dataset.address, { signal: AbortSignal.timeout(PATIENCE) });
    if (!answer.ok) throw new Error(String(answer.status));
    answered(await answer.text());
  } catch {
    unanswered();
  } finally {
    asking = false;
    plan();
  }
}

function answered(html) {
  show(html);
  live.classList.remove("stale");
  say("Live, every 2 seconds.");
}

function unanswered() {
  live.classList.add("stale");
  say("× Web does not answer; this is what was known last.");
}

function listen() {
  events = new EventSource(live.dataset.events);
  events.onmessage = (event) => answered(JSON.parse(event.data));
  events.onerror = () => {
    unanswered();
    if (events.readyState !== EventSource.CLOSED) return; // the browser tries again
    // Another server serves now.
    delete live.dataset.events;
    plan();
  };
}

function plan() {
  clearTimeout(timer);
  if (events) events.close();
  events = null;
  if (document.hidden || pause.getAttribute("aria-pressed") === "true") return;
  if (live.dataset.events) listen();
  else timer = setTimeout(ask, EVERY);
}

document.addEventListener("visibilitychange", plan);

pause.addEventListener("click", () => {
  const paused = pause.getAttribute("aria-pressed") !== "true";
  pause.setAttribute("aria-pressed", String(paused));
  if (paused) say("Paused.");
  plan();
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = "Copy"), 1500);
});

pause.hidden = false;
finish(document);
say("Live, every 2 seconds.");
plan();
