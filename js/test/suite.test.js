// All of tests/golden/, on both levels; with DSRECORDS_GOLDEN its folder.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";

import { checkCase } from "./suite.js";

const GOLDEN = process.env.DSRECORDS_GOLDEN ?? join(import.meta.dirname, "../../tests/golden");
const { cases } = JSON.parse(readFileSync(join(GOLDEN, "manifest.json"), "utf8"));
const fileOf = (name) => new Uint8Array(readFileSync(join(GOLDEN, name)));

for (const one of cases) test(one.name, () => checkCase(assert, one, fileOf));
