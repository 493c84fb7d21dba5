// How a text and what is known of it are put on the page, and how its server is asked. Whatever comes from a text is set
// as text, never as HTML.

export const $ = (id) => document.getElementById(id);

export const facts = JSON.parse($("facts").textContent);

export const DECIDED = { keep: "kept", drop: "dropped", edit: "edited", star: "starred", conflict: "people differ", open: "" };

// Where a text of the pool stands.
export const PLACES = { waiting: "in the pool", withdrawn: "taken out of the pool", "": "not in the pool yet" };

export async function send(path, body) {
  const options = body === undefined ? {} : {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Review-Token": facts.token },
    body: JSON.stringify(body),
  };
  let answer;
  try {
    answer = await fetch(path, { cache: "no-store", credentials: "same-origin", ...options });
  } catch {
    throw new Error("Not saved: the program has ended. Start `deepproverbs review` again and open the address that it prints; what you decided before is kept.");
  }
  const said = answer.headers.get("Content-Type").startsWith("application/json") ? await answer.json() : { error: await answer.text() };
  if (!answer.ok) throw new Error(said.error);
  return said;
}

// "1 text", "2,000 texts"
export function some(count, one, many) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

export function node(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

export function showLooks(looks) {
  $("looks").replaceChildren(...looks.map((look) => {
    const card = node("article", undefined, "look");
    const head = node("h3", look.place);
    const over = look.length > look.limit;
    head.append(node("span", `${look.length.toLocaleString("en")} of ${look.limit.toLocaleString("en")}`, over ? "number bad" : "number soft"));
    card.append(head, ...look.paragraphs.map((parts) => {
      const paragraph = node("p");
      paragraph.dir = "auto";
      paragraph.append(...parts.map(([kind, words]) => node("span", words, kind && "leads")));
      return paragraph;
    }));
    if (look.problem) card.append(node("p", `Would not be posted: it ${look.problem}.`, "bad"));
    return card;
  }));
}

const NAMES = { score: "how probable (at most 0)", nearest_ratio: "like an original", length: "characters" };

export function showNotes(text) {
  $("why").hidden = !text.names;
  $("why").querySelector("p").textContent = text.names ? text.why : "";
  $("said").hidden = !text.said.length;
  $("said").querySelector("ul").replaceChildren(...text.said.map((line) =>
    node("li", `${DECIDED[line.decision]}${line.by ? ` by ${line.by}` : ""}${line.edited ? `: ${line.edited}` : ""}`)));
  if (text.now !== text.text) $("said").querySelector("ul").append(node("li", `It was: ${text.text}`));
  $("nearest").replaceChildren(...(text.nearest ? relative(text.nearest, text.ratio) : [node("span", "nothing like it", "soft")]));
  $("scores").replaceChildren(...Object.entries(text.scores).flatMap(([name, value]) =>
    [node("dt", NAMES[name] ?? name.replaceAll("_", " ")), node("dd", value === null ? "unknown" : name === "nearest_ratio" ? `${value} %` : name === "score" ? value.toFixed(2) : value.toLocaleString("en"))]));
}

export function relative(text, ratio) {
  const words = node("span", text);
  words.dir = "auto";
  return [words, document.createTextNode(" "), node("span", `${Math.round(ratio)} %`, "percent")];
}
