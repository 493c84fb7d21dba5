// The page of `deepproverbs review`. A key is answered when the server has the decision on its disk: until then the text
// stays where it is, and further keys do nothing.
import { prepare } from "./publish.js";
import { $, DECIDED, PLACES, facts, node, relative, send, showLooks, showNotes, some } from "./show.js";

const AHEAD = 12; // texts that are held, so that the next one is there at once
const FEW = 5;

let ask = facts.ask;
let queue = facts.texts; // the text that is shown, and those after it
let trail = []; // numbers of the texts before it
let counts = facts.counts;
let matches = facts.total;
let busy = false;
let ended = facts.texts.length < AHEAD; // no text comes after the last of the queue
let editing = false;
let round = 0; // counts questions, so that a late answer to an old one is left aside

for (const id of ["text", "new", "coming", "looks", "nearest", "like"]) $(id).lang = facts.language;

function windowPath(after) {
  const query = new URLSearchParams({ view: ask.view, source: ask.source, sort: ask.sort, down: ask.down ? "1" : "0", q: ask.query, after, count: AHEAD });
  return `texts?${query}`;
}

// What is shown

function show() {
  const text = queue[0];
  $("problem").textContent = $("told").textContent = "";
  $("text").classList.toggle("none", !text);
  for (const id of ["drop", "start-edit", "star", "keep", "next"]) $(id).disabled = !text;
  $("back").disabled = !trail.length;
  $("places").hidden = $("notes").hidden = $("keys").hidden = !text;
  showCounts();
  showComing();
  $("go-on").hidden = true;
  if (!text) {
    showEnd();
    return;
  }
  $("text").textContent = text.now;
  const state = DECIDED[text.status];
  const place = text.source === "pool" || text.fate ? PLACES[text.fate] : "";
  $("where").textContent = [text.names ? `set apart for “${text.names}”` : "", place, state].filter(Boolean).join(" · ");
  $("marks").hidden = !text.hidden.length;
  $("marks").textContent = text.hidden.length ? `It holds characters that nobody sees: ${text.hidden.join(", ")}.` : "";
  for (const [id, what] of [["drop", "drop"], ["start-edit", "edit"], ["star", "star"], ["keep", "keep"]])
    $(id).setAttribute("aria-pressed", String(text.status === what));
  showLooks(text.looks);
  showNotes(text);
  showLike(text);
  document.title = `${$("read").textContent} · ${facts.by}`;
  announce([text.now, text.names ? `Set apart for ${text.names}` : "", state].filter(Boolean).join(". "));
}

function showEnd() {
  const of = counts[ask.source], skipped = trail.length ? of.open + of.conflict : 0, pool = counts.pool.open + counts.pool.conflict;
  const on = ask.view === "open" && ask.source === "apart" && !ask.query && !skipped && pool > 0;
  $("text").textContent = ask.query ? "No text here holds these words."
    : skipped ? `That was the last one. ${some(skipped, "that you skipped is", "that you skipped are")} still to be read.`
    : on ? `All that was set apart is read. Of the pool, ${some(pool, "text is", "texts are")} still to be read.`
    : ask.view === "open" ? "All are read. What you decided counts when you publish it." : "There is none.";
  $("go-on").hidden = !on;
  $("where").textContent = "";
  $("marks").hidden = true;
  announce($("text").textContent);
}

function showCounts() {
  const of = counts[ask.source];
  const read = of.total - of.open - of.conflict;
  $("bar").max = Math.max(1, of.total);
  $("bar").value = read;
  $("read").textContent = `${read.toLocaleString("en")} of ${of.total.toLocaleString("en")}`;
}

function showComing() {
  $("matches").textContent = matches ? some(matches, "text", "texts") : "No texts";
  $("coming").replaceChildren(...queue.slice(0, AHEAD).map((text, place) => {
    const button = node("button"), words = node("span", text.now);
    button.type = "button";
    words.dir = "auto";
    button.append(words);
    if (!place) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => jump(place));
    const item = node("li");
    item.append(button);
    return item;
  }));
}

async function showLike(text) {
  $("like").replaceChildren(node("li", "…", "soft"));
  let found;
  try {
    found = (text.like ??= (await send(`like?n=${text.n}`)).like);
  } catch (error) {
    found = null;
    if (queue[0] === text) $("like").replaceChildren(node("li", error.message, "soft"));
  }
  if (!found || queue[0] !== text) return;
  $("like").replaceChildren(...(found.length ? found.map((other) => {
    const item = node("li");
    item.append(...relative(other.text, other.ratio));
    return item;
  }) : [node("li", "nothing like it", "soft")]));
}

function announce(words) {
  $("live").textContent = words;
}

function told(words) {
  $("told").textContent = words;
}

function tell(error) {
  $("problem").textContent = error.message;
}

// Moving

async function more() {
  if (ended) return;
  const last = queue.at(-1)?.n ?? trail.at(-1) ?? -1, mine = round;
  const found = await send(windowPath(last));
  if (mine !== round) return;
  ended = found.texts.length < AHEAD;
  matches = found.total;
  const known = new Set(queue.map((text) => text.n));
  queue.push(...found.texts.filter((text) => !known.has(text.n)));
}

async function forward() {
  if (!queue.length) return;
  trail.push(queue.shift().n);
  if (!queue.length) await more();
  show();
  if (queue.length < FEW) more().then(showComing, tell);
}

