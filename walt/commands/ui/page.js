// The page of `walt ui`. All that people wrote is put in as text, never as HTML.
"use strict";

const byId = (id) => document.getElementById(id);
const prompt_ = byId("prompt"), model = byId("model"), beside = byId("beside");
const NUMBERS = ["seed", "steps", "guidance", "seconds"];
let able = null;        // what the chosen model can do
let limits = null;
let upload = null;      // the file that was uploaded
let finished = "";      // ids of the jobs that were done when the results were read
// jobs that this page asked for, and the state that each was last seen in; a page that is loaded again remembers them
const mine = new Map(Object.entries(JSON.parse(sessionStorage.getItem("jobs") || "{}")));
const previews = new Map();
const ENDED = { done: "Done:", failed: "Failed:", cancelled: "Cancelled:" };

async function call(path, options = {}) {
  const answer = await fetch(path, options);
  const content = await answer.json().catch(() => ({ detail: `the server answered with ${answer.status}` }));
  if (!answer.ok) throw new Error(content.detail);
  return content;
}

function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

function option(value, text) {
  const made = element("option", "", text);
  made.value = value;
  return made;
}

// --- the form

function isChanged(id) {
  return byId(id).value !== "" && byId(id).value !== byId(id).dataset.usual;
}

// The registry may take seconds to answer: this project's own models do not wait for it.
async function listModels() {
  byId("model-note").textContent = "Looking for other models \u2026";
  try {
    const listed = await call("api/models");
    const others = listed.models.filter((one) => one.address !== "");
    for (const list of [model, beside]) list.append(...others.map((one) => option(one.address, one.name)));
    if (listed.problem) showProblem(new Error(listed.problem));
  } finally {
    byId("model-note").textContent = "";
  }
}

async function showModel(cascade = null) {
  const query = new URLSearchParams({ address: model.value });
  if (cascade !== null) query.set("cascade", cascade);
  const before = able;
  const found = await call(`api/model?${query}`);
  if (query.get("address") !== model.value) return; // another was chosen meanwhile
  able = found;
  byId("prompt-field").hidden = able.conditioning !== "text";
  byId("class-field").hidden = able.conditioning !== "class";
  if (able.num_classes) byId("class_index").max = able.num_classes - 1;
  for (const name of NUMBERS) {
    const input = byId(name);
    const usual = String(Math.round(able[name] * 1000) / 1000);
    if (!before || !isChanged(name)) input.value = usual;
    input.dataset.usual = usual;
  }
  byId("steps").max = able.max_steps;
  byId("seconds").max = able.no_video ? able.seconds : limits.seconds;
  byId("seconds").disabled = able.no_video !== null;
  byId("seconds-note").textContent = able.no_video ? "This model makes one length only." : `At most ${limits.seconds}.`;
  const shape = byId("aspect").value;
  byId("aspect").replaceChildren(...able.aspects.map((one, place) => option(place ? one : "", one)));
  byId("aspect").value = able.aspects.includes(shape) ? shape : "";
  byId("cascade-field").hidden = !able.super_resolution;
  byId("cascade").checked = able.cascade;
  byId("file").hidden = able.no_image !== null;
  byId("file-note").textContent = able.no_image ? `Not possible: ${able.no_image}.`
    : able.no_video ? `Images only: ${able.no_video}.`
      : `Up to ${limits.upload_megabytes} MB; a video of up to ${limits.upload_seconds} seconds.`;
  if (able.no_image) forget();
}

function forget() {
  upload = null;
  byId("chosen-name").textContent = "";
  byId("remove").hidden = true;
  byId("file").value = "";
}

function keep(file) {
  upload = file;
  byId("remove").hidden = false;
  byId("chosen-name").textContent = `${file.kind === "image" ? "Begins with" : "Goes on from"} ${file.name}`;
}

async function send(file) {
  forgetProblem();
  byId("make").disabled = true;
  byId("remove").hidden = true;
  byId("chosen-name").textContent = `Uploading ${file.name}`;
  try {
    if (file.size > limits.upload_megabytes * 1e6) throw new Error(`${file.name}: more than ${limits.upload_megabytes} MB`);
    keep(await call(`api/uploads?${new URLSearchParams({ name: file.name })}`, {
      method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: file,
    }));
  } catch (error) {
    forget();
    showProblem(error);
  } finally {
    byId("make").disabled = false;
  }
}

