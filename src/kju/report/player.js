"use strict";
// The moments of a machine, one at a time. The list below has everything without this.
for (const machine of document.querySelectorAll(".machine")) {
  const moments = [...machine.querySelectorAll(".moment")].filter((m) => m.querySelector(".screen"));
  const player = machine.querySelector(".player");
  if (moments.length < 2) continue;
  const stage = player.querySelector(".stage");
  const slider = player.querySelector("input");
  const place = player.querySelector("output");
  slider.max = moments.length - 1;
  const show = (number) => {
    slider.value = Math.max(0, Math.min(moments.length - 1, number));
    const moment = moments[slider.value];
    const picture = moment.querySelector(".screen").cloneNode(true);
    const words = moment.querySelector(".words").cloneNode(true);
    stage.replaceChildren(words, picture);
    place.textContent = `${Number(slider.value) + 1} of ${moments.length}`;
  };
  slider.addEventListener("input", () => show(Number(slider.value)));
  player.querySelector(".back").addEventListener("click", () => show(Number(slider.value) - 1));
  player.querySelector(".on").addEventListener("click", () => show(Number(slider.value) + 1));
  for (const bar of machine.querySelectorAll(".bar")) {
    bar.addEventListener("click", (event) => {
      const number = moments.findIndex((m) => `#${m.id}` === bar.getAttribute("href"));
      if (number < 0) return;
      event.preventDefault();
      show(number);
      player.scrollIntoView({ block: "nearest" });
    });
  }
  player.hidden = false;
  show(moments.length - 1); // how it ended
}
