// Starts `tieline serve` before the tests and stops it after them. The tests get its address by inject("tieline").

import { spawn } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const TOKEN = "a-token-that-only-these-tests-know";

export default async function setup(project) {
  const folder = mkdtempSync(join(tmpdir(), "tieline-"));
  chmodSync(folder, 0o755); // PostgreSQL may have an account of its own.
  const server = spawn("tieline", ["serve", "--seed", "seed.yaml"], {
    cwd: import.meta.dirname,
    stdio: ["ignore", "pipe", "inherit"],
    env: {
      PATH: process.env.PATH,
      TIELINE_ADMIN_TOKEN: TOKEN,
      TIELINE_DATA: join(folder, "data"),
      TIELINE_DEVELOPMENT: "1",
      TIELINE_LISTEN: "127.0.0.1:0",
      TIELINE_LOG_LEVEL: "error",
    },
  });
  const ended = new Promise((resolve) => server.once("close", resolve));
  project.provide("tieline", { url: await readyAt(server), token: TOKEN });

  return async () => {
    server.kill();
    await ended;
    rmSync(folder, { recursive: true });
  };
}

async function readyAt(server) {
  for await (const line of createInterface({ input: server.stdout })) {
    const url = line.match(/is ready at (\S+)/)?.[1];
    if (url) return url;
  }
  throw new Error("tieline serve ended before it was ready");
}
