// The page of `loraspec captions review`. All texts go in as text, never as markup; what is shown as saved is on the disk.
"use strict";

const at = (name) => document.getElementById(name);
const HEIGHT = 56; // px of a line in the list, as in the style sheet
const STATES = ["approved", "edited", "draft", "rejected", "found", "missing"];
const NAMES = { open: "not approved", all: "all", found: "not looked at" };
let facts = null; // what does not change
let rows = []; // every image, as the server last told
let shown = []; // numbers of the rows that pass the filters, in order
let now = -1; // the row on the stage
let editing = false;
let working = Promise.resolve(); // one change after the other

async function ask(place, body) {
  const options = body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  };
  const reply = await fetch(place, { ...options, cache: "no-store" });
  const value = await reply.json();
  if (value.error) throw new Error(value.error);
  return { ...value, fits: reply.status !== 409 };
}

function tell(error) {
  const gone = error instanceof TypeError;
  at("error").textContent = gone ? "loraspec captions review no longer runs. Every change so far is kept; start it again to go on." : error.message;
  at("error").hidden = false;
}

function make(tag, text, name) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (name) made.className = name;
  return made;
}

const named = (state) => NAMES[state] || state;
const cut = () => facts.separator.trim() || facts.separator;
const parts = (text) => (text || "").split(cut()).map((part) => part.trim()).filter(Boolean);
const joined = (list) => list.join(facts.separator === "," ? ", " : facts.separator);

// -- the list ----------------------------------------------------------------------------------------------------------

function passes(row) {
  const state = at("state").value, code = at("code").value, words = at("find").value.toLowerCase();
  if (state === "open" ? row.state === "approved" : state !== "all" && row.state !== state) return false;
  if (code && !row.lint.some((one) => one.code === code)) return false;
  return !words || row.key.toLowerCase().includes(words) || (row.text || "").toLowerCase().includes(words);
}

function filter(keep) {
  shown = rows.filter((row) => passes(row) || row.n === keep).map((row) => row.n);
  at("tall").style.height = `${shown.length * HEIGHT}px`;
  if (!shown.includes(now)) show(shown.length ? shown[0] : -1);
  else draw();
  place();
}

function draw() {
  const list = at("list"), first = Math.max(0, Math.floor(list.scrollTop / HEIGHT) - 4);
  const last = Math.min(shown.length, first + Math.ceil(list.clientHeight / HEIGHT) + 8);
  const there = new Map([...at("tall").children].map((item) => [Number(item.dataset.n), item]));
  for (let position = first; position < last; position += 1) {
    const row = rows[shown[position]];
    let item = there.get(row.n);
    there.delete(row.n);
    if (!item) {
      item = make("button", undefined, "item");
      item.type = "button";
      item.tabIndex = -1;
      item.dataset.n = row.n;
      const image = make("img");
      image.alt = "";
      image.loading = "lazy";
      image.src = `thumb/${row.n}`;
      const words = make("span", row.key);
      words.append(make("small"));
      item.append(image, words);
      item.addEventListener("click", () => show(row.n));
      at("tall").append(item);
    }
    item.style.top = `${position * HEIGHT}px`;
    item.setAttribute("aria-current", String(row.n === now));
    const small = item.querySelector("small");
    small.className = row.state;
    small.textContent = named(row.state) + (row.lint.length ? ` · ${row.lint.map((one) => one.code).join(" ")}` : "");
  }
  for (const item of there.values()) item.remove();
}

function options(select, values, value) {
  if ([...select.options].map((one) => one.value + one.textContent).join() === values.map((one) => one[0] + one[1]).join()) return;
  select.replaceChildren(...values.map(([name, text]) => {
    const made = make("option", text);
    made.value = name;
    return made;
  }));
  select.value = values.some(([name]) => name === value) ? value : values[0][0];
}

