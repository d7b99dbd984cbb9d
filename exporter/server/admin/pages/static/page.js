// Refreshes a page that asks for it (data-refresh of its main element, in seconds), and adds the viewer's own zone to exact times.
"use strict";
(() => {
  const viewer = new Intl.DateTimeFormat("sv-SE", {
    year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit",
  });
  const zone = viewer.resolvedOptions().timeZone;

  const addLocalTimes = (root) => {
    if (zone === "UTC") return;
    for (const time of root.querySelectorAll("time.when")) {
      if (time.title.endsWith(` ${zone}`)) continue; // the source's zone is the viewer's
      time.title += `\n${viewer.format(new Date(time.dateTime))} ${zone} (here)`;
    }
  };

  const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.id : "");

  const isEdited = (field) =>
    field === document.activeElement || field.type === "checkbox" || field.value !== field.defaultValue;

  // Changes `old` into `fresh` in place, so that focus, scroll position, selection and typed text stay.
  const morph = (old, fresh) => {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
      return;
    }
    if (old.matches("[data-keep]")) return;
    if (old.matches("select, textarea")) return; // what a person chose or typed
    const skipped = old.matches("input") && isEdited(old) ? ["value", "checked"] : old.matches("details") ? ["open"] : [];
    for (const { name, value } of fresh.attributes) {
      if (!skipped.includes(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    for (const { name } of [...old.attributes]) {
      if (!skipped.includes(name) && !fresh.hasAttribute(name)) old.removeAttribute(name);
    }
    const byKey = new Map([...old.children].filter(keyOf).map((child) => [child.id, child]));
    let next = old.firstChild;
    for (const child of [...fresh.childNodes]) {
      const key = keyOf(child);
      let match = key ? byKey.get(key) : next;
      if (!key && match && (keyOf(match) || match.nodeName !== child.nodeName)) match = null;
      if (match && match.nodeName === child.nodeName) {
        if (match === next) next = next.nextSibling;
        else old.insertBefore(match, next);
        morph(match, child);
      } else {
        old.insertBefore(document.importNode(child, true), next);
      }
    }
    while (next) {
      const following = next.nextSibling;
      next.remove();
      next = following;
    }
  };

  const shownMain = document.getElementById("main");
  const seconds = () => Number(shownMain.dataset.refresh);
  const warning = document.getElementById("not-refreshed");
  let timer = 0;
  let shownAt = new Date();

  const apply = (text) => {
    const page = new DOMParser().parseFromString(text, "text/html");
    const main = page.getElementById("main");
    if (!main) throw new Error("this is another page");
    addLocalTimes(main);
    morph(shownMain, main);
    document.title = page.title;
    const icon = page.querySelector("link[rel=icon]").getAttribute("href");
    const shown = document.querySelector("link[rel=icon]");
    if (shown.getAttribute("href") !== icon) shown.setAttribute("href", icon);
  };

  const warn = (text, link = "") => {
    const shown = `${text} This page is as of ${viewer.format(shownAt)}. ${link}`.trim();
    if (warning.textContent === shown) return; // or a screen reader reads it again and again
    warning.textContent = shown.slice(0, shown.length - link.length);
    if (link) {
      const anchor = document.createElement("a");
      anchor.textContent = link;
      anchor.href = location.pathname + location.search;
      warning.append(anchor);
    }
    warning.hidden = false;
  };

  const refresh = async () => {
    clearTimeout(timer);
    if (document.hidden) return;
    try {
      const response = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (response.status === 401) {
        warn("Your session has ended.", "Sign in again");
      } else if (!response.ok) {
        warn(`The exporter answers with an error, ${response.status}.`);
      } else {
        apply(await response.text());
        shownAt = new Date();
        warning.hidden = true;
        warning.textContent = "";
      }
    } catch {
      warn("The exporter does not answer.");
    }
    timer = setTimeout(refresh, seconds() * 1000);
  };

  addLocalTimes(document);
  if (seconds()) {
    timer = setTimeout(refresh, seconds() * 1000);
    document.addEventListener("visibilitychange", refresh);
  }
})();
