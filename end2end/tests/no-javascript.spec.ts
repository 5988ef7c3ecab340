// Before the wasm is there, or without it, forms and links do the job.

import { expect, test } from "../fixtures.ts";
import { badge, card, heading } from "../pages.ts";

test.use({ javaScriptEnabled: false, storageState: undefined });

test("without JavaScript one logs in, finds a device, makes a rollout and pauses it", async ({ page, api, person, publisher, simulate, token, unique }) => {
  const models = [`${unique}model`];
  await simulate({ prefix: unique, devices: 2, models, token });
  await publisher.publish({ version: "1.1.0", models });

  await page.goto("/rollouts/new");
  await expect(heading(page)).toHaveText("Log in");
  await page.getByLabel("Name").fill(person.name);
  await page.getByLabel("Password").fill(person.password);
  await page.getByRole("button", { name: "Log in" }).click();

  await expect(heading(page)).toHaveText("New rollout");
  await page.getByLabel("Name").fill(`${unique}plain`);
  await page.getByLabel("Release", { exact: true }).selectOption({ label: `1.1.0 for ${models}` });
  await page.getByLabel("Audience").selectOption("devices");
  await page.getByLabel("Devices", { exact: true }).fill("nobody-has-this-id");
  await page.getByLabel("Phase 1: Soak time").fill("1h");
  await page.getByRole("button", { name: "Start rollout" }).click();
  await expect(heading(page)).toHaveText(`${unique}plain`);
  await expect(badge(page)).toHaveText("running");
  await expect(page.locator("li.phase")).toHaveCount(3);

  await page.getByLabel("Reason to pause").fill("by hand");
  await page.getByRole("button", { name: "Pause rollout" }).click();
  await expect(heading(page)).toHaveText(`${unique}plain`);
  await expect(badge(page)).toHaveText("paused");
  await expect(page.getByText("by hand").first()).toBeVisible();

  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Devices" }).click();
  await expect(heading(page)).toHaveText("Devices");
  await page.getByLabel("Model").selectOption(models[0] ?? "");
  await page.getByRole("button", { name: "Filter" }).click();
  const rows = page.getByRole("rowheader").getByRole("link");
  await expect(rows).toHaveCount(2);
  const id = await rows.first().innerText();
  await rows.first().click();
  await expect(heading(page)).toHaveText(id);
  await expect(card(page, "Why is this device not updating?")).toContainText("It waits: the rollout is paused.");
  await page.getByLabel("Reason to hold it back").fill("by hand, too");
  await page.getByRole("button", { name: "Hold device" }).click();
  await expect(badge(page)).toHaveText("held");
  expect((await api.devices(id))[0]).toMatchObject({ hold: "by hand, too" });

  await page.getByRole("button", { name: "Dark theme" }).click();
  await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
  await page.getByRole("button", { name: "Log out" }).click();
  await expect(heading(page)).toHaveText("Log in");
});

test("without JavaScript what is wrong in a form is said on the page it was sent from", async ({ page, person, publisher, unique }) => {
  const release = await publisher.publish({ version: "1.1.0", models: [`${unique}model`] });
  await page.goto(`/login?next=/rollouts/new%3Frelease%3D${release}`);
  await page.getByLabel("Name").fill(person.name);
  await page.getByLabel("Password").fill(person.password);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByLabel("Name").fill(`${unique}wrong`);
  await page.getByLabel("Phase 1: Share in %").fill("lots");
  await page.getByRole("button", { name: "Start rollout" }).click();
  await expect(heading(page)).toHaveText("New rollout");
  await expect(page.getByRole("alert").filter({ visible: true }).first()).toContainText("lots");
});

test("without JavaScript the releases' page says how else to upload one", async ({ page, person }) => {
  await page.goto("/login?next=/releases");
  await page.getByLabel("Name").fill(person.name);
  await page.getByLabel("Password").fill(person.password);
  await page.getByRole("button", { name: "Log in" }).click();
  await expect(heading(page)).toHaveText("Releases");
  await page.getByText("Upload a release").click();
  await expect(page.getByText("otter release publish").first()).toBeVisible();
  await expect(page.getByRole("button", { name: "Upload release" })).toBeDisabled();
});
