// The palette and the keys: from anywhere to anything, without the mouse.

import { join } from "node:path";
import type { Page } from "@playwright/test";
import { expect, test } from "../fixtures.ts";
import { expectAccessible, expectNoSidewaysScroll, heading, logIn, open } from "../pages.ts";

const palette = (page: Page) => page.getByRole("dialog", { name: "Jump to anything" });
const field = (page: Page) => palette(page).getByRole("combobox");
const options = (page: Page) => palette(page).getByRole("option");
const keys = (page: Page) => page.getByRole("dialog", { name: "Keys" });

test("a device, a release and a rollout are reached by a part of their names", async ({ page, api, publisher, token, simulate, unique }) => {
  await simulate({ prefix: unique, devices: 3, models: [`${unique}model`], token });
  const version = `1.1.0-${unique}x`;
  const release = await publisher.publish({ version, models: [`${unique}model`] });
  const phases = [{ name: "all", scope: { kind: "share" as const, share: 100 }, gate: { soak_sec: 3600 } }];
  await api.createRollout({ name: `June of ${unique}`, release, phases });
  const [device] = await api.devices(unique);

  await open(page, "/audit");
  for (const [text, title] of [[device?.id, device?.id], [version, `Release ${version}`], [`june OF ${unique}`, `June of ${unique}`]]) {
    await page.keyboard.press("Control+k");
    await expect(field(page)).toBeFocused();
    await page.keyboard.type(text ?? "");
    await expect(options(page).first()).toContainText(text ?? "", { ignoreCase: true });
    await page.keyboard.press("Enter");
    await expect(heading(page)).toHaveText(title ?? "");
    await expect(palette(page)).toBeHidden();
    await expect(page.getByRole("main")).toBeFocused();
  }
});

test("arrows choose, Escape closes, and the keyboard is where it was", async ({ page }) => {
  await open(page, "/devices");
  await page.getByLabel("Version").focus();
  await page.keyboard.press("Control+k");
  await expect(options(page)).toHaveCount(18);
  await expect(options(page).first()).toHaveAttribute("aria-selected", "true");
  await page.keyboard.press("ArrowUp");
  await expect(options(page).last()).toHaveAttribute("aria-selected", "true");
  await expect(options(page).last()).toBeInViewport();
  const active = await field(page).getAttribute("aria-activedescendant");
  await expect(options(page).last()).toHaveId(active ?? "");
  await page.keyboard.type("nothing has this name");
  await expect(palette(page).getByRole("status")).toHaveText("Nothing has that in its name.");
  await expect(options(page)).toHaveCount(0);
  await page.keyboard.press("Escape");
  await expect(page.getByLabel("Version")).toBeFocused();
  // What was typed last time doesn't come back.
  await page.keyboard.press("Control+k");
  await expect(field(page)).toHaveValue("");
  await page.keyboard.type("dark");
  await page.keyboard.press("Enter");
  await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
});

test("letters lead to screens, never from a field, and can be switched off", async ({ page }) => {
  await open(page, "/");
  await page.keyboard.press("g");
  await page.keyboard.press("d");
  await expect(heading(page)).toHaveText("Devices");
  await page.getByLabel("Search").focus();
  await page.keyboard.type("gr?/");
  await expect(page.getByLabel("Search")).toHaveValue("gr?/");
  await expect(heading(page)).toHaveText("Devices");
  await expect(page.getByRole("dialog")).toHaveCount(0);
  await page.getByRole("main").focus();
  await page.keyboard.press("?");
  await expect(keys(page)).toBeVisible();
  await expect(keys(page)).toContainText("Rollouts");
  await page.getByLabel("Letters lead somewhere").uncheck();
  await page.keyboard.press("Escape");
  await page.reload();
  await page.locator("html[data-hydrated]").waitFor();
  await page.keyboard.press("?");
  await page.keyboard.press("g");
  await page.keyboard.press("r");
  await expect(page.getByRole("dialog")).toHaveCount(0);
  await expect(heading(page)).toHaveText("Devices");
  await page.keyboard.press("Control+k");
  await expect(palette(page)).toBeVisible();
});

test("a viewer is offered nothing that would be refused", async ({ browser, server, page }) => {
  const viewer = await browser.newPage({ baseURL: server.url, storageState: undefined });
  await logIn(viewer, await server.addPerson("palette-viewer", "viewer"));
  await viewer.locator("html[data-hydrated]").waitFor();
  await viewer.getByRole("button", { name: "Jump to anything" }).click();
  await expect(options(viewer).filter({ hasText: "Rollouts" })).toHaveCount(1);
  for (const name of ["New rollout", "Upload a release", "Settings", "Make an enrollment token"]) {
    await expect(options(viewer).filter({ hasText: name })).toHaveCount(0);
  }
  await viewer.keyboard.press("Escape");
  await viewer.keyboard.press("n");
  await viewer.keyboard.press("r");
  await expect(heading(viewer)).toHaveText("Overview");
  await viewer.close();
  await open(page, "/");
});

const VARIANTS = [["light", 1440], ["dark", 1440], ["light", 768], ["dark", 768], ["light", 360], ["dark", 360]] as const;

test("both dialogs are accessible, wide and narrow, light and dark", async ({ page, unique }) => {
  await open(page, "/");
  for (const [colorScheme, width] of VARIANTS) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.setViewportSize({ width, height: 900 });
    for (const [name, key, dialog] of [["palette", "Control+k", palette(page)], ["keys", "?", keys(page)]] as const) {
      await page.getByRole("main").focus();
      await page.keyboard.press(key);
      await expect(dialog).toBeVisible();
      await expectNoSidewaysScroll(page);
      await expectAccessible(page, `${name} ${colorScheme} ${width} ${unique}`);
      if (process.env.OTTER_PICTURES) {
        await page.screenshot({ path: join(process.env.OTTER_PICTURES, `${name}-${colorScheme}-${width}.png`) });
      }
      await page.keyboard.press("Escape");
      await expect(dialog).toBeHidden();
    }
  }
});
