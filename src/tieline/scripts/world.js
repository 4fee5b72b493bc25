"use strict";

(() => {
  const ask = globalThis.__host;
  delete globalThis.__host;

  // Taken now, so that a script that changes its own world still has one that works.
  const { parse, stringify } = JSON;
  const evaluate = eval;
  const after = Promise.prototype.then;
  const bound = (method) => Function.prototype.call.bind(method);
  const [slice, upper, lower, wellFormed] = ["slice", "toUpperCase", "toLowerCase", "toWellFormed"].map((name) =>
    bound(String.prototype[name]),
  );
  const { create, entries, freeze, defineProperty, setPrototypeOf } = Object;
  const kindOf = bound(Object.prototype.toString);
  const { isArray } = Array;

  const LONGEST_LINE = 64 * 1024;
  const ALGORITHMS = ["sha256", "sha1", "md5"];

  const bare = (object) => setPrototypeOf(object, null);
  const text = (value) => wellFormed(String(value));

  const fail = (message, kind = Error) => {
    throw new kind(message);
  };

  // What is asked is not to look different for what a script has done to the prototypes of objects.
  const host = (name, given) => {
    const answer = parse(ask(name, stringify(bare(given))));
    return answer.error === null ? answer.value : fail(answer.error);
  };

  const define = (name, value) =>
    defineProperty(globalThis, name, { value, configurable: true, enumerable: false, writable: true });

  const written = (value) => {
    if (typeof value !== "object" || value === null) return String(value);
    return value instanceof Error ? `${value}\n${value.stack}` : (stringify(value) ?? String(value));
  };
  // Circles, for example, cannot be written.
  const shown = (value) => {
    try {
      return written(value);
    } catch {
      return kindOf(value);
    }
  };

  const log = (...values) => {
    let line = "";
    for (let index = 0; index < values.length && line.length <= LONGEST_LINE; index++) {
      line += (index ? " " : "") + shown(values[index]);
    }
    const kept = line.length > LONGEST_LINE ? `${slice(line, 0, LONGEST_LINE)} ... (cut)` : line;
    host("log", { text: wellFormed(kept) });
  };

  define("console", { log, info: log, warn: log, error: log, debug: log });

  class Headers {
    #values = create(null);

    constructor(values) {
      for (const [name, value] of entries(values)) this.#values[name] = value;
    }
    get(name) {
      return this.#values[lower(String(name))] ?? null;
    }
    has(name) {
      return this.get(name) !== null;
    }
    forEach(action) {
      for (const [name, value] of this) action(value, name, this);
    }
    entries() {
      return entries(this.#values)[Symbol.iterator]();
    }
    [Symbol.iterator]() {
      return this.entries();
    }
    toJSON() {
      return { ...this.#values };
    }
  }

  const headersOf = (given, body) => {
    const headers = create(null);
    const pairs = given == null ? [] : isArray(given) || given instanceof Headers ? given : entries(given);
    for (const [name, value] of pairs) headers[lower(text(name))] = text(value);
    if (body !== null && headers["content-type"] === undefined) headers["content-type"] = "text/plain;charset=UTF-8";
    return headers;
  };

  const fetch = (resource, options) => {
    const { method = "GET", headers, body } = options ?? {};
    const sent = body == null ? null : text(body);
    const verb = upper(text(method));
    if (sent !== null && (verb === "GET" || verb === "HEAD")) {
      fail(`fetch: a ${verb} request has no body`, TypeError);
    }
    const request = { url: text(resource), method: verb, headers: headersOf(headers, sent), body: sent };
    const answer = host("fetch", request);
    const read = { text: () => answer.text, json: () => parse(answer.text) };
    return {
      ok: answer.status >= 200 && answer.status < 300,
      status: answer.status,
      statusText: answer.reason,
      headers: new Headers(answer.headers),
      body: { ...read },
      ...read,
    };
  };
  define("fetch", fetch);

  const storage = freeze({
    get: (key) => host("get", { key: text(key) }),
    set: (key, value) => void host("set", { key: text(key), value: text(value) }),
    remove: (key) => void host("remove", { key: text(key) }),
    clear: () => void host("clear", {}),
  });

  const require = (name) =>
    name === "storage" ? storage : fail(`require: there is no module "${name}", only "storage"`);
  define("require", require);

  const createHmac = (algorithm, key) => {
    const known = lower(text(algorithm));
    const parts = [];
    if (!ALGORITHMS.includes(known)) {
      fail(`crypto.createHmac: "${algorithm}" is not known, only ${ALGORITHMS.join(", ")} are`);
    }
    const secret = text(key);
    const hmac = {
      update(data) {
        parts.push(text(data));
        return hmac;
      },
      digest(encoding) {
        const form = text(encoding ?? "");
        if (!["hex", "base64", ""].includes(form)) fail(`digest: "${form}" is not known, only hex, base64 and "" are`);
        return host("hmac", { algorithm: known, key: secret, parts: bare([...parts]), encoding: form });
      },
    };
    return hmac;
  };
  define("crypto", { createHmac });

  // The engine's own numbers would be the same in every run, since every run is a copy of one engine.
  Math.random = () => host("random", {});

  let rejection = null;

  globalThis.__run = (source, world) => {
    const { activity, project, variables } = parse(world);
    define("activity", activity);
    define("project", project);
    define("variables", variables);
    const result = evaluate(source);
    if (result instanceof Promise) {
      after.call(result, undefined, (reason) => {
        rejection = { reason };
      });
    }
  };

  globalThis.__finish = () => {
    if (rejection !== null) throw rejection.reason;
  };

  // Parsed whole before its first statement runs, which ends it.
  globalThis.__parse = (source) => {
    // A strict script is parsed as one only if its directive stays in front.
    const directive = /^(?:\s|\/\/.*|\/\*[^]*?\*\/)*(["'])use strict\1/.test(source) ? '"use strict";' : "";
    try {
      evaluate(`${directive}throw null;${source.replace(/^#!/, "//")}`);
    } catch (error) {
      if (error !== null) throw error;
    }
  };
})();
