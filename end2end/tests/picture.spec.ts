// The picture of the dashboard that the README shows: OTTER_PICTURE says where it goes.

import { expect, test as base } from "../fixtures.ts";
import { Api } from "../api.ts";
import { Devices } from "../devices.ts";
import { logIn } from "../pages.ts";
import { Publisher } from "../publisher.ts";
import { Server } from "../server.ts";

const MODELS = ["camera", "pump", "thermostat"];
const DEVICES = 120;

/** A server of its own, so that the picture shows this fleet alone. */
const test = base.extend<{ fresh: Server }>({
  fresh: async ({}, use) => {
    const fresh = await Server.start();
    await use(fresh);
    await fresh.stop();
  },
  baseURL: ({ fresh }, use) => use(fresh.url),
  storageState: undefined,
});

/** A phase that allows few failures. */
const phase = (name: string, share: number, soak_sec: number) => ({
  name,
  scope: { kind: "share" as const, share },
  gate: { soak_sec, max_failure_rate: 25 },
});

test("the overview shows a rollout on its way, phase by phase", async ({ page, fresh }) => {
  const [api, publisher, person] = [new Api(fresh), await Publisher.setUp(fresh), await fresh.addPerson("ada", "admin")];
  const token = await api.enrollmentToken("factory");
  const devices = await Devices.start(fresh, { prefix: "site-", devices: DEVICES, models: MODELS, token, fail: 2 });
  try {
    await expect.poll(async () => (await api.devices("site-")).length).toBe(DEVICES);
    const release = await publisher.publish({ version: "1.1.0", models: MODELS, notes: "Sensors wake up faster." });
    const steps = [phase("canary", 5, 0), phase("pilot", 50, 0), phase("everyone", 100, 3600)];
    const { id } = await api.createRollout({ name: "June update", release, phases: steps, max_in_flight: 12 });

    await logIn(page, person);
    const succeeded = async () => (await api.rollout(id)).total.succeeded;
    await expect.poll(succeeded, { timeout: 40_000, intervals: [100] }).toBeGreaterThan(80);
    // The page follows by itself, as the devices finish.
    const phases = page.getByRole("article", { name: "June update" }).locator("li.phase");
    await expect(phases.first()).toHaveAttribute("data-state", "done");
    await expect(phases.nth(2)).toHaveAttribute("data-state", "active");
    await page.screenshot({ animations: "disabled", path: process.env.OTTER_PICTURE ?? "test-results/dashboard.png" });
  } finally {
    await devices.stop();
  }
});
