"use strict";
const BOXES = ["#4da3ff", "#ffb020", "#3ddc97", "#ff6fae", "#b08cff", "#ff8a5c", "#5ad1e6", "#d7e04a"];
const KEPT = 900; // seconds of scores that are kept
// Seconds that the plot can show: name, and the marks of its axis in units of so many seconds.
const RANGES = [
  { span: 60, name: "1 min", marks: [0, 15, 30, 45, 60], unit: 1, suffix: "s" },
  { span: 300, name: "5 min", marks: [0, 1, 2, 3, 4, 5], unit: 60, suffix: "min" },
  { span: 900, name: "15 min", marks: [0, 3, 6, 9, 12, 15], unit: 60, suffix: "min" },
];
const FAR = 3; // seconds between two points that a line still joins
const MEDIAN_OVER = 5000; // ms over which the median latency is
const ALONE = 1000; // ms without a picture after which the cards no longer wait for one
const STALE = 3000; // ms without an observation after which the picture is not called live
const $ = (id) => document.getElementById(id);
const boxColour = (track) => BOXES[track % BOXES.length];
const percent = (value) => Math.round(value * 100) + " %";

// The token has become a cookie; it need not stay where others can read it. In a frame of another site browsers send no cookie, so
// the page keeps the token while it is open.
const token = new URLSearchParams(location.search).get("token");
if (location.search) history.replaceState(null, "", location.pathname);

// Relative, so that the page works under any path of a reverse proxy. A proxy that takes its own path off may show the page without
// the slash at the end, where a relative address would lead out of that path.
const base = location.pathname.endsWith("/") ? "" : location.origin + location.pathname + "/";
if (base) document.querySelector("link[rel=icon]").href = base + "icon.svg";
function address(path, query = {}) {
  const all = new URLSearchParams({ ...query, ...(token && { token }) }).toString();
  return base + (all ? path + "?" + all : path);
}

const time = (text) => new Date(text).toLocaleTimeString();

let labels = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"];
let points = []; // rows of second, track and a score for each label, the oldest first
let chosen = null; // the track that the plot shows; null: the one seen last
let range = RANGES[1];
let cursor = null; // the moment whose values the legend shows, in seconds of Unix time
let lastSeen = 0; // when an observation came, in ms of performance.now()
let lastTime = 0; // the time of that observation, in seconds of Unix time
let lastPicture = 0; // when a picture was shown, in ms of performance.now()
let newest = null; // the newest observation
let latencies = []; // pairs of arrival and latency, in ms
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
  const title = element("h2");
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

// What box and card call a face.
const wordsFor = (face) => face.label || UNREADABLE[face.quality] || "not sure";

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
    card.label.textContent = wordsFor(face);
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
    const text = `${face.track} ${wordsFor(face)}`;
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
      // The cards say what the boxes say.
      if (observation) {
        drawBoxes(observation, picture.width, picture.height);
        if (!status?.camera.lost_since) showFaces(observation.faces);
      }
      lastPicture = performance.now();
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
const HINT = $("plot-hint").textContent;

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
  while (old < points.length && points[old][0] <= second - KEPT) old++;
  if (old) points.splice(0, old);
}

// A row of buttons of which one is pressed.
function choices(row, names, shown, choose) {
  const wanted = names.join("|") + "|" + shown;
  if (row.dataset.shown === wanted) return;
  row.dataset.shown = wanted;
  const focused = [...row.children].indexOf(document.activeElement);
  row.replaceChildren(...names.map((name, index) => {
    const button = element("button", "", name);
    button.type = "button";
    button.setAttribute("aria-pressed", index === shown);
    button.addEventListener("click", () => { choose(index); drawPlot(); });
    return button;
  }));
  row.children[focused]?.focus();
}

