// What the server of `dsrecords view` can do beside giving bytes: changes, undo, saved views, steps.

/** What the server says of itself; null where the page has none of ours. */
export async function askServer() {
  if (location.protocol === "file:") return null;
  const answer = await fetch("files.json").catch(() => null);
  const isOurs = answer?.ok && answer.headers.get("content-type")?.startsWith("application/json");
  return isOurs ? answer.json() : null;
}

/** The positions of the samples of a step. */
export async function stepOf(number) {
  const answer = await fetch(`steps/${number}.json`);
  if (!answer.ok) throw new Error(`there is no step ${number}`);
  return answer.json();
}

async function post(action, asked) {
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(action, { method: "POST", headers, body: JSON.stringify(asked), credentials: "same-origin" });
  if (answer.ok) return answer;
  const { error } = await answer.json().catch(() => ({ error: `the server answers ${answer.status}` }));
  throw new Error(error);
}

/**
 * Gives a field another value: `{ file, position, field, text, count }`; the text as it was typed, null for None; the count of
 * records that were seen. Returns what can be undone: `{ changes, next }`.
 */
export async function change(asked) {
  return (await post("change", asked)).json();
}

/** Undoes the last change. Returns what can be undone then. */
export async function undo() {
  return (await post("undo", {})).json();
}

/** The bytes of a saved view of some records. */
export async function viewOf(file, positions) {
  return (await post("view", { file, positions })).blob();
}