function count() {
  const states = Object.fromEntries(STATES.map((state) => [state, 0])), codes = {};
  for (const row of rows) {
    states[row.state] += 1;
    for (const code of new Set(row.lint.map((one) => one.code))) codes[code] = (codes[code] || 0) + 1;
  }
  const open = rows.length - states.approved;
  at("counts").textContent = `${states.approved} of ${rows.length} approved` + (open && facts.required ? " · nothing is trained before all are" : "");
  const listed = STATES.filter((state) => states[state]).map((state) => [state, `${named(state)} (${states[state]})`]);
  options(at("state"), [["all", `all (${rows.length})`], ["open", `not approved (${open})`], ...listed], at("state").value || "all");
  const told = Object.keys(codes).sort().map((code) => [code, `${code} (${codes[code]})`]);
  options(at("code"), [["", "any"], ...told], at("code").value);
}

// -- the stage ---------------------------------------------------------------------------------------------------------

function place() {
  const position = shown.indexOf(now);
  at("place").textContent = position < 0 ? "" : `· ${position + 1} of ${shown.length}`;
  at("before").disabled = position <= 0;
  at("after").disabled = position < 0 || position >= shown.length - 1;
}

function show(n) {
  leave();
  now = n;
  at("stage").hidden = at("side").hidden = n < 0;
  if (n < 0) return draw();
  const position = shown.indexOf(n), list = at("list");
  const top = position * HEIGHT;
  if (top < list.scrollTop || top + HEIGHT > list.scrollTop + list.clientHeight) list.scrollTop = top - list.clientHeight / 2;
  const picture = at("picture");
  picture.src = `picture/${n}`;
  picture.alt = rows[n].text || rows[n].key;
  at("key").textContent = rows[n].key;
  render();
  draw();
  place();
  const ahead = shown[position + 1];
  if (ahead !== undefined) new Image().src = `picture/${ahead}`;
  ask(`row/${n}`).then((row) => take(row)).catch(tell); // another program may have changed it
  return undefined;
}

function render() {
  const row = rows[now];
  at("badge").textContent = named(row.state);
  at("badge").className = `badge ${row.state}`;
  at("author").textContent = row.author.startsWith("model:") ? `by ${row.author.slice(6)}` : row.author ? `by a ${row.author}` : "";
  const focused = [...at("chips").querySelectorAll("button")].indexOf(document.activeElement);
  at("chips").replaceChildren(...parts(row.text).map((part, number) => chip(part, number)));
  if (focused >= 0) chipAt(focused);
  at("approve").disabled = row.text === null && !editing;
  at("reject").disabled = row.text === null;
  at("undo").disabled = !facts.undo;
  remarks(row.tokens, row.lint);
}

function remarks(tokens, lint) {
  const read = facts.encoders > 1 ? `each of ${facts.encoders} text encoders reads ${facts.limit}` : `the text encoder reads ${facts.limit}`;
  at("tokens").textContent = `${facts.exact ? "" : "about "}${tokens} tokens; ${read}`;
  at("tokens").className = tokens > facts.limit ? "over" : "";
  at("lint").replaceChildren(...(lint.length ? lint : [{ severity: "none", message: "nothing to remark" }]).map((one) => {
    const line = make("li", undefined, one.severity);
    if (one.code) line.append(make("b", one.code));
    line.append(one.message);
    return line;
  }));
}

// -- descriptors -------------------------------------------------------------------------------------------------------

function chip(part, number) {
  const line = make("li"), button = make("button", part, part === facts.tag ? "chip tag" : "chip");
  button.type = "button";
  button.draggable = true;
  button.tabIndex = number ? -1 : 0;
  button.title = "Alt+← and Alt+→ move it, Delete takes it out";
  button.addEventListener("keydown", (event) => chipKey(event, number));
  button.addEventListener("dragstart", (event) => event.dataTransfer.setData("text/plain", String(number)));
  button.addEventListener("dragover", (event) => { event.preventDefault(); button.classList.add("over"); });
  button.addEventListener("dragleave", () => button.classList.remove("over"));
  button.addEventListener("drop", (event) => {
    event.preventDefault();
    button.classList.remove("over");
    const from = Number(event.dataTransfer.getData("text/plain"));
    if (Number.isInteger(from)) move(from, number);
  });
  line.append(button);
  return line;
}

