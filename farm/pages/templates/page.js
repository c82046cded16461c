"use strict";
// What the page does beyond showing itself. Without scripts it is still all there, but for the dividers and the reader.
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  function dividers(root) {
    for (const input of all(".compare input", root)) {
      const show = () => input.parentElement.style.setProperty("--at", input.value + "%");
      input.addEventListener("input", show);
      show();
    }
  }

  function blinkers(root) {
    for (const button of all(".blink", root)) {
      const frames = all("figure.painted", button.closest(".pair"));
      if (frames.length < 2) continue;
      button.hidden = false;
      let timer = 0;
      button.addEventListener("click", () => {
        const on = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", String(on));
        clearInterval(timer);
        frames[0].classList.toggle("over", false);
        if (on) {
          const images = frames.map((figure) => figure.querySelector("img").src);
          const shown = frames[1].querySelector("img");
          let turn = 0;
          timer = setInterval(() => { shown.src = images[turn++ % 2]; }, 500);
          button.stop = () => { shown.src = images[1]; };
        } else if (button.stop) button.stop();
      });
    }
  }

  function reader(root) {
    const source = root.querySelector("#frame-data");
    const box = root.querySelector(".reader");
    if (!source || !box) return;
    const { columns, rows } = JSON.parse(source.textContent);
    if (!rows.length) return;
    const input = box.querySelector("input"), values = box.querySelector("dl"), number = box.querySelector("output");
    const plots = all(".plot[data-first]", root);
    const format = (value) => value === null ? "–" : typeof value === "number" && Math.abs(value) >= 1e5
      ? (value / 1e6).toPrecision(3) + " M" : String(value);
    box.hidden = false;
    input.max = rows.length - 1;
    const show = (moved) => {
      const row = rows[input.value];
      number.textContent = row[0];
      input.setAttribute("aria-valuetext", "frame " + row[0]);
      values.replaceChildren(...columns.slice(1).map((name, i) => {
        const pair = document.createElement("div"), term = document.createElement("dt"), value = document.createElement("dd");
        term.textContent = name;
        value.textContent = format(row[i + 1]);
        pair.append(term, value);
        return pair;
      }));
      for (const plot of plots) {
        const { left, right, first, last } = plot.dataset, cursor = plot.querySelector(".cursor");
        const share = (row[0] - first) / (last - first);
        cursor.style.left = 100 * (+left + share * (right - left)) + "%";
        cursor.hidden = !moved;
      }
    };
    input.addEventListener("input", () => show(true));
    for (const plot of plots) {
      plot.addEventListener("click", (event) => {
        const { left, right, first, last } = plot.dataset, place = plot.getBoundingClientRect();
        const share = ((event.clientX - place.left) / place.width - left) / (right - left);
        const frame = +first + share * (last - first);
        let nearest = 0;
        rows.forEach((row, i) => { if (Math.abs(row[0] - frame) < Math.abs(rows[nearest][0] - frame)) nearest = i; });
        input.value = nearest;
        show(true);
      });
    }
    show(false);
  }

  function copying(root) {
    for (const button of all(".copy", root)) {
      if (!navigator.clipboard) continue;
      button.hidden = false;
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(button.parentElement.querySelector("pre").textContent);
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = "Copy"; }, 1500);
      });
    }
  }

  function wake(root) { dividers(root); blinkers(root); reader(root); copying(root); }

  wake(document);

  if (!("live" in document.body.dataset)) return;
  const live = document.getElementById("live"), page = document.getElementById("page");
  const contents = document.querySelector(".contents");

  async function refresh() {
    const answer = await fetch(location.pathname, { cache: "no-store" });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const before = new Map(all("main > section").map((section) => [section.id, section]));
    const sections = all("main > section", fresh).map((section) => {
      const old = before.get(section.id);
      if (old && (old.dataset.version === section.dataset.version || old.contains(document.activeElement))) return old;
      const kept = old ? all(".compare input", old).map((input) => input.value) : [];
      const own = document.importNode(section, true);
      all(".compare input", own).forEach((input, i) => { if (kept[i]) input.value = kept[i]; });
      return own;
    });
    const changed = sections.filter((section) => !before.has(section.id) || before.get(section.id) !== section);
    page.replaceChildren(...sections);
    changed.forEach(wake);
    contents.replaceChildren(...[...fresh.querySelector(".contents").childNodes].map((node) => document.importNode(node, true)));
    document.title = fresh.title;
    badge = fresh.getElementById("live");
    show();
  }

  let badge = live.cloneNode(true);  // what the server says: live, or ended
  function show() { live.textContent = badge.textContent; live.className = badge.className; }

  const events = new EventSource("events");
  let busy = Promise.resolve();
  events.addEventListener("changed", () => { busy = busy.then(refresh).catch(() => {}); });
  events.onopen = show;
  events.onerror = () => { live.textContent = "no answer from farm watch"; live.classList.add("off"); };
})();
