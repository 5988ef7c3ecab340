// The first page: what the fleet runs over time, and what needs a person, each a link to where to act.

import { join } from "node:path";
import { expect, test } from "../fixtures.ts";
import { card, expectAccessible, expectNoSidewaysScroll, heading, hydrated, open } from "../pages.ts";

/** The fleet is counted when the server has run for some seconds. */
const COUNTED = { timeout: 30_000 };

test("versions are drawn over time, with the same numbers as a table", async ({ page, simulate, token, unique }) => {
  await simulate({ prefix: unique, devices: 4, models: [`${unique}model`], token });
  await page.clock.install();
  await open(page, "/");
  const timeline = card(page, "Versions over time");
  // The page asks anew by itself.
  await expect(async () => {
    await page.clock.runFor(16_000);
    await expect(timeline.getByRole("img", { name: /Devices by version; at last .*\d on 1\.0\.0/ })).toBeVisible({ timeout: 1000 });
  }).toPass(COUNTED);
  await expect(timeline.getByRole("list", { name: "Devices now" })).toContainText("1.0.0");
  await timeline.getByText("As a table").click();
  await expect(timeline.getByRole("columnheader", { name: "1.0.0" })).toBeVisible();
  await timeline.getByRole("link", { name: "week" }).click();
  await expect(page).toHaveURL(/\?span=week$/);
  await expect(timeline.getByRole("link", { name: "week" })).toHaveAttribute("aria-current", "true");
  await expect(timeline).toContainText("7 d ago");
  const minute = page.getByRole("group", { name: "The fleet in numbers" });
  await expect(minute).toContainText("Check-ins a minute");
});

test("what needs a person is named, and leads to where to act", async ({ page, api, publisher, simulate, token, unique }) => {
  await open(page, "/");
  const tasks = card(page, "What needs you");
  await simulate({ prefix: `new-${unique}`, devices: 1, models: [`${unique}pending`] });
  // Without a word to the page: it hears of it.
  await expect(tasks).toContainText("to be accepted.");
  await simulate({ prefix: unique, devices: 3, models: [`${unique}model`], token, fail: 3 });
  const release = await publisher.publish({ version: `1.1.0-${unique}x`, models: [`${unique}model`] });
  const gate = { soak_sec: 0, max_failure_rate: 10, min_finished: 2 };
  const phases = [{ name: "all", scope: { kind: "share" as const, share: 100 }, gate }];
  const { id } = await api.createRollout({ name: `${unique}June`, release, phases });
  await expect.poll(async () => (await api.rollout(id)).state).toBe("paused");
  await expect(tasks.getByRole("listitem").filter({ hasText: `${unique}June` }).first()).toContainText("is paused: ");
  await expect(tasks).toContainText("failed at the newest update.");
  await expect(tasks).toContainText("once");
  for (const [colorScheme, width] of [["light", 1440], ["dark", 1440], ["light", 768], ["dark", 360], ["light", 360]] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.setViewportSize({ width, height: 900 });
    await expectNoSidewaysScroll(page);
    await expectAccessible(page, `${colorScheme} ${width}`);
    if (process.env.OTTER_PICTURES) {
      await page.screenshot({ path: join(process.env.OTTER_PICTURES, `tasks-${colorScheme}-${width}.png`), fullPage: true });
    }
  }
  await page.setViewportSize({ width: 1440, height: 900 });
  await tasks.getByRole("link", { name: `${unique}June` }).click();
  await expect(heading(page)).toHaveText(`${unique}June`);
  await open(page, "/");
  await tasks.getByRole("link", { name: /devices?$/ }).first().click();
  await hydrated(page);
  await expect(heading(page)).toHaveText("Devices");
  await expect(page).toHaveURL(/state=pending/);
});
