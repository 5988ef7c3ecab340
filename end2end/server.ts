// Starts the real otter-server on a free port, with its data in a folder of its own.

import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { openSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { environment, program, run, stop } from "./programs.ts";

const START_MS = 30_000;

/** Devices check in every second, so that no test waits for one. */
const QUICK = { OTTER_CHECK_IN_INTERVAL_SEC: "1", OTTER_BUSY_CHECK_IN_INTERVAL_SEC: "1" };

/** Somebody with an account. */
export type Person = { name: string; password: string };

/** A running server. */
export class Server {
  private constructor(
    readonly url: string,
    readonly folder: string,
    /** An admin's key. */
    readonly apiKey: string,
    private readonly environment: NodeJS.ProcessEnv,
    private readonly child: ChildProcess,
  ) {}

  /** Starts one and waits until it is healthy; `added` adds to its configuration. */
  static async start(added: Record<string, string> = {}): Promise<Server> {
    const folder = await mkdtemp(join(tmpdir(), "otter-end2end-"));
    const address = `127.0.0.1:${await freePort()}`;
    const apiKey = `otk_${randomBytes(32).toString("base64url")}`;
    const env = environment({
      OTTER_LISTEN: address,
      OTTER_DATA_DIR: join(folder, "data"),
      OTA_API_KEY: apiKey,
      ...QUICK,
      ...added,
    });
    const log = openSync(join(folder, "server.log"), "w");
    const child = spawn(program("OTTER_SERVER_BIN", "otter-server"), [], {
      cwd: folder,
      env,
      stdio: ["ignore", log, log],
    });
    const server = new Server(`http://${address}`, folder, apiKey, env, child);
    await server.becomesHealthy();
    return server;
  }

  private async becomesHealthy(): Promise<void> {
    let failure: Error | undefined;
    this.child.on("error", (error) => (failure = error));
    const deadline = Date.now() + START_MS;
    while (!(await healthy(this.url))) {
      if (failure || this.child.exitCode !== null || Date.now() > deadline) {
        const log = await this.log();
        await this.stop().catch(() => undefined);
        throw new Error(`otter-server did not become healthy: ${failure?.message ?? ""}\n${log}`);
      }
      await new Promise((next) => setTimeout(next, 50));
    }
  }

  /** Makes an account, as an operator does at the server's own machine. */
  async addPerson(name: string, role: string): Promise<Person> {
    const password = randomBytes(12).toString("hex");
    const options = { cwd: this.folder, env: this.environment };
    await run(program("OTTER_SERVER_BIN", "otter-server"), ["user", "add", "--role", role, name], options, `${password}\n`);
    return { name, password };
  }

  /** The one-time link with which the first account is made. */
  async setUpLink(): Promise<string> {
    return (await readFile(join(this.folder, "data/setup-link"), "utf8")).trim();
  }

  /** What it has logged so far. */
  log(): Promise<string> {
    return readFile(join(this.folder, "server.log"), "utf8");
  }

  /** Stops it and deletes its data; throws with its last words where it had ended by itself. */
  async stop(): Promise<void> {
    const { exitCode, signalCode } = this.child;
    const log = (await this.log()).slice(-4000);
    await stop(this.child);
    await rm(this.folder, { recursive: true, force: true });
    if (exitCode !== null || signalCode !== null) {
      throw new Error(`otter-server ended by itself (${exitCode ?? signalCode}):\n${log}`);
    }
  }
}

async function healthy(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/health`)).ok;
  } catch {
    return false;
  }
}

/** A port of 127.0.0.1 that nobody listens on at this moment. */
export function freePort(): Promise<number> {
  return new Promise((found, failed) => {
    const listener = createServer();
    listener.once("error", failed);
    listener.listen(0, "127.0.0.1", () => {
      const address = listener.address();
      const port = typeof address === "object" && address ? address.port : 0;
      listener.close(() => found(port));
    });
  });
}
