"use strict";
const BOXES = ["#4da3ff", "#ffb020", "#3ddc97", "#ff6fae", "#b08cff", "#ff8a5c", "#5ad1e6", "#d7e04a"];
const SPAN = 300; // seconds of the plot
const STALE = 3000; // ms without an observation after which the picture is not called live
const $ = (id) => document.getElementById(id);
const boxColour = (track) => BOXES[track % BOXES.length];
const percent = (value) => Math.round(value * 100) + " %";

// The token has become a cookie; it need not stay where others can read it. In a frame of another site browsers send no cookie, so
// the page keeps the token while it is open.
const token = new URLSearchParams(location.search).get("token");
if (location.search) history.replaceState(null, "", location.pathname);

// Relative, so that the page works under any path of a reverse proxy.
function address(path, query = {}) {
  const all = new URLSearchParams({ ...query, ...(token && { token }) }).toString();
  return all ? path + "?" + all : path;
}

const time = (text) => new Date(text).toLocaleTimeString();

let labels = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"];
let points = []; // rows of second, track and a score for each label, the oldest first
let chosen = null; // the track that the plot shows; null: the one seen last
let lastSeen = 0; // when an observation came, in ms of performance.now()
let status = null; // camera, journal and recording, as the program last told
let open = false;
const recent = new Map(); // sequence -> observation, for the boxes of a picture

// Faces -----------------------------------------------------------------------------------------------------------------

const cards = new Map(); // track -> its elements

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function newCard(track) {
  const root = element("article", "face");
  root.dataset.track = track;
  const title = element("h3");
  const dot = element("span", "dot");
  dot.style.background = boxColour(track);
  const label = element("span", "label");
  const sure = element("span", "sure");
  title.append(dot, element("span", "", "Face " + track), label, sure);
  root.append(title);
  const bars = labels.map((name) => {
    const bar = element("div", "bar");
    const rail = element("span", "rail");
    const fill = element("span", "fill");
    fill.style.background = `var(--${name})`;
    rail.append(fill);
    const number = element("span", "number", "–");
    bar.append(element("span", "name", name), rail, number);
    root.append(bar);
    return { bar, fill, number };
  });
  return { root, label, sure, bars };
}

const scoresOf = (face) => face.scores && labels.map((name) => face.scores[name]);

const UNREADABLE = { small: "too small", turned: "turned away", blurred: "blurred", cut: "cut off by the edge" };

function showFaces(faces) {
  const present = new Set(faces.map((face) => face.track));
  for (const [track, card] of cards) {
    if (!present.has(track)) { card.root.remove(); cards.delete(track); }
  }
  const none = $("faces").querySelector(".empty");
  none.hidden = faces.length > 0;
  for (const face of faces) {
    if (!cards.has(face.track)) {
      cards.set(face.track, newCard(face.track));
      $("faces").append(cards.get(face.track).root);
    }
    const card = cards.get(face.track);
    card.label.textContent = face.label || UNREADABLE[face.quality] || "not sure";
    card.sure.textContent = face.label ? percent(face.confidence) : "";
    const scores = scoresOf(face);
    const top = scores ? scores.indexOf(Math.max(...scores)) : -1;
    card.bars.forEach(({ bar, fill, number }, index) => {
      const score = scores ? scores[index] : 0;
      fill.style.width = score * 100 + "%";
      number.textContent = face.scores ? percent(score) : "–";
      bar.classList.toggle("top", index === top);
      bar.classList.toggle("missing", !face.scores);
    });
  }
}

// Picture ---------------------------------------------------------------------------------------------------------------

const live = $("live");
const pen = live.getContext("2d");

function drawBoxes(observation, width, height) {
  const [w, h] = [observation.frame_width, observation.frame_height];
  if (!w || !h) return;
  const [sx, sy] = [width / w, height / h];
  const unit = Math.max(width / Math.max(live.clientWidth, 1), 0.5); // canvas pixels per CSS pixel
  pen.lineWidth = 2.5 * unit;
  pen.font = `600 ${14 * unit}px system-ui, sans-serif`;
  pen.textBaseline = "middle";
  for (const face of observation.faces) {
    const [x, y, bw, bh] = [face.box[0] * sx, face.box[1] * sy, face.box[2] * sx, face.box[3] * sy];
    pen.strokeStyle = boxColour(face.track);
    pen.setLineDash(face.quality === "good" ? [] : [6 * unit, 5 * unit]);
    pen.strokeRect(x, y, bw, bh);
    pen.setLineDash([]);
    const text = face.track + (face.label ? " " + face.label : face.quality === "good" ? "" : " " + face.quality);
    const [tw, th] = [pen.measureText(text).width + 12 * unit, 22 * unit];
    const left = Math.max(0, Math.min(x - pen.lineWidth / 2, width - tw));
    const above = y - th >= 0 ? y - th : Math.min(Math.max(y, 0), height - th);
    pen.fillStyle = boxColour(face.track);
    pen.fillRect(left, above, tw, th);
    pen.fillStyle = "#0b0d10";
    pen.fillText(text, left + 6 * unit, above + th / 2 + unit * 0.5);
  }
}

