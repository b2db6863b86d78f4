// Conditions on the numbers of a record: `label == 3 and (score > 0.5 or kind in ["cat", "dog"])`. Nothing is evaluated as code.

const TOKEN = /\s*(?:(-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|("(?:[^"\\]|\\.)*"|'[^']*')|(==|!=|<=|>=|<|>|[()[\],])|([\p{L}_][\p{L}\p{N}_.]*)|\x60([^\x60]+)\x60)/uy; // \x60: a grave accent
const COMPARE = {
  "==": (one, other) => one === other,
  "!=": (one, other) => one !== other,
  "<": (one, other) => one < other,
  "<=": (one, other) => one <= other,
  ">": (one, other) => one > other,
  ">=": (one, other) => one >= other,
};
const WORDS = { true: true, false: false, null: null, None: null, True: true, False: false };

/** A condition that cannot be read: why, in words. */
export class ConditionError extends Error {
  name = "ConditionError";
}

/**
 * What a condition means: `{ names, test }`. `names`: the fields that it needs. `test(values)`: whether values, in the order of
 * the names, fulfil it.
 */
export function parseCondition(text, fields) {
  const parser = new Parser(text, fields);
  const test = parser.either();
  if (parser.token !== null) throw new ConditionError(`not understood from ${parser.token.text} on`);
  return { names: parser.names, test };
}

class Parser {
  constructor(text, fields) {
    this.text = text;
    this.fields = fields;
    this.names = [];
    this.at = 0;
    this.next();
  }

  next() {
    this.token = null;
    if (this.text.slice(this.at).trim() === "") return;
    TOKEN.lastIndex = this.at;
    const found = TOKEN.exec(this.text);
    if (found === null) throw new ConditionError(`not understood: ${this.text.slice(this.at)}`);
    this.at = TOKEN.lastIndex;
    const [text, number, string, sign, word, quoted] = found;
    this.token = { text: text.trim(), number, string, sign, word, quoted };
  }

  takes(text) {
    if (this.token === null || this.token.text !== text) return false;
    this.next();
    return true;
  }

  expect(text) {
    if (!this.takes(text)) throw new ConditionError(`${text} is missing`);
  }

  either() {
    let left = this.both();
    while (this.takes("or")) {
      const [one, other] = [left, this.both()];
      left = (values) => one(values) || other(values);
    }
    return left;
  }

  both() {
    let left = this.not();
    while (this.takes("and")) {
      const [one, other] = [left, this.not()];
      left = (values) => one(values) && other(values);
    }
    return left;
  }

  not() {
    if (this.takes("not")) {
      const inner = this.not();
      return (values) => !inner(values);
    }
    if (this.takes("(")) {
      const inner = this.either();
      this.expect(")");
      return inner;
    }
    return this.comparison();
  }

  comparison() {
    const k = this.field();
    if (this.takes("in")) return this.membership(k);
    const compare = COMPARE[this.token?.sign ?? ""];
    if (compare === undefined) return (values) => values[k] === true;
    this.next();
    const wanted = this.literal();
    return (values) => compare(values[k], wanted);
  }

  membership(k) {
    this.expect("[");
    const wanted = [];
    do wanted.push(this.literal());
    while (this.takes(","));
    this.expect("]");
    return (values) => wanted.includes(values[k]);
  }

  field() {
    const name = this.token?.quoted ?? this.token?.word;
    if (name === undefined) throw new ConditionError("a name of a field is missing");
    if (!this.fields.includes(name)) {
      throw new ConditionError(`no field ${name} that has numbers: there are ${this.fields.join(", ") || "none"}`);
    }
    this.next();
    if (!this.names.includes(name)) this.names.push(name);
    return this.names.indexOf(name);
  }

  literal() {
    const { number, string, word } = this.token ?? {};
    if (number !== undefined) return this.take(Number(number));
    if (string !== undefined) return this.take(string[0] === '"' ? JSON.parse(string) : string.slice(1, -1));
    if (Object.hasOwn(WORDS, word ?? "")) return this.take(WORDS[word]);
    throw new ConditionError("a number or a text in quotes is missing");
  }

  take(value) {
    this.next();
    return value;
  }
}