function showTracks() {
  const tracks = [...new Set(points.map((point) => point[1]))].slice(-6);
  const newest = points.findLast((point, at) => at === 0 || points[at - 1][0] < points[points.length - 1][0]);
  const shown = tracks.includes(chosen) ? chosen : newest?.[1];
  choices($("tracks"), tracks.map((track) => "Face " + track), tracks.indexOf(shown), (index) => { chosen = tracks[index]; });
  return shown;
}

// The end of the plot by the board's clock. Without frames the plot moves on all the same.
function plotEnd() {
  const newestPoint = points.length ? points[points.length - 1][0] : 0;
  return Math.max(newestPoint, lastSeen ? Math.floor(lastTime + (performance.now() - lastSeen) / 1000) : 0);
}

const area = () => ({ left: 46, right: plot.clientWidth - 8, top: 8, bottom: plot.clientHeight - 22 });

function drawPlot() {
  const track = showTracks();
  choices($("ranges"), RANGES.map(({ name }) => name), RANGES.indexOf(range), (index) => { range = RANGES[index]; });
  plot.setAttribute("aria-label", `Scores of ${track === undefined ? "a face" : "face " + track} over the last ${range.name}`);
  const ratio = devicePixelRatio || 1;
  const [width, height] = [plot.clientWidth, plot.clientHeight];
  plot.width = width * ratio;
  plot.height = height * ratio;
  const ink = plot.getContext("2d");
  ink.scale(ratio, ratio);
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue("--" + name).trim();
  const { left, right, top, bottom } = area();
  const end = plotEnd();
  const x = (second) => right - ((end - second) / range.span) * (right - left);
  const y = (score) => bottom - score * (bottom - top);
  ink.font = "12px system-ui, sans-serif";
  ink.lineWidth = 1;
  ink.strokeStyle = colour("rule");
  ink.fillStyle = colour("quiet");
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
  const { marks, unit, suffix } = range;
  const taken = []; // by the texts of other marks; those of both ends come first
  for (const mark of [marks[0], marks[marks.length - 1], ...marks.slice(1, -1)]) {
    const text = mark ? `−${mark} ${suffix}` : "now";
    const [at, wide] = [x(end - mark * unit), ink.measureText(text).width];
    const from = Math.min(Math.max(at - wide / 2, left), right - wide);
    if (taken.some(([start, stop]) => from < stop + 8 && start < from + wide + 8)) continue;
    taken.push([from, from + wide]);
    ink.textAlign = "left";
    ink.fillText(text, from, height - 6);
  }
  const mine = points.filter((point) => point[1] === track && point[0] >= end - range.span);
  ink.lineJoin = "round";
  labels.forEach((name, index) => {
    ink.strokeStyle = ink.fillStyle = colour(name);
    ink.lineWidth = 2;
    ink.beginPath();
    mine.forEach(([second, , scores], at) => {
      const joined = at > 0 && second - mine[at - 1][0] <= FAR;
      if (joined) ink.lineTo(x(second), y(scores[index]));
      else ink.moveTo(x(second), y(scores[index]));
      // A second without neighbours would be a line of no length.
      if (!joined && !(at + 1 < mine.length && mine[at + 1][0] - second <= FAR)) {
        ink.fillRect(x(second) - 1, y(scores[index]) - 1, 2, 2);
      }
    });
    ink.stroke();
  });
  plot.dataset.points = mine.length;
  const values = pointAt(mine, cursor);
  if (values) {
    ink.strokeStyle = colour("quiet");
    ink.lineWidth = 1;
    ink.beginPath();
    ink.moveTo(Math.round(x(values[0])) + 0.5, top);
    ink.lineTo(Math.round(x(values[0])) + 0.5, bottom);
    ink.stroke();
  }
  showValues(values);
}

// The point of the track that is nearest to a moment, if there is one near it.
function pointAt(mine, second) {
  if (second === null) return null;
  const distance = (point) => Math.abs(point[0] - second);
  const nearest = mine.reduce((best, point) => (best && distance(best) <= distance(point) ? best : point), null);
  return nearest && distance(nearest) <= Math.max(FAR, range.span / 60) ? nearest : null;
}