async function showPictures() {
  let after = "";
  for (;;) {
    try {
      if (document.hidden) { await pause(500); continue; }
      const answer = await fetch(address("frame.jpg", after ? { after } : {}), { cache: "no-store" });
      if (answer.status === 204) continue;
      if (!answer.ok) { await pause(2000); continue; }
      after = answer.headers.get("X-Sequence") || "";
      const picture = await createImageBitmap(await answer.blob());
      const observation = await observationOf(Number(after));
      live.width = picture.width;
      live.height = picture.height;
      pen.drawImage(picture, 0, 0);
      if (observation) drawBoxes(observation, picture.width, picture.height);
      picture.close();
      live.dataset.sequence = after;
      $("waiting").hidden = true;
    } catch {
      await pause(1000);
    }
  }
}

// A picture and its observation travel apart; the observation is at most some ms late.
async function observationOf(sequence) {
  for (let tries = 0; tries < 10 && !recent.has(sequence); tries++) await pause(10);
  return recent.get(sequence);
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// Plot ------------------------------------------------------------------------------------------------------------------

const plot = $("plot");

function addPoints(observation) {
  const second = Math.floor(Date.parse(observation.time) / 1000);
  if (points.length && points[points.length - 1][0] > second) points = [];
  for (const face of observation.faces) {
    if (!face.scores) continue;
    let at = points.length - 1;
    while (at >= 0 && points[at][0] === second && points[at][1] !== face.track) at--;
    if (at >= 0 && points[at][0] === second) points[at][2] = scoresOf(face);
    else points.push([second, face.track, scoresOf(face)]);
  }
  let old = 0;
  while (old < points.length && points[old][0] <= second - SPAN) old++;
  if (old) points.splice(0, old);
}

function showTracks() {
  const tracks = [...new Set(points.map((point) => point[1]))].slice(-6);
  const shown = tracks.includes(chosen) ? chosen : tracks[tracks.length - 1];
  const row = $("tracks");
  const wanted = tracks.join() + "|" + shown;
  if (row.dataset.shown !== wanted) {
    row.dataset.shown = wanted;
    row.replaceChildren(...tracks.map((track) => {
      const button = element("button", "", "Face " + track);
      button.type = "button";
      button.setAttribute("aria-pressed", track === shown);
      button.addEventListener("click", () => { chosen = track; drawPlot(); });
      return button;
    }));
  }
  return shown;
}

function drawPlot() {
  const track = showTracks();
  const ratio = devicePixelRatio || 1;
  const [width, height] = [plot.clientWidth, plot.clientHeight];
  plot.width = width * ratio;
  plot.height = height * ratio;
  const ink = plot.getContext("2d");
  ink.scale(ratio, ratio);
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue("--" + name).trim();
  const [left, right, top, bottom] = [46, width - 8, 8, height - 22];
  const end = points.length ? points[points.length - 1][0] : 0;
  const x = (second) => right - ((end - second) / SPAN) * (right - left);
  const y = (score) => bottom - score * (bottom - top);
  ink.font = "12px system-ui, sans-serif";
  ink.lineWidth = 1;
  ink.strokeStyle = colour("line");
  ink.fillStyle = colour("soft");
  ink.textBaseline = "middle";
  ink.textAlign = "right";
  for (const score of [0, 0.5, 1]) {
    ink.beginPath();
    ink.moveTo(left, Math.round(y(score)) + 0.5);
    ink.lineTo(right, Math.round(y(score)) + 0.5);
    ink.stroke();
    ink.fillText(score * 100 + " %", left - 6, y(score));
  }
  ink.textBaseline = "alphabetic";
  const every = right - left < 340 ? 2 : 1; // minutes that have room for their label
  for (let minute = 0; minute <= SPAN / 60; minute += every) {
    ink.textAlign = minute === 0 ? "right" : minute === SPAN / 60 ? "left" : "center";
    ink.fillText(minute ? `−${minute} min` : "now", x(end - minute * 60), height - 6);
  }
  const mine = points.filter((point) => point[1] === track);
  ink.lineJoin = "round";
  labels.forEach((name, index) => {
    ink.strokeStyle = ink.fillStyle = colour(name);
    ink.lineWidth = 2;
    ink.beginPath();
    mine.forEach(([second, , scores], at) => {
      const joined = at > 0 && second - mine[at - 1][0] <= 3;
      if (joined) ink.lineTo(x(second), y(scores[index]));
      else ink.moveTo(x(second), y(scores[index]));
      // A second without neighbours would be a line of no length.
      if (!joined && !(at + 1 < mine.length && mine[at + 1][0] - second <= 3)) {
        ink.fillRect(x(second) - 1, y(scores[index]) - 1, 2, 2);
      }
    });
    ink.stroke();
  });
  plot.dataset.points = mine.length;
}

function showLegend() {
  $("legend").replaceChildren(...labels.map((name) => {
    const entry = element("span");
    const mark = element("i");
    mark.style.background = `var(--${name})`;
    entry.append(mark, name);
    return entry;
  }));
}

// Events and figures ----------------------------------------------------------------------------------------------------

function addLine(event) {
  const list = $("lines");
  list.querySelector(".empty")?.remove();
  const item = element("li");
  item.append(element("time", "", time(event.time)), event.line);
  list.prepend(item);
  while (list.children.length > 50) list.lastChild.remove();
}

function show(id, text) {
  const shown = $(id);
  if (shown.textContent !== text) shown.textContent = text;
  shown.hidden = !text;
}

function showState() {
  const age = performance.now() - lastSeen;
  const lost = status?.camera.lost_since;
  const text = !open ? "not connected"
    : status?.paused ? "recording paused"
    : lost ? "camera lost"
    : !lastSeen ? "no frames"
    : age < STALE ? "live"
    : `last frame ${Math.floor(age / 1000)} s ago`;
  show("state", text);
  $("state").classList.toggle("live", text === "live");
  show("lost", lost ? "camera lost since " + time(lost) : "");
  document.body.classList.toggle("lost", Boolean(lost));
  if (lost) showFaces([]);
  const { journal, throttled_to: share } = status ?? {};
  const trouble = [];
  if (journal?.failing_since) trouble.push(`journal cannot be written since ${time(journal.failing_since)}: ${journal.failing_because}`);
  if (journal?.dropped) trouble.push(`${journal.dropped} records lost`);
  if (share) trouble.push(`too hot: ${{ half: "every second frame is", quarter: "every fourth frame is", paused: "no frames are" }[share]} processed`);
  show("trouble", trouble.join("; "));
}

function observed(observation) {
  recent.set(observation.frame, observation);
  if (recent.size > 60) recent.delete(recent.keys().next().value);
  lastSeen = performance.now();
  if (status) { status.paused = observation.paused; status.camera = { up: true, lost_since: null }; }
  $("rate").textContent = observation.frames_per_second.toFixed(1);
  $("latency").textContent = observation.latency_ms.toFixed(observation.latency_ms < 10 ? 1 : 0) + " ms";
  $("celsius").textContent = observation.celsius === null ? "–" : observation.celsius.toFixed(1) + " °C";
  showFaces(observation.faces);
  addPoints(observation);
  showState();
}

async function begin() {
  const answer = await fetch(address("api/state"), { cache: "no-store" });
  if (!answer.ok) return;
  const state = await answer.json();
  $("bundle").textContent = `${state.bundle} · ${state.version}`;
  document.title = `${state.bundle} · edge-runtime`;
  labels = state.labels;
  showFaces([]); // their bars may be those of other labels
  points = state.history;
  status = state.status;
  $("lines").replaceChildren(element("li", "empty", "none yet"));
  state.events.forEach(addLine);
  showState();
  showLegend();
  drawPlot();
}

const source = new EventSource(address("events"));
source.addEventListener("open", () => { open = true; showState(); begin().catch(() => {}); });
source.addEventListener("error", () => { open = false; showState(); });
source.addEventListener("observation", (message) => observed(JSON.parse(message.data)));
source.addEventListener("event", (message) => {
  const event = JSON.parse(message.data);
  addLine(event);
  status = event.status;
  showState();
});
setInterval(() => { showState(); if (!document.hidden) drawPlot(); }, 1000);
addEventListener("resize", drawPlot);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawPlot);
showPictures();
