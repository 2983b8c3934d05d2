"use strict";
// The trace viewer. The list of all screens has everything without this.
for (const machine of document.querySelectorAll(".machine")) {
  const viewer = machine.querySelector(".trace");
  if (!viewer) continue;
  const steps = [...viewer.querySelectorAll(".steps > li")];
  const list = viewer.querySelector(".steps");
  const frame = viewer.querySelector(".frame");
  const words = viewer.querySelector(".stage .words");
  const tabs = { before: viewer.querySelector(".before"), after: viewer.querySelector(".after") };
  const place = viewer.querySelector(".tabs output");
  const lanes = machine.querySelector(".lanes");
  const tracks = [...lanes.querySelectorAll(".track")];
  const cursors = tracks.map((track) => track.appendChild(document.createElement("i")));
  const pictures = [...machine.querySelectorAll(".moments img")];
  let chosen = -1;
  let side = "after";

  const shown = () => steps.filter((step) => !step.hidden);
  const drawSide = () => {
    const step = steps[chosen];
    const picture = document.getElementById(step.dataset[side] || "");
    const screen = document.createElement("div");
    screen.className = "screen";
    if (picture) {
      const copy = picture.cloneNode();
      copy.removeAttribute("id");
      screen.append(copy);
      const drawing = step.querySelector("svg");
      if (drawing && side === step.dataset.own) screen.append(drawing.cloneNode(true));
    } else {
      screen.append("no picture yet");
    }
    frame.replaceChildren(screen);
    for (const [name, button] of Object.entries(tabs)) {
      button.setAttribute("aria-pressed", String(name === side));
    }
  };
  const choose = (number, focus) => {
    if (number < 0 || number >= steps.length) return;
    for (const step of steps) {
      step.classList.toggle("chosen", step === steps[number]);
      step.querySelector("button").tabIndex = step === steps[number] ? 0 : -1;
    }
    chosen = number;
    const step = steps[number];
    side = step.dataset.own;
    drawSide();
    words.className = `words ${step.classList[0]}`;
    words.replaceChildren(...[...step.querySelector("button").children].map((c) => c.cloneNode(true)));
    const visible = shown();
    place.textContent = `${visible.indexOf(step) + 1} of ${visible.length}`;
    const bar = lanes.querySelector(`[data-step="${step.id}"]`);
    for (const cursor of cursors) cursor.style.left = bar ? bar.style.left : "0";
    if (focus) step.querySelector("button").focus({ preventScroll: true });
    const top = step.offsetTop;
    if (top < list.scrollTop) list.scrollTop = top;
    const bottom = top + step.offsetHeight - list.clientHeight;
    if (bottom > list.scrollTop) list.scrollTop = bottom;
  };
  const move = (by) => {
    const visible = shown();
    const at = visible.indexOf(steps[chosen]) + by;
    if (visible[at]) choose(steps.indexOf(visible[at]), true);
  };
  const turn = (name) => {
    side = name;
    drawSide();
  };

  steps.forEach((step, number) => {
    step.querySelector("button").addEventListener("click", () => choose(number, true));
  });
  for (const [name, button] of Object.entries(tabs)) button.addEventListener("click", () => turn(name));
  viewer.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const act = {
      ArrowUp: () => move(-1),
      ArrowDown: () => move(1),
      ArrowLeft: () => turn("before"),
      ArrowRight: () => turn("after"),
      Home: () => move(-shown().indexOf(steps[chosen])),
      End: () => move(shown().length - 1 - shown().indexOf(steps[chosen])),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  for (const button of viewer.querySelectorAll(".filters button")) {
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(on));
      for (const kind of button.dataset.kinds.split(" ")) {
        for (const step of steps) if (step.classList.contains(kind)) step.hidden = !on;
      }
      const visible = shown();
      if (visible.length) choose(visible.includes(steps[chosen]) ? chosen : steps.indexOf(visible[0]));
    });
  }
  for (const bar of lanes.querySelectorAll(".bar")) {
    bar.addEventListener("click", (event) => {
      const number = steps.findIndex((step) => step.id === bar.dataset.step);
      if (number < 0) {
        const moment = document.getElementById(bar.getAttribute("href").slice(1));
        if (moment) moment.closest("details").open = true;
        return;
      }
      event.preventDefault();
      choose(number);
      viewer.scrollIntoView({ block: "nearest" });
    });
  }

  // A strip of small pictures over the time: the same pictures, no second copy of their data.
  const strip = document.createElement("div");
  strip.className = "strip";
  const bars = [...lanes.querySelectorAll(".bar.shown")];
  const begins = bars.map((bar) => parseFloat(bar.style.left));
  const fill = () => {
    const number = Math.max(2, Math.min(14, Math.floor(tracks[0].clientWidth / 84)));
    const parts = [];
    for (let at = 0; at < number; at += 1) {
      const share = (100 * (at + 0.5)) / number;
      const picture = pictures[Math.max(0, begins.filter((begin) => begin <= share).length - 1)];
      const copy = picture.cloneNode();
      copy.removeAttribute("id");
      copy.alt = "";
      parts.push(copy);
    }
    strip.replaceChildren(...parts);
  };
  lanes.prepend(strip);
  window.addEventListener("resize", fill);

  viewer.hidden = false;
  machine.querySelector("details.all").open = false;
  fill();
  const failed = steps.findIndex((step) => step.dataset.failed);
  const linked = steps.findIndex((step) => `#${step.id}` === location.hash);
  choose(linked >= 0 ? linked : failed >= 0 ? failed : steps.length - 1);
}