function showLegend() {
  $("legend").replaceChildren(...labels.map((name) => {
    const entry = element("span");
    const mark = element("i");
    mark.style.background = `var(--${name})`;
    entry.append(mark, name, element("b"));
    return entry;
  }));
}

// The legend shows the values of the moment under the pointer.
function showValues(point) {
  show("plot-hint", point ? "Values at " + new Date(point[0] * 1000).toLocaleTimeString() : HINT);
  [...$("legend").children].forEach((entry, index) => { entry.querySelector("b").textContent = point ? percent(point[2][index]) : ""; });
}

function pointAtPointer(event) {
  const { left, right } = area();
  const share = (event.clientX - plot.getBoundingClientRect().left - left) / (right - left);
  cursor = share >= 0 && share <= 1.02 ? plotEnd() - (1 - share) * range.span : null;
  drawPlot();
}

function dropCursor() {
  cursor = null;
  drawPlot();
}

plot.addEventListener("pointermove", pointAtPointer);
plot.addEventListener("pointerdown", pointAtPointer);
plot.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") dropCursor(); });
plot.addEventListener("blur", dropCursor);
plot.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step) {
    const end = plotEnd();
    const from = cursor ?? (points.length ? points[points.length - 1][0] + (step < 0 ? 1 : 0) : end);
    cursor = Math.min(Math.max(from + step * (range.span / 60), end - range.span), end);
    event.preventDefault();
    drawPlot();
  } else if (event.key === "Escape") {
    dropCursor();
  }
});

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
  document.body.classList.toggle("stale", Boolean(lastSeen) && text !== "live");
  if (lost) showFaces([]);
  const { journal, throttled_to: share } = status ?? {};
  const trouble = [];
  if (journal?.failing_since) trouble.push(`journal cannot be written since ${time(journal.failing_since)}: ${journal.failing_because}`);
  if (journal?.dropped) trouble.push(`${journal.dropped} records lost`);
  if (share) trouble.push(`too hot: ${{ half: "every second frame is", quarter: "every fourth frame is", paused: "no frames are" }[share]} processed`);
  show("trouble", trouble.join("; "));
}

function median(values) {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[sorted.length >> 1];
}

function observed(observation) {
  recent.set(observation.frame, observation);
  if (recent.size > 60) recent.delete(recent.keys().next().value);
  newest = observation;
  lastSeen = performance.now();
  lastTime = Date.parse(observation.time) / 1000;
  if (status) { status.paused = observation.paused; status.camera = { up: true, lost_since: null }; }
  latencies = latencies.filter(([at]) => lastSeen - at < MEDIAN_OVER);
  latencies.push([lastSeen, observation.latency_ms]);
  const latency = median(latencies.map(([, ms]) => ms));
  $("rate").textContent = observation.frames_per_second.toFixed(1);
  $("latency").textContent = latency.toFixed(latency < 10 ? 1 : 0) + " ms";
  $("celsius").textContent = observation.celsius === null ? "–" : observation.celsius.toFixed(1) + " °C";
  showWithoutPicture();
  addPoints(observation);
  showState();
}

// The cards wait for the picture with the same faces, unless none comes.
function showWithoutPicture() {
  if (newest && performance.now() - lastPicture > ALONE && !status?.camera.lost_since) showFaces(newest.faces);
}

async function begin() {
  const answer = await fetch(address("api/state"), { cache: "no-store" });
  if (!answer.ok) return;
  const state = await answer.json();
  $("bundle").textContent = `${state.bundle} · ${state.version}`;
  document.title = `${state.bundle} · edge-runtime`;
  labels = state.labels;
  newest = null;
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
setInterval(() => { showState(); showWithoutPicture(); if (!document.hidden) drawPlot(); }, 1000);
addEventListener("resize", drawPlot);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawPlot);
showPictures();
