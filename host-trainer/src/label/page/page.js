"use strict";
// Keys, buttons and touch lead to the same answers. The next face is shown at once and its vote is sent behind it; what could
// not be saved is shown, and the page goes back to what the disk holds.
const LABELS = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"];
const AHEAD = 8;
const PATIENCE = 10000;
const element = (id) => document.getElementById(id);

let by = "", folder = "", faces = [], queue = [], past = [], labellers = [], allVotes = 0, waiting = 0;
let sending = Promise.resolve();
// What is not answered yet, in order: place, answer and voter.
let unsent = [];
const pictures = new Map();

const ANSWERS = LABELS.map((label, index) => ({ key: String(index + 1), text: label, act: () => vote(label) })).concat([
  { key: "9", text: "cannot tell", act: () => vote("unknown") },
  { key: "0", text: "not a face", act: () => vote("NF") },
  { key: "s", text: "skip", act: skip },
  { key: "u", text: "undo", act: undo, id: "undo" },
  { key: "h", text: "suggestion", act: suggest },
]);

for (const answer of ANSWERS) {
  const button = document.createElement("button");
  const key = document.createElement("span");
  button.type = "button";
  button.id = answer.id ?? `answer-${answer.key}`;
  button.append(answer.text, key);
  key.className = "key";
  key.textContent = answer.key.toUpperCase();
  key.setAttribute("aria-hidden", "true");
  button.setAttribute("aria-keyshortcuts", answer.key);
  button.addEventListener("click", answer.act);
  element(LABELS.includes(answer.text) ? "labels" : "others").append(button);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || event.target.tagName === "INPUT" || by === "") return;
  // Where the digits want Shift, as on French keyboards, their keys are known by their place.
  const digit = event.shiftKey ? null : /^Digit([0-9])$/.exec(event.code);
  const key = digit ? digit[1] : event.key.toLowerCase();
  const answer = ANSWERS.find((known) => known.key === (key === "backspace" ? "u" : key));
  if (!answer) return;
  event.preventDefault();
  answer.act();
});