function order(address, group) {
  const asked = { model: address };
  if (able.conditioning === "text" && (prompt_.value.trim() || !upload)) asked.prompt = prompt_.value.trim();
  if (able.conditioning === "class") asked.class_index = byId("class_index").valueAsNumber;
  if (upload) asked[upload.kind] = upload.id;
  for (const name of NUMBERS) {
    const value = byId(name).valueAsNumber;
    if (!Number.isNaN(value) && (name === "seed" || isChanged(name))) asked[name] = value;
  }
  if (byId("aspect").value) asked.aspect = byId("aspect").value;
  if (able.super_resolution) asked.cascade = byId("cascade").checked;
  if (group) asked.group = group;
  return asked;
}

function showProblem(error) { byId("problem").textContent = error.message; }
function forgetProblem() { byId("problem").textContent = ""; }

async function submit(event) {
  event.preventDefault();
  forgetProblem();
  if (!able) { // there was no trained model; perhaps there is one now
    await showModel().catch(showProblem);
    if (!able) return;
  }
  if (able.conditioning === "text" && !prompt_.value.trim() && !upload) {
    showProblem(new Error("Type what the video is to show."));
    prompt_.focus();
    return;
  }
  const both = beside.value === "none" ? [model.value] : [model.value, beside.value];
  if (new Set(both).size < both.length) {
    showProblem(new Error("Both models are the same: choose another one beside it."));
    beside.focus();
    return;
  }
  const group = both.length > 1 ? `group-${crypto.getRandomValues(new Uint32Array(2)).join("-")}` : null;
  try {
    for (const asked of both.map((address) => order(address, group))) { // all as the form is now
      const job = await call("api/jobs", {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(asked),
      });
      remember(job);
    }
  } catch (error) {
    showProblem(error);
  }
  await poll();
}

// --- the queue

function remember(job) {
  mine.set(job.id, job.state);
  sessionStorage.setItem("jobs", JSON.stringify(Object.fromEntries(mine)));
}

// The server alone knows of jobs that wait or run: one that was started anew has forgotten them.
async function noteStates(jobs) {
  const known = new Set(jobs.map((job) => job.id));
  let lost = 0;
  for (const [id, state] of mine) {
    if (!isActive({ state }) || known.has(id)) continue;
    const finished = await fetch(`api/results/${id}`);
    remember({ id, state: finished.ok ? "done" : "lost" });
    if (!finished.ok) lost += 1;
  }
  for (const job of jobs) if (mine.has(job.id) && mine.get(job.id) !== job.state) remember(job);
  if (lost) showProblem(new Error(`The server was started anew and has forgotten ${lost} of your requests: ask again.`));
}

function isActive(job) {
  return job.state === "waiting" || job.state === "running";
}

