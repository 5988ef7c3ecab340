// What every end-to-end test gets: a server for its worker, somebody logged in, a publisher, simulated devices, and a page
// that fails the test when its console has errors.

import { test as base, expect, type Page } from "@playwright/test";
import { Api } from "./api.ts";
import { Devices, type Orders } from "./devices.ts";
import { logIn } from "./pages.ts";
import { Publisher } from "./publisher.ts";
import { type Person, Server } from "./server.ts";

type TestFixtures = {
  /** Messages of the console and of uncaught errors that fail the test; a test that provokes one empties it. */
  complaints: string[];
  /** A word that no other test has in its names: everything that a test makes begins with it. */
  unique: string;
  /** Runs simulated devices until the test ends, and waits until all are let in, or wait to be. */
  simulate: (orders: Orders) => Promise<void>;
};

type WorkerFixtures = {
  /** The worker's server. */
  server: Server;
  /** Its admin API. */
  api: Api;
  /** An admin with an account on it. */
  person: Person;
  /** The admin's session, as the browser keeps it. */
  session: Awaited<ReturnType<typeof session>>;
  /** The publisher whose keys its devices trust. */
  publisher: Publisher;
  /** Lets devices in. */
  token: string;
};

let made = 0;

export const test = base.extend<TestFixtures, WorkerFixtures>({
  server: [
    async ({}, use) => {
      const server = await Server.start();
      await use(server);
      await server.stop();
    },
    { scope: "worker", timeout: 60_000 },
  ],
  api: [({ server }, use) => use(new Api(server)), { scope: "worker" }],
  person: [async ({ server }, use) => use(await server.addPerson("ada", "admin")), { scope: "worker" }],
  session: [
    async ({ browser, server, person }, use) => {
      const page = await browser.newPage({ baseURL: server.url });
      await logIn(page, person);
      const state = await session(page);
      await page.close();
      await use(state);
    },
    { scope: "worker" },
  ],
  publisher: [async ({ server }, use) => use(await Publisher.setUp(server)), { scope: "worker" }],
  token: [async ({ api }, use) => use(await api.enrollmentToken("simulated devices")), { scope: "worker" }],
  baseURL: ({ server }, use) => use(server.url),
  storageState: ({ session }, use) => use(session),
  unique: async ({}, use, { titlePath }) => {
    const file = titlePath[0]?.split("/").at(-1)?.split(".")[0] ?? "test";
    made += 1;
    await use(`${file}${made}-`);
  },
  simulate: async ({ server, api }, use) => {
    const running: Devices[] = [];
    await use(async (orders) => {
      const devices = await Devices.start(server, orders);
      running.push(devices);
      await everybodyIsThere(api, devices, orders);
    });
    await Promise.all(running.map((devices) => devices.stop()));
  },
  complaints: [
    async ({ page }, use) => {
      const complaints = listen(page);
      await use(complaints);
      expect(complaints, "errors in the browser's console").toEqual([]);
    },
    { auto: true },
  ],
});

export { expect };

/** Gathers what a page complains about. */
export function listen(page: Page): string[] {
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(`uncaught: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error" || /hydration|panicked/i.test(message.text())) {
      complaints.push(`${message.type()}: ${message.text()} (${message.location().url})`);
    }
  });
  return complaints;
}

/** Waits until all devices have enrolled. */
export async function everybodyIsThere(api: Api, devices: Devices, orders: Orders): Promise<void> {
  const there = async () => {
    await devices.ensureRunning();
    const found = await api.devices(orders.prefix);
    return found.filter(({ id }) => id.startsWith(orders.prefix)).length;
  };
  await expect.poll(there, { message: "devices that have enrolled" }).toBe(orders.devices);
}

function session(page: Page) {
  return page.context().storageState();
}
