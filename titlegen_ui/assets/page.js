// What happens in the browser alone: copying, favourites, history, the counter, remembering the input.
// Nothing here sends anything anywhere; favourites and input stay in this browser's storage.
(() => {
  const store = {
    read: (box, key, fallback) => {
      try { return JSON.parse(box.getItem("titlegen." + key)) ?? fallback; } catch { return fallback; }
    },
    // Storage may be full or forbidden (private windows): the page works without it.
    write: (box, key, value) => { try { box.setItem("titlegen." + key, JSON.stringify(value)); } catch { /* see above */ } },
  };
  const one = (selector, root = document) => root.querySelector(selector);
  const field = (id) => one(`#${id} textarea, #${id} input`);
  const text = (key) => one(`#words [data-key=${key}]`);

  // ---- copying -------------------------------------------------------------------------------------------------
  async function copy(words, button) {
    try {
      await navigator.clipboard.writeText(words);
    } catch {  // no permission, or not a secure address
      const area = Object.assign(document.createElement("textarea"), { value: words });
      document.body.append(area); area.select(); document.execCommand("copy"); area.remove();
    }
    flash(button);
  }

  function flash(button) {
    if (button.classList.contains("done")) return;
    const before = [...button.childNodes];
    button.replaceChildren(...text("copied").cloneNode(true).childNodes);
    button.classList.add("done");
    setTimeout(() => { button.replaceChildren(...before); button.classList.remove("done"); }, 1400);
  }

  const base = () => location.origin + location.pathname.replace(/[^/]*$/, "");
  const shared = ({ kind, text: words }) =>
    kind === "link" ? location.origin + location.pathname + words : words.replaceAll("{base}", base());

  // ---- favourites and history --------------------------------------------------------------------------------------
  const favourites = () => store.read(localStorage, "favourites", []);
  const history = () => store.read(sessionStorage, "history", []);

  function toggleFavourite(card) {
    const title = card.dataset.title;
    const others = favourites().filter((f) => f.title !== title);
    const added = others.length === favourites().length;
    const synopsis = runOf(card)?.synopsis ?? "";
    if (added) others.unshift({ title, score: Number(card.dataset.score), synopsis, date: new Date().toISOString() });
    store.write(localStorage, "favourites", others.slice(0, 500));
    showShelf();
    markFavourites(document);
  }

  function markFavourites(root) {
    const titles = new Set(favourites().map((f) => f.title));
    root.querySelectorAll(".card .act.favourite").forEach((button) =>
      button.setAttribute("aria-pressed", titles.has(button.closest(".card").dataset.title)));
  }

  function runOf(element) {
    const run = element.closest("[data-run]");
    return run ? JSON.parse(run.dataset.run) : null;
  }

  function remember(element) {
    const run = element && runOf(element);
    if (!run?.link) return;
    const others = history().filter((h) => h.link !== run.link);
    store.write(sessionStorage, "history", [run, ...others].slice(0, 50));
    showShelf();
  }

  function entry(title, note, buttons) {
    const item = document.createElement("li");
    item.className = "card";
    item.dataset.title = title;
    const words = Object.assign(document.createElement("p"), { className: "title", textContent: title, lang: "ja" });
    const facts = Object.assign(document.createElement("p"), { className: "hint", textContent: note });
    const actions = Object.assign(document.createElement("div"), { className: "actions" });
    for (const [act, data] of buttons) {
      const button = Object.assign(document.createElement("button"), { type: "button", className: "act" });
      button.dataset.act = act;
      Object.assign(button.dataset, data);
      button.append(...text(act).cloneNode(true).childNodes);
      actions.append(button);
    }
    item.append(words, facts, actions);
    return item;
  }

  const short = (words, length) => [...words].length > length ? [...words].slice(0, length).join("") + "…" : words;

  function showShelf() {
    one("#favourites")?.replaceChildren(...favourites().map((f) =>
      entry(f.title, short(f.synopsis, 60), [["copy", {}], ["remove", {}]])));
    one("#history")?.replaceChildren(...history().map((h) =>
      entry(h.titles.join("　／　"), short(h.synopsis, 60), [["open", { link: h.link }]])));
  }

  function saveCsv() {
    const cell = (value) => {  // a spreadsheet would take these for a formula (OWASP, CSV injection)
      const words = String(value ?? "");
      return `"${(/^[=+\-@\t\r]/.test(words) ? "'" + words : words).replaceAll('"', '""')}"`;
    };
    const rows = favourites().map((f) => [f.title, f.score, f.synopsis, f.date].map(cell).join(","));
    // The mark at the start lets spreadsheet programs see that this is UTF-8.
    const blob = new Blob(["\ufeff" + ["title,score,synopsis,date", ...rows].join("\r\n") + "\r\n"], { type: "text/csv" });
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: "titles.csv" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  // ---- filling the form ----------------------------------------------------------------------------------------------
  function fill(id, value) {
    const input = field(id);
    input.value = value;
    input.dispatchEvent(new Event("input", { bubbles: true }));
  }

  function continueTitle(title) {
    one("#tabs button[role=tab]")?.click();  // where the titles will be
    const limit = Number(one(".counter").dataset.beginning);
    fill("prefix", [...title.replace(/…$/, "")].slice(0, limit).join(""));
    setTimeout(() => one("#write")?.click(), 150);
    one("#inputs")?.scrollIntoView({ behavior: "smooth", block: "start" });
  }

  // ---- why a title ---------------------------------------------------------------------------------------------------
  function look(button) {
    const view = button.closest(".reasons");
    view.querySelectorAll(".token").forEach((t) => t.setAttribute("aria-pressed", t === button));
    one(".others", view).textContent = button.dataset.others;
    const source = one(".source", view);
    const row = source ? JSON.parse(source.dataset.attention)[Number(button.dataset.index)] : [];
    [...(source?.children ?? [])].forEach((span, i) => span.style.setProperty("--look", (row[i] ?? 0) / 99));
  }

  // ---- the counter -----------------------------------------------------------------------------------------------------
  function count() {
    const counter = one(".counter"), input = field("synopsis");
    if (!counter || !input) return;
    const length = [...input.value].length, limit = Number(counter.dataset.limit);
    one(".count", counter).textContent = length.toLocaleString("en");
    counter.classList.toggle("too-long", length > limit);
    one(".over", counter).hidden = length <= limit;
  }

  function setMode() {
    document.body.dataset.mode = one("#mode input:checked")?.value ?? "synopsis";
  }

  // ---- Gradio's own messages, in words for visitors --------------------------------------------------------------------
  function befriendToast(toast) {
    const words = toast.textContent;
    const key = /queue is full|currently busy/i.test(words) ? "queue_full"
      : /exceed|too large/i.test(words) ? "file_large" : /invalid file type/i.test(words) ? "file_kind"
      : /connection|fetch|network|session|server response/i.test(words) ? "lost" : null;
    const body = one("[data-testid=toast-text]", toast);
    if (key && body && !toast.dataset.friendly) {
      toast.dataset.friendly = key;
      body.replaceChildren(...text(key).cloneNode(true).childNodes);
    }
  }

  // A server that goes away in the middle of a run leaves no message, only a mark on the results.
  async function sayIfLost() {
    const alive = await fetch(base(), { method: "HEAD", cache: "no-store" }).then(() => true, () => false);
    if (one("[data-testid=toast-body]")) return;  // it has been said
    one("#lost").replaceChildren(...text(alive ? "failed" : "lost").cloneNode(true).childNodes);
    one("#lost").hidden = false;
  }

  // Gradio shows a place in the queue in English; ours says what is going on, in the visitor's language.
  function showQueue() {
    const trackers = [...document.querySelectorAll("[data-testid=status-tracker]")];
    const place = trackers.map((tracker) => /queue: (\d+)\/(\d+)/.exec(tracker.textContent)).find(Boolean);
    const waiting = one("#waiting");
    if (!waiting || waiting.hidden === !place && (!place || one("b", waiting).textContent === `${place[1]} / ${place[2]}`)) return;
    waiting.hidden = !place;
    if (place) one("b", waiting).textContent = `${place[1]} / ${place[2]}`;
  }

  function beginRun() {
    one("#lost").hidden = true;
    // The button gives way to the stop button: whoever pressed it by keyboard goes on from the titles.
    const results = one("#results");
    results.tabIndex = -1;
    results.focus({ preventScroll: true });
    // On a phone the button goes to the top, so that the titles below it are in sight.
    if (matchMedia("(max-width: 640px)").matches) setTimeout(() => scrollTo({ top: one("#output").offsetTop - 80, behavior: "smooth" }), 50);
  }

  const actions = {
    copy: (b) => copy(b.closest(".card").dataset.title, b),
    share: (b) => copy(shared(b.dataset), b),
    favourite: (b) => toggleFavourite(b.closest(".card")),
    continue: (b) => continueTitle(b.closest(".card").dataset.title),
    look,
    remove: (b) => toggleFavourite(b.closest(".card")),
    open: (b) => location.assign(location.pathname + b.dataset.link),
    csv: saveCsv,
  };

  document.addEventListener("click", (event) => {
    if (event.target.closest?.("#write")) beginRun();
    if (event.target.closest?.("#examples-synopsis, #examples-continue")) setTimeout(save, 400);
    const button = event.target.closest?.("[data-act]");
    if (button) actions[button.dataset.act]?.(button);
  });
  document.addEventListener("input", (event) => {
    if (event.target.closest?.("#synopsis, #mode, #prefix")) setTimeout(save);
  });
  document.addEventListener("change", (event) => {
    if (event.target.closest?.("#mode")) setTimeout(() => { setMode(); save(); });
  });
  new MutationObserver((changes) => {
    showQueue();
    for (const { addedNodes } of changes) for (const node of addedNodes) {
      if (node.nodeType !== 1) continue;
      if (node.matches("[class*=toast]")) befriendToast(node);
      if (node.matches("[data-testid=status-tracker] .error")) sayIfLost();
      if (node.querySelector("[data-address]:empty")) fillAddresses();
      if (node.querySelector("#favourites")) showShelf();
      if (node.querySelector(".reasons")) one("#why").scrollIntoView({ block: "nearest", behavior: "smooth" });
    }
  }).observe(document.documentElement, { childList: true, subtree: true, characterData: true });

  function save() {
    count();
    if (hasLink()) window.history.replaceState(null, "", location.pathname);  // what is typed now is more than the link
    store.write(localStorage, "input", {
      mode: one("#mode input:checked")?.value, synopsis: field("synopsis")?.value, beginning: field("prefix")?.value,
    });
  }

  const hasLink = () => /[?&](synopsis|prefix|z)=/.test(location.search);

  window.titlegen = {
    // Called by the results' js_on_load: `trigger` is how a click reaches the server.
    watchResults(element, trigger, watch) {
      element.addEventListener("click", (event) => {
        const button = event.target.closest("[data-act=why]");
        if (button) trigger("select", { synopsis: runOf(button)?.synopsis ?? "", guidance: runOf(button)?.guidance, title: button.closest(".card").dataset.title });
      });
      watch("value", () => { remember(element.querySelector("[data-run]")); markFavourites(element); fillAddresses(); });
    },
    restore(mode, synopsis, beginning) {
      const saved = hasLink() ? {} : store.read(localStorage, "input", {});
      return [saved.mode ?? mode, saved.synopsis ?? synopsis, saved.beginning ?? beginning];
    },
    afterOpening() {
      setTimeout(() => { setMode(); count(); showShelf(); fillAddresses(); if (hasLink() && !one("#status .note.error")) one("#write")?.click(); }, 300);
    },
  };

  function fillAddresses() {
    document.querySelectorAll(".code.curl").forEach((c) => { c.textContent = c.textContent.replaceAll("{base}", base()); });
    document.querySelectorAll("[data-address]:empty").forEach((c) => { c.textContent = base() + c.dataset.address; });
  }
})();
