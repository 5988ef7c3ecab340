// The first minutes with a new server: the one-time link, the first account, and pages with nothing on them yet.

import { test as base, expect } from "../fixtures.ts";
import { card, expectAccessible, heading, open } from "../pages.ts";
import { Server } from "../server.ts";

/** A server that nobody has used. */
const test = base.extend<{ fresh: Server }>({
  fresh: async ({}, use) => {
    const fresh = await Server.start();
    await use(fresh);
    await fresh.stop();
  },
  baseURL: ({ fresh }, use) => use(fresh.url),
  storageState: undefined,
});

test("the one-time link makes the first account, which finds out what to do next", async ({ page, fresh }) => {
  await open(page, "/login");
  await expect(page.getByText("There is no account yet.")).toBeVisible();
  await expectAccessible(page, "login without an account");

  await open(page, await fresh.setUpLink());
  await expect(heading(page)).toHaveText("Set up");
  await expectAccessible(page, "set-up");
  await page.getByLabel("Name").fill("grace");
  await page.getByLabel("Password").fill("a long enough password");
  await page.getByRole("button", { name: "Make the account" }).click();
  await expect(heading(page)).toHaveText("Overview");
  await expect(page.getByText("No signing keys are set up yet.")).toBeVisible();

  const places = [
    ["Devices", "No devices yet"],
    ["Releases", "No releases yet"],
    ["Rollouts", "No rollouts yet"],
  ] as const;
  for (const [place, says] of places) {
    await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: place }).click();
    await expect(heading(page)).toHaveText(place);
    await expect(page.getByRole("heading", { name: says })).toBeVisible();
    await expectAccessible(page, `empty ${place}`);
  }
  await open(page, "/rollouts/new");
  await expect(page.getByRole("heading", { name: "No published release" })).toBeVisible();
  await expectAccessible(page, "a rollout of nothing");
  await open(page, "/settings");
  await expect(card(page, "Trust")).toContainText("Rootnone");
  await expectAccessible(page, "empty settings");
});

test("the one-time link works once", async ({ page, fresh, complaints }) => {
  const link = await fresh.setUpLink();
  await fresh.addPerson("grace", "admin");
  await open(page, link);
  await page.getByLabel("Name").fill("mallory");
  await page.getByLabel("Password").fill("a long enough password");
  await page.getByRole("button", { name: "Make the account" }).click();
  await expect(page.getByRole("alert")).toBeVisible();
  await expect(heading(page)).toHaveText("Set up");
  expect(complaints.splice(0).filter((line) => !/status of 4\d\d/.test(line))).toEqual([]);
});
