// One film's page: one player for all clips, and a playhead on the film's time line.
"use strict";
(() => {
  const film = JSON.parse(document.getElementById("film").textContent);
  const find = (id) => document.getElementById(id);
  const video = find("video"), audio = find("audio"), track = find("track");
  // An audio track beside the video that has drifted from the video by more than this is put right.
  const DRIFT_S = 0.12;
  // Times of frames are rounded: this much later lies within the frame that is meant.
  const NEAR_S = 0.002;
  let clip = null, role = "mix", time = 0;

  const clock = (seconds, digits = 0) => {
    const tens = 10 ** digits, whole = Math.floor(seconds * tens + 1e-6) / tens;
    const rest = whole - Math.floor(whole / 60) * 60;
    const text = rest.toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
    const minutes = Math.floor(whole / 60) % 60, hours = Math.floor(whole / 3600);
    return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${text}` : `${minutes}:${text}`;
  };
  const within = (at) => (one) => one[1] <= at && at < one[2];
  const sceneAt = (at) => film.scenes.findIndex(within(at));
  const clipAt = (at) => film.clips.find((one) => one.start !== null && one.start <= at && at < one.end);
  const put = (id, text) => { const place = find(id); if (place) place.textContent = text; };

  function draw() {
    if (track) {
      find("head").style.left = `${(100 * time) / film.length}%`;
      const scene = sceneAt(time), cue = film.cues.findIndex(within(time));
      put("now-time", clock(time, 1));
      const kind = scene >= 0 ? film.scenes[scene][3] : "";
      put("now-scene", scene < 0 ? "–" : `${scene + 1} of ${film.scenes.length}${kind && kind !== "start" ? `, by ${kind}` : ""}`);
      put("now-cue", cue < 0 ? "no music" : `${cue + 1} of ${film.cues.length}`);
      track.setAttribute("aria-valuenow", time.toFixed(3));
      const parts = [clock(time), scene >= 0 && `scene ${scene + 1}`, cue >= 0 && `cue ${cue + 1}`, clipAt(time) && "in a clip"];
      track.setAttribute("aria-valuetext", parts.filter(Boolean).join(", "));
    }
    const shown = track && (!clip || clip.start !== null) ? clipAt(time) : clip;
    put("now-clip", !shown ? "none here" : shown.start === null ? shown.id : `${clock(shown.start)} to ${clock(shown.end)}`);
    put("now-mood", shown?.mood ? `${shown.quadrant} ${shown.mood}` : "–");
    const still = find("still");
    if (still) {
      const scene = !shown && track ? film.scenes[sceneAt(time)] : null;
      if (scene?.[4] && still.getAttribute("src") !== scene[4]) still.src = scene[4];
      still.hidden = !scene?.[4];
    }
    document.querySelectorAll("[data-clip]").forEach((one) => {
      const on = one.dataset.clip === shown?.id;
      one.classList.toggle("on", on);
      if (one.tagName === "TBODY") on ? one.setAttribute("aria-current", "true") : one.removeAttribute("aria-current");
    });
  }

  function buttons() {
    document.querySelectorAll("[data-play]").forEach((button) => {
      const on = button.dataset.play === clip?.id && !video.paused;
      button.classList.toggle("on", on);
      button.setAttribute("aria-label", button.getAttribute("aria-label").replace(/^\w+/, on ? "Pause" : "Play"));
    });
  }

  function listen() {
    const apart = role !== "mix" && clip?.files.mix && clip.files[role];
    video.muted = Boolean(apart);
    if (apart) {
      if (audio.getAttribute("src") !== clip.files[role]) audio.src = clip.files[role];
      audio.currentTime = video.currentTime;
      if (!video.paused) audio.play().catch(complain);
    } else {
      audio.pause();
      audio.removeAttribute("src");
    }
  }

  function load(wanted, at) {
    find("problem").textContent = "";
    if (clip !== wanted) {
      clip = wanted;
      video.src = clip.files.mix ?? clip.files.music ?? clip.files.dialogue;
      for (const choice of document.getElementsByName("audio")) choice.disabled = !clip.files[choice.value];
    }
    // Before its metadata are read a medium keeps this as the place to begin at.
    video.currentTime = at + NEAR_S / 4;
    listen();
    buttons();
  }

  function complain(error) {
    if (error.name !== "AbortError") find("problem").textContent = `The clip cannot be played: ${error.message}`;
  }

  function play() { video.play().catch(complain); }

  function seek(at, playing) {
    time = Math.min(Math.max(at, 0), film.length);
    const here = clipAt(time);
    if (here && Object.keys(here.files).length) {
      load(here, time - here.start);
      if (playing) play();
    } else {
      video?.pause();
    }
    draw();
    reveal();
  }

  function inside() {
    const view = find("window"), at = (time / film.length) * track.offsetWidth;
    return at >= view.scrollLeft && at <= view.scrollLeft + view.clientWidth;
  }

  function reveal() {
    const view = find("window");
    if (!inside()) view.scrollLeft = (time / film.length) * track.offsetWidth - view.clientWidth / 4;
  }

  function start(id) {
    const wanted = film.clips.find((one) => one.id === id);
    if (clip === wanted && !video.paused) return video.pause();
    const again = clip !== wanted || video.ended;
    if (again) load(wanted, 0);
    if (wanted.start !== null && again) time = wanted.start;
    play();
    draw();
    if (track) reveal();
    const box = find("player").getBoundingClientRect();
    if (box.bottom < 80 || box.top > window.innerHeight - 80) find("player").scrollIntoView({ block: "start" });
  }

  if (video) {
    const follow = () => {
      const seen = track && inside();
      // A player that stands comes within a fraction of a frame of where it was sent.
      if (clip && clip.start !== null && !(video.paused && Math.abs(clip.start + video.currentTime - time) < NEAR_S))
        time = Math.min(clip.start + video.currentTime, film.length ?? Infinity);
      draw();
      // Who has scrolled elsewhere is left there.
      if (seen) reveal();
      if (video.muted && !video.paused && Math.abs(audio.currentTime - video.currentTime) > DRIFT_S) audio.currentTime = video.currentTime;
    };
    const smooth = () => { if (!video.paused) { follow(); requestAnimationFrame(smooth); } };
    video.addEventListener("playing", () => { if (video.muted && audio.src) audio.play().catch(complain); requestAnimationFrame(smooth); });
    video.addEventListener("waiting", () => audio.pause());
    video.addEventListener("pause", () => { audio.pause(); });
    video.addEventListener("seeked", () => { if (audio.src) audio.currentTime = video.currentTime; if (video.currentSrc) follow(); });
    for (const name of ["play", "pause", "ended"]) video.addEventListener(name, buttons);
    video.addEventListener("error", () => { if (video.error) complain(video.error); });
    for (const choice of document.getElementsByName("audio")) choice.addEventListener("change", () => { role = choice.value; listen(); });
    document.querySelectorAll("[data-play]").forEach((button) => button.addEventListener("click", () => start(button.dataset.play)));
  }

  if (track) {
    const at = (event) => {
      const box = track.getBoundingClientRect();
      return ((event.clientX - box.left) / box.width) * film.length;
    };
    track.addEventListener("click", (event) => seek(at(event), Boolean(event.target.closest(".clips"))));
    const scene = (step) => {
      const now = sceneAt(time);
      const next = film.scenes[now + step];
      return next ? next[1] : step > 0 ? film.length : 0;
    };
    track.addEventListener("keydown", (event) => {
      const step = event.shiftKey ? 10 : 1;
      const moves = {
        ArrowRight: () => time + step, ArrowUp: () => time + step,
        ArrowLeft: () => time - step, ArrowDown: () => time - step,
        PageDown: () => scene(1), PageUp: () => scene(-1), Home: () => 0, End: () => film.length,
      };
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key in moves) seek(moves[event.key](), !video?.paused);
      else if (event.key === " " || event.key === "Enter") video && !video.paused ? video.pause() : seek(time, true);
      else return;
      event.preventDefault();
    });
    document.querySelectorAll("[data-seek]").forEach((button) => button.addEventListener("click", () => seek(Number(button.dataset.seek), false)));

    let zoom = 1;
    const most = Math.max(4, Math.min(64, Math.ceil(film.length / 60)));
    const strip = find("strip");
    function fill() {
      if (!strip) return;
      const count = Math.max(4, Math.round(track.offsetWidth / 96));
      if (strip.childElementCount === count) return;
      strip.replaceChildren(...Array.from({ length: count }, (_, at) => {
        const shown = film.scenes[sceneAt(((at + 0.5) / count) * film.length)];
        if (!shown?.[4]) return document.createElement("span");
        return Object.assign(new Image(), { alt: "", loading: "lazy", draggable: false, src: shown[4] });
      }));
    }
    function scale(factor) {
      zoom = Math.min(Math.max(zoom * factor, 1), most);
      track.style.setProperty("--zoom", zoom);
      find("out").disabled = zoom === 1;
      find("in").disabled = zoom === most;
      fill();
      const view = find("window");
      view.scrollLeft = (time / film.length) * track.offsetWidth - view.clientWidth / 2;
    }
    find("out").addEventListener("click", () => scale(0.5));
    find("in").addEventListener("click", () => scale(2));
    new ResizeObserver(fill).observe(track);
    scale(1);
  }
  const asked = decodeURIComponent(location.hash.slice(1));
  const wanted = film.clips.find((one) => one.id === asked);
  // The player shows the clip asked for, or the first that is there.
  const first = wanted ?? film.clips.find((one) => Object.keys(one.files).length);
  if (first && track && first.start !== null) seek(first.start, false);
  else if (first && Object.keys(first.files).length) load(first, 0);
  draw();
})();
