// The programs that `cargo xtask build` made, and how tests run them.

import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const STOP_MS = 10_000;

/** A program's path: from the environment, else the one in the target folder. */
export function program(variable: string, name: string): string {
  return process.env[variable] ?? fileURLToPath(new URL(`../target/debug/${name}`, import.meta.url));
}

/** This environment without what would set Otter's programs up in another way than the tests do. */
export function environment(added: Record<string, string>): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(OTTER_|OTA_|DATABASE_URL$)/.test(name));
  return { ...Object.fromEntries(inherited), ...added };
}

/** Runs a program to its end and returns what it printed; throws with all that it said where it fails. */
export function run(command: string, args: string[], options: SpawnOptions, input = ""): Promise<string> {
  return new Promise((done, failed) => {
    const child = spawn(command, args, { ...options, stdio: "pipe" });
    let [output, said] = ["", ""];
    child.stdout?.on("data", (data) => ((output += data), (said += data)));
    child.stderr?.on("data", (data) => (said += data));
    child.once("error", failed);
    child.once("close", (code) => {
      if (code === 0) done(output);
      else failed(new Error(`${command} ${args.join(" ")} ended with ${code}:\n${said}`));
    });
    child.stdin?.on("error", () => undefined); // It may end without having read anything.
    child.stdin?.end(input);
  });
}

/** Asks a program to end, and ends it where it doesn't. */
export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const ended = new Promise((done) => child.once("exit", done));
  child.kill("SIGTERM");
  const patience = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
  await ended;
  clearTimeout(patience);
}
