// Simulated devices: `otter simulate` speaks the real device API over HTTP.

import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { openSync } from "node:fs";
import { mkdtemp, readFile } from "node:fs/promises";
import { join } from "node:path";
import { environment, program, stop } from "./programs.ts";
import type { Server } from "./server.ts";

/** What is simulated. */
export type Orders = {
  /** How the ids begin; a number follows. */
  prefix: string;
  devices: number;
  models: string[];
  /** Lets them in at once; without it they wait to be accepted. */
  token?: string;
  /** How many of them fail every attempt and roll back. */
  fail?: number;
  /** Time that each of installing, rebooting and verifying takes. */
  step?: string;
  version?: string;
};

/** Simulated devices that run. */
export class Devices {
  private constructor(
    private readonly child: ChildProcess,
    private readonly logFile: string,
  ) {}

  static async start(server: Server, orders: Orders): Promise<Devices> {
    const folder = await mkdtemp(join(server.folder, "devices-"));
    const logFile = join(folder, "log");
    const log = openSync(logFile, "w");
    const args = ["simulate", "--json", "--devices", `${orders.devices}`, "--models", orders.models.join()];
    args.push("--id-prefix", orders.prefix, "--fail", `${orders.fail ?? 0}`, "--step", orders.step ?? "50ms", "--interval", "1s");
    args.push("--version", orders.version ?? "1.0.0");
    const token: Record<string, string> = orders.token ? { OTTER_ENROLLMENT_TOKEN: orders.token } : {};
    const child = spawn(program("OTTER_BIN", "otter"), args, {
      cwd: folder,
      env: environment({ OTTER_SERVER: server.url, ...token }),
      stdio: ["ignore", log, log],
    });
    return new Devices(child, logFile);
  }

  /** Throws with their last words where they have ended. */
  async ensureRunning(): Promise<void> {
    if (this.child.exitCode !== null) {
      throw new Error(`the simulated devices have ended: ${await readFile(this.logFile, "utf8")}`);
    }
  }

  stop(): Promise<void> {
    return stop(this.child);
  }
}

/** A device's fixed place between 0 and 100, as docs/DEVICES.md defines it: no salt, SHA-256 over a zero byte and the id. */
export function cohort(id: string): number {
  const hash = createHash("sha256").update(`\0${id}`).digest();
  return (Number(hash.readBigUInt64BE(0)) / 2 ** 64) * 100;
}
