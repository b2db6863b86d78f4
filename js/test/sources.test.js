// Where bytes come from: URLs with and without ranges, blobs, paths.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import test from "node:test";

import { CorruptError, SchemaError, StaleViewError, indexBeside, open } from "../dsrecords.js";

const GOLDEN = process.env.DSRECORDS_GOLDEN ?? join(import.meta.dirname, "../../tests/golden");
const fileOf = (name) => readFileSync(join(GOLDEN, name));

/** Serves files by their names; `answer` may change what is sent. Returns its URL; it stops after the test. */
async function served(t, files, answer = () => {}) {
  const asked = [];
  const server = createServer((request, response) => {
    const name = decodeURIComponent(new URL(request.url, "http://x").pathname.slice(1));
    const bytes = files[name];
    asked.push({ name, range: request.headers.range, method: request.method });
    const sent = { status: 206, body: bytes, headers: {} };
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
    if (bytes === undefined) sent.status = 404;
    else if (range === null) sent.status = 200;
    else if (Number(range[1]) >= bytes.length) sent.status = 416;
    else {
      const stop = Math.min(Number(range[2]) + 1, bytes.length);
      sent.body = bytes.subarray(Number(range[1]), stop);
      sent.headers["content-range"] = `bytes ${range[1]}-${stop - 1}/${bytes.length}`;
    }
    answer(sent, { name, bytes, count: asked.length });
    sent.headers["content-length"] = sent.body?.length ?? 0;
    response.writeHead(sent.status, sent.headers).end(request.method === "HEAD" ? undefined : sent.body);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  return { url: `http://127.0.0.1:${server.address().port}`, asked };
}

async function labelsOf(dataset) {
  const { label } = await dataset.batch([...Array(dataset.count).keys()], ["label"]);
  return label;
}

const wanted = await labelsOf(await open(fileOf("update.rec"), { idx: fileOf("update.idx") }));

test("a dataset behind a URL is read by ranges, its index found beside it", async (t) => {
  const { url, asked } = await served(t, { "update.rec": fileOf("update.rec"), "update.idx": fileOf("update.idx") });
  const dataset = await open(`${url}/update.rec?key=1`);
  assert.deepEqual(await labelsOf(dataset), wanted);
  assert.deepEqual(dataset.warnings, []);
  assert.ok(asked.every(({ range }) => range !== undefined));
  assert.deepEqual(new Set(asked.map(({ name }) => name)), new Set(["update.rec", "update.idx"]));
});

test("without an index the list is made from the log", async (t) => {
  const { url } = await served(t, { "update.rec": fileOf("update.rec") });
  assert.deepEqual(await labelsOf(await open(`${url}/update.rec`)), wanted);
});

test("a server that knows no ranges sends the whole file", async (t) => {
  const whole = (sent, { bytes }) => Object.assign(sent, bytes ? { status: 200, body: bytes, headers: {} } : {});
  const { url } = await served(t, { "update.rec": fileOf("update.rec") }, whole);
  assert.deepEqual(await labelsOf(await open(`${url}/update.rec`)), wanted);
});

function large() {
  const bytes = Buffer.alloc(200000);
  fileOf("texts.rec").copy(bytes);
  return bytes; // a torn tail of zeros
}

test("where content-range is hidden, the size is that of a HEAD request", async (t) => {
  const hidden = (sent) => delete sent.headers["content-range"];
  const { url, asked } = await served(t, { "large.rec": large() }, hidden);
  const dataset = await open(`${url}/large.rec`, { idx: null });
  assert.equal(dataset.count, 3);
  assert.ok(asked.some(({ method }) => method === "HEAD"));
});

test("a file that is replaced while it is read is told of", async (t) => {
  const versions = (sent, { count }) => (sent.headers.etag = count < 2 ? '"a"' : '"b"');
  const { url } = await served(t, { "large.rec": large() }, versions);
  await assert.rejects(open(`${url}/large.rec`, { idx: null }), StaleViewError);
});

test("an answer that is shorter than its range is an error", async (t) => {
  const cut = (sent, { count }) => count > 1 && (sent.body = sent.body.subarray(0, 10));
  const { url } = await served(t, { "large.rec": large() }, cut);
  await assert.rejects(open(`${url}/large.rec`, { idx: null }), CorruptError);
});

test("a missing file and a server's error are named", async (t) => {
  const { url } = await served(t, { "broken.rec": large() }, (sent) => sent.status === 206 && (sent.status = 500));
  await assert.rejects(open(`${url}/none.rec`), /none.rec: there is no such file/);
  await assert.rejects(open(`${url}/broken.rec`), /the server answers 500/);
});

test("an empty file is refused as such", async (t) => {
  const { url } = await served(t, { "empty.rec": Buffer.alloc(0) });
  await assert.rejects(open(`${url}/empty.rec`), /empty/);
});

test("a Blob, a path and bytes are read alike", async () => {
  for (const given of [new Blob([fileOf("update.rec")]), join(GOLDEN, "update.rec"), fileOf("update.rec").buffer]) {
    if (given instanceof ArrayBuffer) continue; // a Buffer may share its memory with others
    const dataset = await open(given, { idx: new Blob([fileOf("update.idx")]) });
    assert.deepEqual(await labelsOf(dataset), wanted);
    await dataset.close();
  }
  const dataset = await open(join(GOLDEN, "update.rec")); // with the index beside it
  assert.deepEqual([await labelsOf(dataset), dataset.warnings], [wanted, []]);
  await dataset.close();
});

test("a named index that is missing is an error, one that is beside is not", async () => {
  await assert.rejects(open(join(GOLDEN, "texts.rec"), { idx: join(GOLDEN, "none.idx") }), { code: "ENOENT" });
  const dataset = await open(join(GOLDEN, "texts.rec"));
  assert.equal(dataset.count, 3);
  await dataset.close();
});

test("an index is called as the file is", () => {
  assert.equal(indexBeside("a/data.rec"), "a/data.idx");
  assert.equal(indexBeside("a/data.v2"), "a/data.v2.idx");
  assert.equal(indexBeside("a/data"), "a/data.idx");
  assert.equal(indexBeside("http://h/a.rec?x=a.rec#f"), "http://h/a.idx?x=a.rec#f");
});

test("what is no dataset is refused", async () => {
  await assert.rejects(open(7), TypeError);
  await assert.rejects(open(new Blob(["PK\x03\x04"])), /not a DSRecords file/);
});

test("names and positions that are not there are named", async () => {
  const dataset = await open(fileOf("texts.rec"), { idx: null });
  await assert.rejects(dataset.get(0, ["none"]), SchemaError);
  await assert.rejects(dataset.get(3), RangeError);
  assert.deepEqual(await dataset.get(-1, ["str"]), { str: "eight by" });
});

test("many files are one", async () => {
  const parts = [fileOf("append.rec"), fileOf("extend.rec")];
  const dataset = await open(parts);
  const alone = await open(parts[1], { idx: null });
  assert.equal(dataset.count, 6);
  assert.deepEqual(await dataset.get(-1), await alone.get(-1));
  assert.deepEqual([...(await dataset.column("label"))].slice(3), [...(await alone.column("label"))]);
  assert.deepEqual((await dataset.batch([0, 4])).text.length, 2);
  await assert.rejects(dataset.get(6), RangeError);
  await assert.rejects(open([parts[0], fileOf("texts.rec")]), SchemaError);
});