async function jump(place) {
  while (place-- > 0) trail.push(queue.shift().n);
  show();
  $("text").focus();
  if (queue.length < FEW) await more().then(showComing, tell);
}

async function back() {
  if (!trail.length) return;
  queue.unshift(await send(`text?n=${trail.at(-1)}`));
  trail.pop();
  show();
}

async function again() {
  const mine = ++round;
  const found = await send(windowPath(-1));
  if (mine !== round) return;
  queue = found.texts;
  matches = found.total;
  ended = queue.length < AHEAD;
  trail = [];
  show();
}

// Deciding

async function alone(work) {
  if (busy) return;
  busy = true;
  try {
    await work();
  } catch (error) {
    tell(error);
  } finally {
    busy = false;
  }
}

async function decide(what, edited) {
  const text = queue[0];
  if (!text) return;
  const answer = await send("decide", { n: text.n, id: text.id, decision: what, ...(edited === undefined ? {} : { edited }) });
  counts = answer.counts;
  if (ask.view === "open") matches -= text.status === "open" || text.status === "conflict" ? 1 : 0;
  await forward();
  if (what === "star" && text.fate === "waiting") told("Starred. It is in the pool already and keeps its turn there.");
}

async function undo() {
  const answer = await send("undo", {});
  counts = answer.counts;
  if (!answer.text) {
    show();
    told(`Taken back: “${DECIDED[answer.undone]}”, of a text that is not shown here any more.`);
    return;
  }
  if (ask.view === "open" && answer.text.status === "open") matches += 1;
  trail = trail.filter((number) => number !== answer.text.n);
  queue = [answer.text, ...queue.filter((text) => text.n !== answer.text.n)];
  show();
}

// Editing

let waiting = 0;

function startEdit() {
  if (!queue.length) return;
  editing = true;
  $("edit").hidden = false;
  $("text").hidden = $("keys").hidden = $("turn").hidden = true;
  $("objection").textContent = "";
  $("new").value = queue[0].now;
  $("new").focus();
}

function endEdit() {
  editing = false;
  clearTimeout(waiting);
  $("edit").hidden = true;
  $("text").hidden = $("turn").hidden = false;
  $("keys").hidden = !queue.length;
  if (queue.length) showLooks(queue[0].looks);
  $("text").focus();
}

function checkSoon() {
  clearTimeout(waiting);
  waiting = setTimeout(async () => {
    const words = $("new").value, text = queue[0];
    try {
      const said = await send("check", { n: text.n, text: words });
      if (!editing || $("new").value !== words) return;
      $("objection").textContent = said.objection;
      $("objection").className = said.objection ? "small bad" : "small";
      showLooks(said.looks);
    } catch (error) {
      tell(error);
    }
  }, 200);
}

async function save() {
  const words = $("new").value;
  if (!words.trim()) throw new Error("Nothing is written here; to publish nothing, drop the text.");
  $("objection").textContent = "The rules are asked …";
  $("objection").className = "small soft";
  try {
    await decide("edit", words);
  } catch (error) {
    $("objection").textContent = error.message;
    $("objection").className = "small bad";
    return;
  }
  endEdit();
}

// Keys and buttons

const KEYS = {
  k: () => alone(() => decide("keep")),
  d: () => alone(() => decide("drop")),
  s: () => alone(() => decide("star")),
  e: startEdit,
  u: () => alone(undo),
  ArrowRight: () => alone(forward),
  ArrowLeft: () => alone(back),
  "/": () => $("q").select(),
  "?": () => $("help-box").showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
  if (document.querySelector("dialog[open]")) return;
  const where = event.target.closest?.("input, textarea, select");
  if (where) {
    if (event.key === "Escape" && where.id === "q") $("text").focus();
    return;
  }
  if (editing || (event.key.length === 1 && !$("keys-on").checked)) return;
  const act = KEYS[event.key];
  if (act) {
    event.preventDefault();
    act();
  }
});

for (const [id, key] of [["keep", "k"], ["drop", "d"], ["star", "s"], ["start-edit", "e"], ["undo", "u"], ["next", "ArrowRight"], ["back", "ArrowLeft"], ["help", "?"]])
  $(id).addEventListener("click", KEYS[key]);

$("edit").addEventListener("submit", (event) => { event.preventDefault(); alone(save); });
$("cancel").addEventListener("click", endEdit);
$("new").addEventListener("input", checkSoon);
$("new").addEventListener("keydown", (event) => {
  if (event.key === "Escape") endEdit();
  else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); alone(save); }
});
$("go-on").addEventListener("click", () => { $("source").value = "pool"; asked(); $("text").focus(); });
$("filter").addEventListener("click", () => {
  $("filter").setAttribute("aria-expanded", String(document.body.classList.toggle("asking")));
});
prepare((now) => { counts = now; again().catch(tell); });

function asked() {
  ask = { ...ask, view: $("view").value, source: $("source")?.value ?? ask.source, sort: $("sort").value, down: $("down").checked, query: $("q").value.trim() };
  again().catch(tell);
}

let typing = 0;
$("q").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(asked, 120); });
for (const id of ["view", "source", "sort", "down"]) $(id)?.addEventListener("change", asked);
$("ask").addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(typing); asked(); $("text").focus(); });

$("view").value = ask.view;
if ($("source")) $("source").value = ask.source;
show();
