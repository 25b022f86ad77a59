// One excerpt plays at a time; another model or stem goes on at the same position.
"use strict";
(() => {
  const sections = [...document.querySelectorAll(".compare")];
  let section = sections[0], button = null, audio = null;
  const players = new Map();

  function player(choice) {
    if (!players.has(choice)) {
      const made = new Audio(`${choice.closest(".compare").dataset.folder}/${choice.dataset.file}`);
      made.preload = "auto";
      made.addEventListener("ended", marks);
      made.addEventListener("error", () => complain(made.error));
      players.set(choice, made);
    }
    return players.get(choice);
  }

  function complain(error) {
    if (error && error.name !== "AbortError")
      document.getElementById("problem").textContent = `The stem cannot be played: ${error.message || "its file is missing"}`;
  }

  function marks() {
    document.querySelectorAll("[data-file]").forEach((other) => {
      other.setAttribute("aria-pressed", String(other === button));
      other.classList.toggle("on", other === button && audio && !audio.paused);
    });
  }

  function draw() {
    if (!audio) return;
    section.querySelectorAll(".head").forEach((head) => {
      head.style.left = `${(100 * audio.currentTime) / (audio.duration || 1)}%`;
    });
    if (!audio.paused) requestAnimationFrame(draw);
  }

  function hear(choice) {
    const wanted = choice.closest(".compare"), same = wanted === section && audio;
    const at = same && !audio.ended ? audio.currentTime : 0;
    if (choice === button && !audio.paused) { audio.pause(); marks(); return; }
    audio?.pause();
    [section, button, audio] = [wanted, choice, player(choice)];
    audio.currentTime = at;
    marks();
    audio.play().then(() => { marks(); draw(); }, complain);
    // The other stems of the excerpt are read now, so that a switch is not heard as a gap.
    wanted.querySelectorAll("[data-file]").forEach(player);
  }

  document.querySelectorAll("[data-file]").forEach((choice) => choice.addEventListener("click", () => hear(choice)));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const number = button?.dataset.number ?? "1", role = button && button.dataset.role !== "mix" ? button.dataset.role : "music";
    const of = (n, r) => section.querySelector(`[data-number="${n}"][data-role="${r}"]`);
    const letters = { m: () => of(number, "music"), d: () => of(number, "dialogue"), x: () => section.querySelector('[data-role="mix"]') };
    const key = event.key.toLowerCase();
    let wanted = null;
    if (key in letters) wanted = letters[key]();
    else if (/^[1-9]$/.test(key)) wanted = of(key, role);
    else if (key === " " && event.target.tagName !== "BUTTON") wanted = button ?? of("1", "music");
    if (!wanted) return;
    event.preventDefault();
    if (wanted !== button || key === " ") hear(wanted);
  });
})();
