// The audit log: by who, what and when, its chain, and as a file.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "../fixtures.ts";
import { expectAccessible, expectNoSidewaysScroll, hydrated, open } from "../pages.ts";

test("events are found by time, and what is shown is what a file has", async ({ page, api, unique }) => {
  await api.enrollmentToken(`${unique}one`);
  await open(page, "/audit?action=enrollment_token.create");
  const events = page.getByRole("list", { name: "Events" }).getByRole("listitem");
  await expect(events.first()).toContainText("enrollment_token.create");
  const count = await events.count();
  const today = new Date().toISOString().slice(0, 10);
  await page.getByLabel("From (UTC)").fill(`${today}T00:00`);
  await page.getByRole("button", { name: "Filter" }).click();
  await expect(page).toHaveURL(/from=\d{4}-\d\d-\d\dT00%3A00/);
  await expect(events).toHaveCount(count);

  const saved = async (name: string): Promise<string> => {
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name }).click()]);
    return readFile(await download.path(), "utf8");
  };
  const csv = (await saved("Export CSV")).trim().split("\r\n");
  expect(csv[0]).toContain("sequence,at,actor,action");
  expect(csv.length).toBe(count + 1);
  const json = JSON.parse(await saved("Export JSON"));
  expect(json.events.length).toBe(count);
  expect(json.head.hash).toMatch(/^[0-9a-f]{64}$/);

  await page.getByLabel("Until (UTC)").fill(`${today}T00:00`);
  await page.getByRole("button", { name: "Filter" }).click();
  await expect(page.getByRole("heading", { name: "No events" })).toBeVisible();
});

test("the chain is checked by one button", async ({ page }) => {
  await open(page, "/audit");
  await page.getByRole("button", { name: "Verify chain" }).click();
  await expect(page.getByRole("status").filter({ hasText: "The chain is whole." })).toBeVisible();
});

test("the page is accessible, wide and narrow, light and dark", async ({ page, unique }) => {
  await open(page, "/audit?from=2020-01-01T00:00");
  await hydrated(page);
  for (const [colorScheme, width] of [["light", 1440], ["dark", 1440], ["light", 768], ["light", 360], ["dark", 360]] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.setViewportSize({ width, height: 900 });
    await expectNoSidewaysScroll(page);
    await expectAccessible(page, `${colorScheme} ${width} ${unique}`);
    if (process.env.OTTER_PICTURES) {
      await page.screenshot({ path: join(process.env.OTTER_PICTURES, `audit-${colorScheme}-${width}.png`) });
    }
  }
});