function time(seconds) {
  return seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.round(seconds / 60)} min`;
}

function words(job) {
  if (job.state === "waiting") return `Waiting, place ${job.place}`;
  if (job.state === "running") {
    const left = job.seconds_left === null ? "" : `, ${time(job.seconds_left)} left`;
    const doing = job.fraction === 1 && job.doing === "sampling" ? "decoding" : job.doing || "starting";
    return doing === "sampling" ? `Sampling, ${Math.round(100 * job.fraction)} %${left}` : doing[0].toUpperCase() + doing.slice(1);
  }
  return `Failed: ${job.problem}`;
}

function sentence(note) {
  return `Note: ${note}.`;
}

function titled(wanted) {
  if (wanted.prompt) return wanted.prompt;
  return wanted.class_index === null ? "(no prompt)" : `Class ${wanted.class_index}`;
}

function newJob(job) {
  const item = element("li", "job");
  item.dataset.id = job.id;
  const state = element("span", "state");
  item.append(element("span", "said", `${titled(job.order)}${mine.has(job.id) ? "" : " (from another page)"}`), state);
  const bar = element("progress");
  bar.max = 1;
  bar.setAttribute("aria-label", `Progress of ${titled(job.order)}`);
  const stop = element("button", "", "Cancel");
  stop.type = "button";
  stop.setAttribute("aria-label", `Cancel ${titled(job.order)}`);
  stop.addEventListener("click", () => call(`api/jobs/${job.id}`, { method: "DELETE" }).then(poll, showProblem));
  item.append(bar, element("span", "notes"), stop);
  return item;
}

function updateJob(item, job) {
  const active = isActive(job);
  const text = words(job) + (beside.length > 2 || job.order.model ? ` \u00b7 ${job.model_name}` : "");
  const state = item.querySelector(".state"), bar = item.querySelector("progress");
  if (state.textContent !== text) state.textContent = text;
  state.classList.toggle("bad", job.state === "failed");
  item.querySelector(".notes").textContent = job.notes.map(sentence).join(" ");
  bar.value = job.fraction;
  bar.hidden = !active || job.state === "waiting";
  const stop = item.querySelector("button");
  if (!active && document.activeElement === stop) byId("queue").focus();
  stop.hidden = !active;
  if (active && job.previews > (previews.get(job.id) || 0)) {
    previews.set(job.id, job.previews);
    let picture = item.querySelector("img");
    if (!picture) {
      picture = element("img");
      item.prepend(picture);
      item.classList.add("with-preview");
    }
    picture.alt = `${titled(job.order)}, as it looks so far`;
    picture.src = `api/jobs/${job.id}/preview?n=${job.previews}`;
  }
}

function showJobs(jobs) {
  const list = byId("jobs");
  const listed = jobs.filter((job) => isActive(job) || (job.state === "failed" && mine.has(job.id)));
  const items = new Map([...list.children].map((item) => [item.dataset.id, item]));
  listed.forEach((job, place) => {
    const item = items.get(job.id) || newJob(job);
    items.delete(job.id);
    if (list.children[place] !== item) list.insertBefore(item, list.children[place] || null);
    updateJob(item, job);
  });
  const left = [...items.values()].some((item) => item.contains(document.activeElement));
  for (const item of items.values()) item.remove();
  if (left) byId("queue").focus(); // who goes through the page with the keyboard is not sent to its beginning
  const active = listed.filter((job) => job.state !== "failed");
  const waiting = active.filter((job) => job.state === "waiting").length;
  const running = active.length - waiting;
  const own = jobs.filter((job) => mine.has(job.id)).at(-1);
  let said = active.length ? `${running} being made, ${waiting} waiting.` : "Nothing is being made.";
  if (own && own.state === "waiting") said += ` Yours has place ${own.place}.`;
  if (own && !isActive(own)) said = `${ENDED[own.state]} ${own.problem || titled(own.order)}. ${said}`;
  const noted = own && own.state !== "cancelled" ? own.notes.map(sentence).join(" ") : "";
  for (const [id, text] of [["status", said], ["noted", noted]]) {
    if (byId(id).textContent !== text) byId(id).textContent = text; // read aloud when it changes
  }
  return active.length;
}

// --- the clock

let timer = null;
async function poll() {
  clearTimeout(timer);
  let pause = 3000;
  try {
    const jobs = await call("api/jobs");
    await noteStates(jobs);
    if (showJobs(jobs)) pause = 400;
    const done = jobs.filter((job) => job.state === "done").map((job) => job.id).join(" ");
    if (done !== finished) {
      await showResults();
      finished = done;
    }
  } catch (error) {
    const said = `The server does not answer; it is asked again every few seconds. (${error.message})`;
    if (byId("status").textContent !== said) byId("status").textContent = said;
  }
  clearTimeout(timer);
  timer = setTimeout(poll, pause);
}

// --- the beginning

async function fillFrom(query) {
  for (const name of ["prompt", "class_index", ...NUMBERS]) if (query.has(name)) byId(name).value = query.get(name);
  if (query.has("aspect") && able?.aspects.includes(query.get("aspect"))) byId("aspect").value = query.get("aspect");
  const given = query.get("image") || query.get("video");
  if (given) keep(await call(`api/uploads/${encodeURIComponent(given)}`));
}

async function begin() {
  byId("order").addEventListener("submit", submit);
  prompt_.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("order").requestSubmit();
  });
  byId("remove").addEventListener("click", () => { forget(); byId("file").focus(); });
  byId("file").addEventListener("change", (event) => { if (event.target.files.length) send(event.target.files[0]); });
  byId("other-seed").addEventListener("click", () => { byId("seed").value = crypto.getRandomValues(new Uint32Array(1))[0]; });
  byId("cascade").addEventListener("change", () => showModel(byId("cascade").checked).catch(showProblem));
  model.addEventListener("change", () => showModel().catch(showProblem));
  byId("more").addEventListener("click", () => { shown += PAGE_OF_RESULTS; showResults().catch(showProblem); });
  const query = new URLSearchParams(location.search);
  try {
    const listing = listModels();
    limits = await call("api/limits");
    const wanted = query.get("model") || "";
    if (wanted) await listing; // it is among them
    else listing.catch(showProblem);
    if ([...model.options].some((one) => one.value === wanted)) model.value = wanted;
    else showProblem(new Error(`The models ${wanted} are not here: these are others.`));
    await showModel(query.get("cascade"));
    await fillFrom(query);
  } catch (error) {
    showProblem(error);
  }
  showResults().catch(showProblem).finally(poll);
}

begin();
