// Where a text stops being JSON. Browsers tell it in words of their own, and not always where. No DOM here.

/** The first fault of a text as `{at, line, column, message}`; undefined when it is JSON. */
export function jsonFault(text) {
  try {
    JSON.parse(text);
    return undefined;
  } catch {
    const { at, message } = scan(text);
    const before = text.slice(0, at).split('\n');
    return { at, line: before.length, column: before.at(-1).length + 1, message };
  }
}

/** Reads JSON by its grammar as far as it goes. */
function scan(text) {
  let at = 0;
  const stop = (message, where = at) => {
    throw new Stop(where, where >= text.length ? `${message}, but the text ends` : message);
  };
  const skip = () => (at += /^[ \t\r\n]*/.exec(text.slice(at))[0].length);
  const take = (pattern) => {
    const found = pattern.exec(text.slice(at))?.[0];
    at += found?.length ?? 0;
    return found !== undefined;
  };
  const many = (close, one) => {
    at += 1;
    skip();
    if (text[at] === close) return void (at += 1);
    for (;;) {
      one();
      skip();
      if (text[at] === close) return void (at += 1);
      if (text[at] !== ',') stop(`expected a comma or ${close}`);
      const comma = at;
      at += 1;
      skip();
      if (text[at] === close) stop('a comma too many', comma);
    }
  };
  const string = (what) => {
    if (text[at] === "'") stop('expected double quotes');
    if (text[at] !== '"') stop(`expected ${what}`);
    const start = at;
    if (!take(STRING)) stop('a text that does not end, or has a stray backslash or line break', start);
  };
  const value = () => {
    skip();
    if (text[at] === '{') {
      many('}', () => {
        string('a name in double quotes');
        skip();
        if (text[at] !== ':') stop('expected a colon');
        at += 1;
        value();
      });
    } else if (text[at] === '[') many(']', value);
    else if (text[at] === '"') string('a text');
    else if (!take(/^(true|false|null)\b/) && !take(/^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?(?![\w.])/)) {
      stop(text[at] === "'" ? 'expected double quotes' : 'expected a value');
    }
  };
  try {
    value();
    skip();
    stop('nothing may follow here');
  } catch (fault) {
    if (!(fault instanceof Stop)) throw fault;
    return fault;
  }
}

/** Ends the reading at a fault. */
class Stop {
  constructor(at, message) {
    this.at = at;
    this.message = message;
  }
}

const STRING = /^"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/;