async function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  // A program that ended may leave a connection that never answers.
  const signal = AbortSignal.timeout(PATIENCE);
  const answer = await fetch(path, { method: "POST", headers, signal, keepalive: true, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

async function open(name) {
  try {
    const opened = await post("/api/open", { by: name });
    // Names that differ by case alone are one person's: the first spelling counts.
    ({ by, faces, folder, labellers, all_votes: allVotes } = opened);
    const index = new Map(faces.map((face, place) => [face.id, place]));
    past = opened.votes.map(([id]) => index.get(id));
    // What is still on its way counts as well.
    for (const { place, answer, voter } of unsent) {
      if (voter !== by) continue;
      past = past.filter((known) => known !== place);
      if (answer !== null) past.push(place);
    }
    const voted = new Set(past);
    queue = faces.map((_, place) => place).filter((place) => !voted.has(place));
    // The name stays in the address, so that a reload continues.
    location.hash = encodeURIComponent(by);
    element("who").textContent = by;
    element("change").hidden = false;
    element("start").hidden = true;
    show();
  } catch (error) {
    trouble(`cannot open the folder: ${error.message}`);
  }
}

function trouble(text) {
  element("trouble").textContent = text;
  element("trouble").hidden = text === "";
}

// A picture is an element of its own, so that it is decoded before its turn comes.
function picture(place) {
  let image = pictures.get(place);
  if (!image) {
    image = new Image();
    image.decoding = "sync";
    image.src = `/face/${faces[place].id}`;
    image.decode().catch(() => {});
    pictures.set(place, image);
  }
  return image;
}

function show() {
  const done = queue.length === 0;
  element("work").hidden = done;
  element("done").hidden = !done;
  element("suggestion").hidden = true;
  count();
  if (done) {
    element("command").textContent = `host-trainer run-all --from BUNDLE --data 'labelled:${folder}'`;
    element("done").focus();
    return;
  }
  const place = queue[0];
  const face = faces[place];
  const image = picture(place);
  image.alt = `Face ${place + 1} of ${faces.length}`;
  element("figure").replaceChildren(image);
  element("figure").dataset.face = face.name;
  const alike = face.duplicates > 0 ? `, ${face.duplicates} alike not shown` : "";
  // `log faces` writes the model's answer into the name; shown, it would lead.
  const name = face.name.replace(new RegExp(`_(${LABELS.join("|")}|unsure)_(?=\\d+\\.)`), "_");
  element("about").textContent = `${name}${alike}`;
  const near = new Set(queue.slice(0, AHEAD + 1));
  past.slice(-2).forEach((place) => near.add(place));
  for (const known of pictures.keys()) if (!near.has(known)) pictures.delete(known);
  near.forEach(picture);
}

function count() {
  const people = new Set(labellers.concat(past.length > 0 ? [by] : []));
  element("bar").max = faces.length;
  element("bar").value = past.length;
  const saving = waiting > 0 ? ", saving" : ", saved";
  element("progress").textContent =
    `${past.length} of ${faces.length} labelled by you; ${allVotes} votes by ${people.size} ${people.size === 1 ? "person" : "people"}${saving}`;
  element("progress").dataset.saved = String(waiting === 0);
  element("undo").disabled = past.length === 0;
}

// One after the other, so that an undo never overtakes its vote.
function send(place, answer) {
  waiting += 1;
  const id = faces[place].id;
  // Another person may take over before it is sent.
  const voter = by;
  const cast = { place, answer, voter };
  unsent.push(cast);
  sending = sending.then(async () => {
    try {
      allVotes = (await post("/api/vote", { by: voter, id, vote: answer })).all_votes;
      unsent = unsent.filter((known) => known !== cast);
      trouble("");
    } catch (error) {
      unsent = unsent.filter((known) => known !== cast);
      trouble(`not saved: ${error.message}. The page shows what is on the disk.`);
      if (by === voter) await open(by);
    } finally {
      waiting -= 1;
      count();
    }
  });
}

function vote(answer) {
  if (queue.length === 0) return;
  const place = queue.shift();
  past.push(place);
  send(place, answer);
  show();
}

function skip() {
  if (queue.length > 1) {
    queue.push(queue.shift());
    show();
  }
}

function undo() {
  if (past.length === 0) return;
  const place = past.pop();
  queue.unshift(place);
  send(place, null);
  show();
}

async function suggest() {
  if (queue.length === 0) return;
  const face = faces[queue[0]];
  const answer = await fetch(`/api/suggestion/${face.id}`).catch((error) => ({ ok: false, text: () => error.message }));
  const lines = [];
  if (answer.ok) {
    const { by: model, scores } = await answer.json();
    for (const [label, share] of scores.slice(0, 3)) lines.push(`${label} ${Math.round(100 * share)} % (${model})`);
  } else {
    lines.push(await answer.text());
  }
  // The face may have changed meanwhile.
  if (queue.length === 0 || faces[queue[0]] !== face) return;
  element("suggestion").replaceChildren(...lines.map((line) => Object.assign(document.createElement("li"), { textContent: line })));
  element("suggestion").hidden = false;
}

element("back").addEventListener("click", undo);
element("start").addEventListener("submit", (event) => {
  event.preventDefault();
  open(element("name").value.trim());
});
element("change").addEventListener("click", () => {
  by = "";
  location.hash = "";
  for (const id of ["work", "done", "change"]) element(id).hidden = true;
  element("who").textContent = "";
  element("start").hidden = false;
  element("name").focus();
});
addEventListener("beforeunload", (event) => {
  if (waiting > 0) event.preventDefault();
});

const known = decodeURIComponent(location.hash.slice(1));
if (known === "") element("name").focus();
else open(known);
