// The main job: a release is uploaded, signed and rolled out, and everybody can see it happen.

import type { Page } from "@playwright/test";
import { expect, test } from "../fixtures.ts";
import { badge, card, heading, open, unfold } from "../pages.ts";

const DEVICES = 24;

test("an uploaded release is signed, rolled out in phases and reaches every device", async ({ page, api, publisher, simulate, token, unique }) => {
  const models = ["camera", "pump", "thermostat"].map((model) => unique + model);
  await simulate({ prefix: unique, devices: DEVICES, models, token, fail: 1 });

  await upload(page, models);
  await expect(heading(page)).toHaveText("Release 1.1.0");
  await expect(badge(page)).toHaveText("waits for its signature");
  await expect(page.getByRole("link", { name: "Roll out" })).toHaveCount(0);

  // The page is left open: it learns by itself that somebody has signed.
  const line = await page.getByRole("region", { name: "command that signs this release" }).innerText();
  await publisher.type(line.trim());
  await expect(badge(page)).toHaveText("published");
  await page.getByRole("link", { name: "Roll out" }).click();

  await expect(heading(page)).toHaveText("New rollout");
  await expect(page.getByLabel("Release", { exact: true })).toHaveValue(/\d+/);
  await page.getByLabel("Name").fill(`${unique}June`);
  await phases(page, [["25", "0"], ["50", "0"], ["100", "0"]]);
  await page.getByRole("button", { name: "Start rollout" }).click();

  await expect(heading(page)).toHaveText(`${unique}June`);
  await expect(badge(page)).toHaveText("completed", { timeout: 30_000 });
  await expect(card(page, "Progress")).toContainText(`${DEVICES - 1} succeeded`);
  await expect(card(page, "Progress")).toContainText("1 rolled back");
  await expect(page.locator("li.phase")).toHaveCount(3);
  await expect(page.locator('li.phase[data-state="done"]')).toHaveCount(3);
  await expect(card(page, "Reasons of failures")).toContainText("connection refused");

  const versions = (await api.devices(unique)).map((device) => device.version);
  expect(versions.filter((version) => version === "1.1.0")).toHaveLength(DEVICES - 1);

  await card(page, "Failures").getByRole("rowheader").getByRole("link").click();
  await expect(heading(page)).toHaveText(new RegExp(`^${unique}`));
  await expect(card(page, "Its story")).toContainText("1.0.0 → 1.1.0");
  await expect(card(page, "Its story")).toContainText("rolled back");
  await expect(card(page, "Its story")).toContainText("connection refused");
  await expect(card(page, "Why is this device not updating?")).toContainText("No live rollout has a release for its model.");

  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Audit" }).click();
  const events = page.getByRole("list", { name: "Events" });
  await expect(events).toContainText("rollout");
  await page.getByRole("button", { name: "Verify chain" }).click();
  await expect(page.getByText("The chain is whole.")).toBeVisible();
});

test("a rollout whose shares fall is refused where they are written, and nothing is made", async ({ page, api, publisher, unique, complaints }) => {
  const release = await publisher.publish({ version: "1.1.0", models: [`${unique}model`] });
  await open(page, `/rollouts/new?release=${release}`);
  await page.getByLabel("Name").fill(`${unique}wrong`);
  await phases(page, [["50", "0"], ["25", "0"], ["100", "0"]]);
  await page.getByRole("button", { name: "Start rollout" }).click();
  await expect(page.getByRole("region", { name: "Phases" }).getByRole("alert")).toContainText("Phase 2");
  await expect(page.getByLabel("Name")).toHaveValue(`${unique}wrong`);
  const { rollouts } = await api.get<{ rollouts: unknown[] }>(`releases/${release}`);
  expect(rollouts).toEqual([]);
  expect(complaints.splice(0)).toEqual([expect.stringMatching(/status of 422/)]);
});

test("the rows of phases are added and removed", async ({ page, publisher, unique }) => {
  const release = await publisher.publish({ version: "1.1.0", models: [`${unique}model`] });
  await open(page, `/rollouts/new?release=${release}`);
  await expect(page.getByLabel(/Share in %/)).toHaveCount(3);
  await page.getByRole("button", { name: "Remove phase 2" }).click();
  await page.getByRole("button", { name: "Add phase" }).click();
  await page.getByLabel("Phase 2: Share in %").fill("40");
  await page.getByLabel("Phase 3: Share in %").fill("60");
  await page.getByRole("button", { name: "Remove phase 1" }).click();
  await page.getByLabel("Name").fill(`${unique}two`);
  await page.getByRole("button", { name: "Start rollout" }).click();
  await expect(heading(page)).toHaveText(`${unique}two`);
  await expect(page.locator("li.phase")).toHaveCount(2);
  await expect(page.locator("li.phase").first()).toContainText("40 %");
});

/** Uploads a release by the form, and sees that its progress was shown. */
async function upload(page: Page, models: string[]): Promise<void> {
  await open(page, "/releases");
  await unfold(page, "Upload a release");
  await page.getByLabel("Version", { exact: true }).fill("1.1.0");
  await page.getByLabel("Kind").selectOption("firmware");
  await page.getByLabel("Models").fill(models.join(", "));
  await page.getByLabel("Notes").fill("Sensors wake up <b>faster</b>.");
  const buffer = Buffer.alloc(6 << 20, models.join());
  await page.getByLabel("File", { exact: true }).setInputFiles({ name: "firmware.bin", mimeType: "application/octet-stream", buffer });
  const steps = stepsShown(page);
  await page.getByRole("button", { name: "Upload release" }).click();
  await page.waitForURL(/\/releases\/\d+$/);
  expect(await steps, "what the progress bar was of").toEqual(["Hashing", "Uploading"]);
  await expect(page.getByText("Sensors wake up <b>faster</b>.")).toBeVisible();
}

/** What the progress bar says it is of, until it has gone: too quick to be waited for. */
function stepsShown(page: Page): Promise<string[]> {
  return page.evaluate(
    () =>
      new Promise<string[]>((done) => {
        const steps = new Set<string>();
        const look = () => {
          const step = document.querySelector('[role="progressbar"]')?.getAttribute("aria-label");
          if (step) steps.add(step);
          else if (steps.size > 0) done([...steps]);
        };
        new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true });
      }),
  );
}

/** Fills the rows of phases in: share and soak time of each. */
async function phases(page: Page, rows: [share: string, soak: string][]): Promise<void> {
  for (const [place, [share, soak]] of rows.entries()) {
    await page.getByLabel(`Phase ${place + 1}: Share in %`).fill(share);
    await page.getByLabel(`Phase ${place + 1}: Soak time`).fill(soak);
    await page.getByLabel(`Phase ${place + 1}: Failures at most, in %`).fill("50");
  }
}
