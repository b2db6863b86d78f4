// JSON as the format has it: in UTF-8, and no object has the same key twice.

const TOKENS = /"(?:[^"\\]|\\.)*"(?=(\s*:)?)|[{}[\]]/gs;

/** The value of JSON in bytes. Throws SyntaxError or TypeError. */
export function parseJson(bytes) {
  const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  const value = JSON.parse(text);
  const open = [];
  for (const [token, colon] of text.matchAll(TOKENS)) {
    if (token === "{" || token === "[") open.push(new Set());
    else if (token === "}" || token === "]") open.pop();
    else if (colon !== undefined) {
      const keys = open[open.length - 1];
      const key = JSON.parse(token);
      if (keys.has(key)) throw new SyntaxError(`the key ${token} occurs twice`);
      keys.add(key);
    }
  }
  return value;
}

export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
