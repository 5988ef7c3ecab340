// One device: why it waits, who holds it, what operators say about it.

import { cohort } from "../devices.ts";
import { expect, test } from "../fixtures.ts";
import { badge, card, heading, open } from "../pages.ts";

const WHY = "Why is this device not updating?";

test("a device says which phase it waits for, and where it stands", async ({ page, api, publisher, simulate, token, unique }) => {
  const models = [`${unique}model`];
  await simulate({ prefix: unique, devices: 12, models, token });
  const release = await publisher.publish({ version: "1.1.0", models });
  // The devices are numbered, so who goes first is known: open the rollout to half of them.
  const ids = (await api.devices(unique)).map((device) => device.id).sort((a, b) => cohort(a) - cohort(b));
  const [first, last] = [ids[0] ?? "", ids.at(-1) ?? ""];
  const share = Math.round((cohort(ids[5] ?? "") + cohort(ids[6] ?? "")) / 2 * 100) / 100;
  const phases = [
    { name: "pilot", scope: { kind: "share" as const, share }, gate: { soak_sec: 3600 } },
    { name: "the rest", scope: { kind: "share" as const, share: 100 } },
  ];
  await api.createRollout({ name: `${unique}halves`, release, phases });

  await open(page, "/devices");
  await page.getByLabel("Search").fill(last);
  await page.getByRole("button", { name: "Filter" }).click();
  await page.getByRole("link", { name: last, exact: true }).click();
  await expect(heading(page)).toHaveText(last);
  const place = `cohort ${cohort(last).toFixed(1)} %`;
  await expect(card(page, WHY)).toContainText(`It waits: waits for phase the rest (100 %), ${place}.`);
  const rules = page.getByRole("list", { name: `Rules of ${unique}halves` });
  await expect(rules.getByRole("listitem")).toHaveCount(21);
  await expect(rules.locator('[data-outcome="hold"]')).toHaveText(`Its phase is openwaits for phase the rest (100 %), ${place}`);
  await expect(card(page, "Its story")).toContainText("No rollout has reached this device yet.");

  // The other one goes first; its page follows as it does.
  await open(page, `/devices/${first}`);
  await expect(card(page, "Its story")).toContainText("succeeded");
  await expect(card(page, "Identity")).toContainText("1.1.0");
  await expect(card(page, WHY)).toContainText("runs 1.1.0, the release is 1.1.0");
});

test("a device that an operator holds gets nothing until it is let go", async ({ page, api, publisher, simulate, token, unique }) => {
  const models = [`${unique}model`];
  await simulate({ prefix: unique, devices: 1, models, token });
  const [device] = await api.devices(unique);
  await open(page, `/devices/${device?.id}`);
  await page.getByLabel("Reason to hold it back").fill("on the workbench");
  await page.getByRole("button", { name: "Hold device" }).click();
  await expect(badge(page)).toHaveText("held");

  const release = await publisher.publish({ version: "1.1.0", models });
  const phases = [{ name: "everyone", scope: { kind: "share" as const, share: 100 }, gate: { soak_sec: 3600 } }];
  await api.createRollout({ name: `${unique}all`, release, phases });
  await expect(card(page, WHY)).toContainText("It waits: held: on the workbench.");
  await page.getByRole("button", { name: "Let it go" }).click();
  await expect(badge(page)).toHaveText("accepted");
  await expect(card(page, "Its story")).toContainText("succeeded");
});

test("labels and group are kept", async ({ page, api, simulate, token, unique }) => {
  await simulate({ prefix: unique, devices: 1, models: [`${unique}model`], token });
  const [device] = await api.devices(unique);
  await open(page, `/devices/${device?.id}`);
  await page.getByRole("textbox", { name: "Labels" }).fill("location=warehouse\nfunction=<sensor>");
  await page.getByLabel("Group", { exact: true }).selectOption("canary");
  await page.getByRole("button", { name: "Save labels and group" }).click();
  await expect(card(page, "Identity")).toContainText("location=warehouse");
  await open(page, `/devices/${device?.id}`);
  await expect(page.getByRole("textbox", { name: "Labels" })).toHaveValue("function=<sensor>\nlocation=warehouse");
  await expect(page.getByLabel("Group", { exact: true })).toHaveValue("canary");
});

test("a device without an enrollment token waits until an operator accepts it", async ({ page, api, simulate, unique }) => {
  await simulate({ prefix: unique, devices: 1, models: [`${unique}model`] });
  await open(page, `/devices?search=${unique}&state=pending`);
  await page.getByRole("rowheader").getByRole("link").click();
  await expect(badge(page)).toHaveText("pending");
  await page.getByRole("button", { name: "Accept device" }).click();
  await expect(badge(page)).toHaveText("accepted");
  const seen = async () => (await api.devices(unique))[0]?.last_seen_at ?? null;
  await expect.poll(seen, { message: "the device's first check-in" }).not.toBeNull();
});
