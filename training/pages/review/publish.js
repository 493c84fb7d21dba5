// The box that publishes: what it would do, asked when it opens, and what it did.
import { $, node, send, some } from "./show.js";

let done = () => {}; // is told the counts after a publication

function plan({ new: come, out, back, there, counts, held }) {
  const decided = counts.all.total - counts.all.open - counts.all.conflict;
  const waits = held ? counts.pool.unread : 0;
  const lines = [
    come && `${some(come, "text comes", "texts come")} into the pool.`,
    out && `${some(out, "text is", "texts are")} taken out of it.`,
    back && `${some(back, "text", "texts")} taken out before may be posted again.`,
    there && `${some(there, "text", "texts")} that you kept, starred or edited ${there === 1 ? "is" : "are"} there already.`,
    counts.all.conflict && `People differ about ${some(counts.all.conflict, "text: it waits", "texts: they wait")} for a decision.`,
  ].filter(Boolean);
  const nothing = !(come || out || back);
  if (nothing) lines.unshift(decided || there ? "Nothing is left to publish: the pool has all that you decided." : "Nothing has been decided yet.");
  $("publish-what").replaceChildren(...lines.map((line) => node("p", line)));
  $("publish-rest").hidden = !waits;
  $("publish-rest").querySelector("span").textContent = `and ${some(waits, "text that nobody has read and that is", "texts that nobody has read and that are")} not in the pool yet`;
  $("publish-now").hidden = nothing && !waits;
}

async function open() {
  $("publish-what").replaceChildren(node("p", "A moment …", "soft"));
  $("publish-said").replaceChildren();
  $("publish-rest").hidden = $("publish-now").hidden = true;
  $("publish-now").textContent = "Publish";
  $("unread").checked = false;
  $("publish-box").showModal();
  try {
    plan(await send("pending"));
  } catch (error) {
    $("publish-what").replaceChildren(node("p", error.message, "bad"));
  }
}

async function publish() {
  $("publish-now").disabled = true;
  $("publish-said").replaceChildren(node("p", "A moment …", "soft"));
  try {
    const { said, counts } = await send("publish", { unread: $("unread").checked });
    $("publish-said").replaceChildren(...said.map((sentence) => node("p", sentence)));
    $("publish-what").replaceChildren(node("p", "Done."));
    $("publish-now").hidden = $("publish-rest").hidden = true;
    done(counts);
  } catch (error) {
    $("publish-said").replaceChildren(node("p", error.message, "bad"));
    $("publish-now").textContent = "Try again";
  } finally {
    $("publish-now").disabled = false;
  }
}

export function prepare(after) {
  done = after;
  $("publish").addEventListener("click", open);
  $("publish-now").addEventListener("click", publish);
}
