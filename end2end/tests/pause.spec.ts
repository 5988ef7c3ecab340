// Pausing a rollout stops it, and resuming lets it go on.

import { expect, test } from "../fixtures.ts";
import { badge, card, heading, open } from "../pages.ts";

const DEVICES = 12;

test("a rollout that is paused stops, says why, and goes on when it is resumed", async ({ page, api, publisher, simulate, token, unique }) => {
  const models = [`${unique}model`];
  await simulate({ prefix: unique, devices: DEVICES, models, token, step: "200ms" });
  const release = await publisher.publish({ version: "1.1.0", models });
  const phases = [{ name: "everyone", scope: { kind: "share" as const, share: 100 } }];
  const { id } = await api.createRollout({ name: `${unique}slow`, release, phases, max_in_flight: 1 });

  await open(page, `/rollouts/${id}`);
  await expect(badge(page)).toHaveText("running");
  await expect(card(page, "Progress")).toContainText(/\d+ succeeded/);
  await page.getByLabel("Reason to pause").fill("the pumps are loud");
  await page.getByRole("button", { name: "Pause rollout" }).click();
  await expect(badge(page)).toHaveText("paused");
  await expect(page.getByText("the pumps are loud").first()).toBeVisible();

  // What was under way ends; then nothing more happens, though every device asks again.
  await expect(card(page, "Progress")).not.toContainText("under way");
  const stopped = (await api.rollout(id)).total;
  expect(stopped.succeeded).toBeGreaterThan(0);
  expect(stopped.succeeded).toBeLessThan(DEVICES);
  const since = Date.now();
  const asked = async () => (await api.devices(unique)).filter((device) => Date.parse(device.last_seen_at ?? "") > since).length;
  await expect.poll(asked, { message: "devices that have checked in since" }).toBe(DEVICES);
  expect((await api.rollout(id)).total).toEqual(stopped);
  await expect(card(page, "Progress")).toContainText(`${stopped.succeeded} succeeded`);

  const waiting = (await api.devices(unique)).find((device) => device.version === "1.0.0");
  await open(page, `/devices/${waiting?.id}`);
  await expect(heading(page)).toHaveText(waiting?.id ?? "");
  await expect(card(page, "Why is this device not updating?")).toContainText("It waits: the rollout is paused.");

  await open(page, `/rollouts/${id}`);
  await page.getByLabel("Reason to resume").fill("they are meant to be");
  await page.getByRole("button", { name: "Resume rollout" }).click();
  await expect(badge(page)).toHaveText(/running|completed/);
  await expect(badge(page)).toHaveText("completed", { timeout: 45_000 });
  await expect(card(page, "Progress")).toContainText(`${DEVICES} succeeded`);
});

test("a rollout that is aborted ends, and needs a reason for it", async ({ page, api, publisher, unique }) => {
  const release = await publisher.publish({ version: "1.1.0", models: [`${unique}model`] });
  const phases = [{ name: "everyone", scope: { kind: "share" as const, share: 100 }, gate: { soak_sec: 3600 } }];
  const { id } = await api.createRollout({ name: `${unique}gone`, release, phases });
  await open(page, `/rollouts/${id}`);
  await page.getByText("Abort this rollout").click();
  await page.getByRole("button", { name: "Abort rollout" }).click();
  await expect(badge(page), "without a reason the form stays").not.toHaveText("aborted");
  await page.getByLabel("Reason to abort").fill("the wrong release");
  await page.getByRole("button", { name: "Abort rollout" }).click();
  await expect(badge(page)).toHaveText("aborted");
  await expect(page.getByText("the wrong release")).toBeVisible();
  await expect(page.getByRole("button", { name: "Pause rollout" })).toHaveCount(0);
});
