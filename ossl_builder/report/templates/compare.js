// One version plays at a time; another version goes on at the same position, with the same video.
"use strict";
(() => {
  const sections = [...document.querySelectorAll(".compare")];
  // A video that differs from the audio by more than this is moved.
  const DRIFT_S = 0.12;
  let section = sections[0], button = null, audio = null;
  const players = new Map(), sources = new Map();

  // A page can hold its files itself, in base64; else they are beside it.
  function source(element) {
    const kept = document.getElementById(element.dataset.embedded);
    if (!kept) return `${element.closest(".compare").dataset.folder}/${element.dataset.file ?? element.dataset.video}`;
    if (!sources.has(kept)) {
      const text = atob(kept.textContent), bytes = new Uint8Array(text.length);
      for (let at = 0; at < text.length; at += 1) bytes[at] = text.charCodeAt(at);
      sources.set(kept, URL.createObjectURL(new Blob([bytes], { type: kept.dataset.type })));
    }
    return sources.get(kept);
  }

  function player(choice) {
    if (!players.has(choice)) {
      const made = new Audio(source(choice));
      made.preload = "auto";
      made.addEventListener("ended", marks);
      made.addEventListener("error", () => complain(made.error));
      made.addEventListener("playing", () => { if (made === audio) show(); });
      for (const name of ["pause", "waiting", "ended"])
        made.addEventListener(name, () => { if (made === audio) video(section)?.pause(); });
      players.set(choice, made);
    }
    return players.get(choice);
  }

  function video(of) {
    const element = of.querySelector("video");
    if (element && !element.src) {
      element.src = source(element);
      element.currentTime = Number(of.dataset.start ?? 0);
      element.addEventListener("error", () => complain(element.error));
    }
    return element;
  }

  // The video follows the audio: what is heard is never moved.
  function show() {
    const element = video(section);
    if (!element) return;
    follow(element);
    element.play().catch(complain);
  }

  function follow(element) {
    const wanted = Number(section.dataset.start ?? 0) + audio.currentTime;
    if (!element.seeking && Math.abs(element.currentTime - wanted) > DRIFT_S) element.currentTime = wanted;
  }

  function complain(error) {
    if (error && error.name !== "AbortError")
      document.getElementById("problem").textContent = `It cannot be played: ${error.message || "its file is missing"}`;
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
    if (audio.paused) return;
    const element = video(section);
    if (element && !element.paused) follow(element);
    requestAnimationFrame(draw);
  }

  function hear(choice) {
    const wanted = choice.closest(".compare"), same = wanted === section && audio;
    const at = same && !audio.ended ? audio.currentTime : 0;
    if (choice === button && !audio.paused) { audio.pause(); marks(); return; }
    audio?.pause();
    if (wanted !== section) section.querySelector("video")?.pause();
    [section, button, audio] = [wanted, choice, player(choice)];
    audio.currentTime = at;
    marks();
    audio.play().then(() => { marks(); draw(); }, complain);
    // The other versions are read now, so that a switch is not heard as a gap.
    wanted.querySelectorAll("[data-file]").forEach(player);
  }

  // A video is loaded when it comes into view; it then shows its first frame.
  const views = new IntersectionObserver((entries) => entries.forEach((entry) => {
    if (entry.isIntersecting) { video(entry.target); views.unobserve(entry.target); }
  }));
  sections.filter((one) => one.querySelector("video")).forEach((one) => views.observe(one));

  document.querySelectorAll("[data-file]").forEach((choice) => choice.addEventListener("click", () => hear(choice)));
  document.querySelectorAll(".seek").forEach((bar) => bar.addEventListener("click", (event) => {
    if (!audio || bar.closest(".compare") !== section) return;
    const box = bar.getBoundingClientRect();
    audio.currentTime = ((event.clientX - box.left) / box.width) * audio.duration;
    if (video(section)) follow(video(section));
    draw();
  }));
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
