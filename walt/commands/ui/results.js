// Finished videos on the page of `walt ui`. All that people wrote is put in as text, never as HTML.
"use strict";

const PAGE_OF_RESULTS = 60;
let shown = PAGE_OF_RESULTS; // results asked for
const cards = new Map();

function linkTo(wanted) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(wanted)) {
    if (value !== null && name !== "group") query.set(name, value);
  }
  return `?${query}`;
}

// Only what can be seen plays: on this machine a video that plays unseen takes the processor from the one that is made.
const inSight = new IntersectionObserver((entries) => {
  for (const { target: video, isIntersecting } of entries) {
    if (isIntersecting) goOn(video);
    else if (!video.paused) stopFor(video);
  }
});

function stopFor(video) {
  video.dataset.plays = "again";
  video.pause();
}

// Does nothing to a video that a person stopped.
function goOn(video) {
  if (video.dataset.plays !== "again") return;
  delete video.dataset.plays;
  video.play().catch(() => {});
}

function card(result) {
  const made = element("article", "card");
  made.dataset.id = result.id;
  const video = element("video");
  const [height, width] = result.about.size.split("x").map(Number);
  Object.assign(video, { src: `api/results/${result.id}/video`, loop: true, muted: true, playsInline: true, controls: true, width, height });
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) video.dataset.plays = "again";
  inSight.observe(video);
  video.style.aspectRatio = `${width} / ${height}`;
  video.classList.toggle("small", Math.max(width, height) < 200);
  video.setAttribute("aria-label", titled(result.order));
  const text = element("div", "text"), settings = result.about.settings;
  text.append(element("h3", "", titled(result.order)));
  text.append(element("p", "", `${result.model_name}`));
  const facts = [`seed ${result.about.seed}`, `${settings.steps} step${settings.steps === 1 ? "" : "s"}`, `guidance ${settings.guidance_scale}`, `${width}\u00d7${height}`,
    `${Math.round(100 * result.about.frames / settings.fps) / 100} s`];
  if (result.about.source) facts.push(`from ${result.about.source.file}`);
  text.append(element("p", "", facts.join(" \u00b7 ")));
  for (const note of result.notes) text.append(element("p", "notes", sentence(note)));
  const links = element("div", "links"), again = element("a", "", "Make again"), file = element("a", "", "Download");
  again.href = linkTo(result.order);
  again.setAttribute("aria-label", `Make again: ${titled(result.order)}`);
  file.href = video.src;
  file.download = `${result.id}.mp4`;
  file.setAttribute("aria-label", `Download ${titled(result.order)}`);
  links.append(again, file, deletion(result));
  const more = element("details"), list = element("dl");
  more.append(element("summary", "", "All settings"), list);
  const models = Object.entries(result.about.models).map(([name, digest]) => [name, digest.slice(0, 12)]);
  const rows = [["made in", `${result.seconds} s`], ["finished", result.finished.slice(0, 19).replace("T", " ")], ...Object.entries(settings), ...models];
  for (const [name, value] of rows) list.append(element("dt", "", name.replaceAll("_", " ")), element("dd", "", String(value)));
  text.append(links, more);
  made.append(video, text);
  return made;
}

// Asks once more, in its own place: a second press deletes.
function deletion(result) {
  const button = element("button", "", "Delete");
  button.type = "button";
  const name = (text) => { button.textContent = text; button.setAttribute("aria-label", `${text} ${titled(result.order)}`); };
  name("Delete");
  button.addEventListener("blur", () => name("Delete"));
  button.addEventListener("keydown", (event) => { if (event.key === "Escape") name("Delete"); });
  button.addEventListener("click", async () => {
    if (button.textContent === "Delete") return name("Delete for good?");
    button.disabled = true;
    try {
      await call(`api/results/${result.id}`, { method: "DELETE" });
      cards.delete(result.id);
      await showResults();
      byId("deleted").textContent = `Deleted: ${titled(result.order)}`;
      byId("videos").focus();
    } catch (error) {
      button.disabled = false;
      showProblem(error);
    }
  });
  return button;
}

// Videos that stand side by side: the first one leads, the others show the same moment, and stop and start with it.
function playInStep([first, ...others]) {
  for (const event of ["timeupdate", "play", "pause"]) first.addEventListener(event, () => {
    for (const video of others) {
      const apart = Math.abs(video.currentTime - first.currentTime);
      if (apart > 0.1 && first.currentTime < video.duration) video.currentTime = first.currentTime;
      if (!first.paused) {
        if (video.paused && video.dataset.plays !== "again") video.play().catch(() => {});
      } else if (first.dataset.plays !== "again") video.pause(); // it was stopped, and is not merely out of sight
    }
  });
}

async function showResults() {
  const results = await call(`api/results?limit=${shown}`);
  byId("empty").hidden = results.length > 0;
  byId("more").hidden = results.length < shown;
  const groups = new Map();
  for (const result of results) {
    const key = result.order.group || result.id;
    groups.set(key, [...(groups.get(key) || []), result]);
  }
  const list = byId("results"), playing = [...list.querySelectorAll("video")].filter((video) => !video.paused);
  const old = new Map([...list.children].map((item) => [item.dataset.key, item]));
  let place = 0;
  for (const [key, members] of groups) {
    const names = members.map((one) => one.id).join(" ");
    let item = old.get(key);
    if (!item || item.dataset.members !== names) {
      item?.remove();
      members.reverse(); // in the order in which they were asked for
      for (const one of members) if (!cards.has(one.id)) cards.set(one.id, card(one));
      item = members.length > 1 ? element("div", "group") : cards.get(members[0].id);
      if (members.length > 1) {
        item.append(...members.map((one) => cards.get(one.id)));
        playInStep([...item.querySelectorAll("video")]);
      }
      Object.assign(item.dataset, { key, members: names });
    }
    old.delete(key);
    if (list.children[place] !== item) list.insertBefore(item, list.children[place] || null);
    place += 1;
  }
  for (const item of old.values()) item.remove();
  for (const video of playing) if (video.paused && video.isConnected) video.play().catch(() => {}); // moved, it stopped
}
