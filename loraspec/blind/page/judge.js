// The page of `loraspec judge`: shows a pair, sends an answer, shows the next. All texts go in as text, never as markup.
"use strict";

const at = (name) => document.getElementById(name);
let shown = null; // the state that is on the screen
let busy = true; // no answer is taken before both pictures are there

async function ask(place, body) {
  const options = body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  };
  const reply = await fetch(place, { ...options, cache: "no-store" });
  const value = await reply.json();
  if (value.error) throw new Error(value.error);
  return value;
}

function tell(error) {
  const gone = error instanceof TypeError;
  at("error").textContent = gone ? "loraspec judge no longer runs. Every answer so far is kept; start it again to go on." : error.message;
  at("error").hidden = false;
}

async function act(place, body) {
  if (busy) return;
  busy = true;
  document.body.classList.add("busy");
  try {
    await show(await ask(place, body));
  } catch (error) {
    tell(error);
  }
  document.body.classList.remove("busy");
  busy = false;
}

async function show(state) {
  at("error").hidden = true;
  if (state.pair === null) {
    shown = state;
    await results(state);
    return;
  }
  const images = [];
  for (const side of ["left", "right"]) {
    const image = new Image();
    image.id = `${side}-image`;
    image.draggable = false;
    image.alt = `${side} picture: ${state.prompt}`;
    image.width = state.width;
    image.height = state.height;
    image.className = Math.max(state.width, state.height) <= 128 ? "tiny" : "";
    image.src = `picture/${state.pair}/${side}`;
    images.push(image);
  }
  await Promise.all(images.map((image) => image.decode()));
  for (const image of images) at(image.id).replaceWith(image); // both at once: nothing tells which came first
  shown = state;
  at("prompt").textContent = state.prompt;
  at("count").textContent = `Pair ${state.done + 1} of ${state.goal}`;
  at("bar").max = state.goal;
  at("bar").value = state.done;
  at("undo").disabled = !state.undo;
  own(state);
  at("told").hidden = true;
  at("ask").hidden = false;
}

function own(state) {
  if (!state.own || at("own-pictures").childElementCount) return;
  at("own-words").textContent = state.own_words;
  for (let number = 0; number < state.own; number += 1) {
    const image = new Image();
    image.alt = `picture ${number + 1} of ${state.own}: ${state.own_words}`;
    image.onerror = () => image.remove();
    image.src = `own/${number}`;
    at("own-pictures").append(image);
  }
  at("own").hidden = false;
  document.body.classList.add("with-own");
}

async function results(state) {
  const found = await ask("results");
  at("sentences").replaceChildren(...found.sentences.map((text) => {
    const line = document.createElement("p");
    line.textContent = text;
    return line;
  }));
  at("table").replaceChildren(...found.table.map((row, number) => {
    const line = document.createElement("tr");
    line.append(...row.map((text, place) => {
      const cell = document.createElement(number === 0 || place === 0 ? "th" : "td");
      if (cell.tagName === "TH") cell.scope = number === 0 ? "col" : "row";
      cell.textContent = text;
      return cell;
    }));
    return line;
  }));
  document.querySelector(".scroll").hidden = !found.table.length;
  const out = [];
  if (state.same) out.push(`${state.same} pairs were the same picture to the bit and were not asked.`);
  if (state.unreadable) out.push(`${state.unreadable} pairs could not be read and were left out.`);
  if (!state.left) out.push("All pairs were shown.");
  at("left-out").textContent = out.join(" ");
  at("more").hidden = !state.left;
  at("back").disabled = !state.undo;
  at("ask").hidden = true;
  at("told").hidden = false;
  at("verdict").focus();
}

async function end() {
  if (busy) return;
  busy = true;
  try {
    await ask("end", {});
    document.querySelector("main").replaceChildren(Object.assign(document.createElement("p"), {
      id: "closed", textContent: "Everything is kept. You can close this page.",
    }));
  } catch (error) {
    tell(error);
    busy = false;
  }
}

const answer = (choice) => shown && shown.pair !== null && act("answer", { pair: shown.pair, choice });
const undo = () => shown && shown.undo && act("undo", {});
const keys = { ArrowLeft: () => answer("left"), ArrowRight: () => answer("right"), ArrowDown: () => answer("tie"), Backspace: undo };

document.addEventListener("keydown", (event) => {
  if (!(event.key in keys) || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (at("ask") === null || (at("ask").hidden && event.key !== "Backspace")) return; // on the results arrows scroll
  event.preventDefault();
  if (!event.repeat) keys[event.key](); // a key that is held down answers once
});
at("left").addEventListener("click", () => answer("left"));
at("right").addEventListener("click", () => answer("right"));
at("tie").addEventListener("click", () => answer("tie"));
at("undo").addEventListener("click", undo);
at("back").addEventListener("click", undo);
at("enough").addEventListener("click", () => act("enough", {}));
at("more").addEventListener("click", () => act("more", {}));
at("end").addEventListener("click", end);

ask("state").then(show).catch(tell).finally(() => { busy = false; });