function chipAt(number) {
  const buttons = at("chips").querySelectorAll("button");
  const button = buttons[Math.max(0, Math.min(number, buttons.length - 1))];
  if (button) button.focus();
}

function move(from, to) {
  const list = parts(rows[now].text);
  if (from === to || from < 0 || to < 0 || from >= list.length || to >= list.length) return;
  list.splice(to, 0, ...list.splice(from, 1));
  chipAt(to);
  save(joined(list), "edited");
}

function chipKey(event, number) {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step && event.altKey) move(number, number + step);
  else if (step) chipAt(number + step);
  else if (event.key === "Delete" || event.key === "Backspace") {
    const list = parts(rows[now].text);
    list.splice(number, 1);
    if (list.length) save(joined(list), "edited");
  } else if (event.key === "Escape") event.target.blur();
  else return;
  event.preventDefault();
  event.stopPropagation();
}

// -- changes -----------------------------------------------------------------------------------------------------------

function take(row) {
  if (row.n === undefined || !rows[row.n]) return;
  const { fits, ...plain } = row;
  rows[row.n] = plain;
  count();
  draw();
  if (row.n === now && !editing) render();
}

function change(work) {
  working = working.then(async () => {
    try {
      at("error").hidden = true;
      await work();
    } catch (error) {
      tell(error);
    }
  });
  return working;
}

function save(text, state, then) {
  const n = now, seen = rows[n].text;
  return change(async () => {
    const row = await ask("save", { n, seen, text, state });
    if (row.fits) facts.undo += 1;
    take(row);
    if (!row.fits) {
      leave();
      throw new Error(`${row.key} was changed elsewhere meanwhile: this is what it is now. Nothing was overwritten.`);
    }
    if (then) then();
  });
}

function step(by) {
  const position = shown.indexOf(now) + by;
  if (position >= 0 && position < shown.length) show(shown[position]);
}

function onward() { // to the next that passes the filters; what was decided stays in the list until the filters change
  const left = shown.slice(shown.indexOf(now) + 1);
  const open = left.find((n) => rows[n].state !== "approved");
  if (open !== undefined) show(open);
  else if (left.length) show(left[0]);
  else { render(); place(); }
}

function approve() {
  const text = editing ? at("text").value : rows[now].text;
  if (text !== null) save(text, "approved", () => { leave(); onward(); });
}

function reject() {
  if (rows[now].text !== null) save(rows[now].text, "rejected", onward);
}

function undo() {
  change(async () => {
    const found = await ask("undo", {});
    if (found.n === null) throw new Error("There is nothing to take back, or it was changed elsewhere since.");
    await poll();
    if (!shown.includes(found.n)) filter(found.n);
    show(found.n);
  });
}

function edit() {
  editing = true;
  at("editor").hidden = false;
  at("chips").hidden = true;
  at("text").value = rows[now].text || "";
  at("approve").disabled = false;
  at("text").focus();
}

function leave() {
  if (!editing) return;
  editing = false;
  at("editor").hidden = true;
  at("chips").hidden = false;
  at("text").blur();
  if (now >= 0) render();
}

let waiting = 0;
function typed() {
  clearTimeout(waiting);
  const n = now;
  waiting = setTimeout(() => ask("lint", { n, text: at("text").value })
    .then((told) => { if (editing && n === now) remarks(told.tokens, told.lint); }).catch(tell), 200);
}

async function poll() { // what other pages did, and what the lint found meanwhile
  const told = await ask(`since/${facts.version}`);
  facts.version = told.version;
  facts.undo = told.undo;
  for (const row of told.rows) rows[row.n] = row;
  if (told.rows.length) {
    count();
    draw();
    if (told.rows.some((row) => row.n === now) && !editing) render();
  }
}

// -- find and replace --------------------------------------------------------------------------------------------------

