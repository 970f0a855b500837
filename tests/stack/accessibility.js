// What would hinder somebody who does not see the page, or not well. WCAG 2.2: contrast (1.4.3),
// headings and tables (1.3.1), names (4.1.2). https://www.w3.org/TR/WCAG22/
() => {
  const faults = [];
  const visible = (e) => e.checkVisibility() && e.getClientRects().length > 0;

  const levels = [...document.querySelectorAll("h1, h2, h3, h4")].filter(visible)
    .map((e) => Number(e.tagName[1]));
  if (levels.filter((l) => l === 1).length !== 1) faults.push("not one h1: " + levels);
  levels.forEach((l, i) => { if (i && l > levels[i - 1] + 1) faults.push("a heading skips: " + levels); });

  if (!document.documentElement.lang) faults.push("no language");
  if (document.querySelectorAll("main").length !== 1) faults.push("not one main");

  const name = (e) => (e.getAttribute("aria-label") || e.textContent || e.alt || e.title || "").trim();
  for (const e of document.querySelectorAll("a[href], button, [role=img], [role=region], iframe, nav")) {
    const labelled = e.getAttribute("aria-labelledby");
    const other = labelled && document.getElementById(labelled);
    if (visible(e) && !name(other || e) && !(e.tagName === "IFRAME" && e.title))
      faults.push("no name: " + e.outerHTML.slice(0, 80));
  }
  for (const e of document.querySelectorAll("img")) if (!e.hasAttribute("alt")) faults.push("no alt: " + e.src);
  for (const e of document.querySelectorAll("input, select, textarea"))
    if (e.type !== "hidden" && !e.labels.length && !e.getAttribute("aria-label"))
      faults.push("no label: " + e.outerHTML.slice(0, 80));
  for (const e of document.querySelectorAll("table"))
    if (!e.querySelector("th[scope]")) faults.push("a table without headers");
  for (const e of document.querySelectorAll("thead th"))
    if (visible(e) && !e.textContent.trim()) faults.push("an empty table header");
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const id of new Set(ids)) if (ids.filter((one) => one === id).length > 1) faults.push("id twice: " + id);

  const channels = (c) => (c.match(/[\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b]
    .map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = channels(getComputedStyle(e).backgroundColor);
      if (c.length && (c.length < 4 || c[3] > 0)) return c;
    }
    return matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18] : [255, 255, 255];
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const e = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !visible(e) || e.closest(".hidden, .skip, script")) continue;
    const style = getComputedStyle(e);
    const ink = channels(e.closest("svg") ? style.fill : style.color);
    const [a, b] = [light(ink), light(behind(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const large = parseFloat(style.fontSize) >= 24;
    if (ratio < (large ? 3 : 4.5))
      faults.push(`contrast ${ratio.toFixed(2)}: ${texts.currentNode.data.trim().slice(0, 40)}`);
  }
  return [...new Set(faults)];
}