function asked(apply) {
  return { rows: shown, find: at("what").value, by: at("by").value, case: at("case").checked, apply };
}

async function preview() {
  at("changes").replaceChildren();
  at("apply").disabled = true;
  at("found").textContent = "";
  if (!at("what").value) return;
  try {
    const told = await ask("replace", asked(false));
    at("found").textContent = `${told.changes.length} of ${shown.length} captions would change`;
    at("apply").disabled = !told.changes.length;
    at("changes").replaceChildren(...told.changes.slice(0, 200).map((one) => {
      const line = make("li");
      line.append(make("b", rows[one.n].key), make("br"), make("del", one.before), make("ins", one.after));
      return line;
    }));
  } catch (error) {
    at("found").textContent = error.message;
  }
}

function replace() {
  change(async () => {
    const told = await ask("replace", asked(true));
    at("replace").close();
    await poll();
    if (told.changes.length && !told.applied) throw new Error("A caption was changed elsewhere meanwhile: nothing was replaced.");
    filter(now);
  });
}

// -- keys --------------------------------------------------------------------------------------------------------------

const KEYS = {
  ArrowRight: () => step(1), j: () => step(1), ArrowLeft: () => step(-1), k: () => step(-1), a: approve, Enter: approve, r: reject,
  e: edit, u: undo, d: () => chipAt(0), "/": () => at("find").focus(), f: () => at("state").focus(), l: () => at("code").focus(),
  h: () => { at("replace").showModal(); preview(); }, "?": () => at("help").showModal(),
};

function key(event) {
  if (document.querySelector("dialog[open]") || event.ctrlKey || event.metaKey || event.altKey) return;
  const inside = event.target.closest("input, select, textarea");
  if (inside) {
    if (event.key === "Escape" || (event.key === "Enter" && inside.id !== "text")) inside.blur();
    return;
  }
  if (event.key === "Enter" && event.target.closest("button")) return;
  if (now < 0 && !["/", "f", "l", "?"].includes(event.key)) return;
  const act = KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

function writing(event) {
  if (event.key === "Escape") leave();
  else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) approve();
  else if (event.key === "Enter") save(at("text").value, "edited", leave);
  else return;
  event.preventDefault();
  event.stopPropagation();
}

async function begin() {
  facts = await ask("state");
  rows = facts.rows;
  document.title = `Captions of ${facts.spec}`;
  at("title").textContent = `Captions of ${facts.spec}`;
  if (facts.unreadable) tell(new Error(`${facts.unreadable} images cannot be read and are not shown: loraspec plan ${facts.spec} says why`));
  count();
  if (rows.some((row) => row.state !== "approved")) at("state").value = "open";
  filter();
  at("list").addEventListener("scroll", draw, { passive: true });
  addEventListener("resize", draw);
  addEventListener("keydown", key);
  for (const name of ["state", "code"]) at(name).addEventListener("change", () => { filter(); at(name).blur(); });
  at("find").addEventListener("input", () => filter());
  for (const name of ["what", "by", "case"]) at(name).addEventListener("input", preview);
  at("text").addEventListener("keydown", writing);
  at("text").addEventListener("input", typed);
  at("picture").addEventListener("load", () => {
    at("picture").className = Math.max(at("picture").naturalWidth, at("picture").naturalHeight) <= 160 ? "tiny" : "";
  });
  const acts = { approve, edit, reject, undo, apply: replace, before: () => step(-1), after: () => step(1), "replace-open": KEYS.h, "help-open": KEYS["?"] };
  for (const [name, act] of Object.entries(acts)) at(name).addEventListener("click", act);
  at("end").addEventListener("click", async () => {
    try { await working; await ask("end", {}); } catch (error) { tell(error); return; }
    document.body.replaceChildren(make("p", "This page is closed; every change is kept."));
    document.body.firstChild.id = "closed";
  });
  setInterval(() => { if (at("end")) working.then(poll).catch(tell); }, 1500);
}

begin().catch(tell);
