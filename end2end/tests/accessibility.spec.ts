// Every page, wide and narrow, light and dark: nothing that axe finds, nothing to scroll sideways, no console error.
// OTTER_PICTURES names a folder that then gets a picture of each page.

import { join } from "node:path";
import type { Page } from "@playwright/test";
import type { Api } from "../api.ts";
import { Devices } from "../devices.ts";
import { expect, test as base } from "../fixtures.ts";
import { expectAccessible, expectNoSidewaysScroll, heading, hydrated } from "../pages.ts";

/** What there is to be seen: the numbers of what was made. */
type Scene = { device: string; draft: number; published: number; completed: number; paused: number };

const MODELS = ["accessible-camera", "accessible-pump"];

const LONG_NAME = "accessible July, with a name that is long enough to need more than one line on a telephone";
const LONG_VERSION = "1.2.0-with.a.rather.long.version+20260301";

const gate = { max_failure_rate: 60, max_rollback_rate: 60 };
const everyone = { name: "everyone", scope: { kind: "share" as const, share: 100 }, gate };
const canary = { name: "canary", scope: { kind: "share" as const, share: 25 }, gate };

const test = base.extend<object, { scene: Scene }>({
  scene: [
    async ({ server, api, publisher, token }, use) => {
      const devices = await Devices.start(server, { prefix: "accessible-", devices: 12, models: MODELS, token, fail: 2 });
      await expect.poll(async () => (await api.devices("accessible-")).length).toBe(12);
      const notes = "Starts faster.\nA warehouse's lamps no longer flicker when the door is opened in winter.";
      const first = await publisher.publish({ version: "1.1.0", models: MODELS, notes });
      const completed = await rolledOut(api, "accessible June", first, [canary, everyone], "completed");
      const published = await publisher.publish({ version: LONG_VERSION, models: MODELS, notes });
      const soaking = { ...canary, gate: { ...gate, min_finished: 1, soak_sec: 3600 } };
      const paused = await rolledOut(api, LONG_NAME, published, [soaking, everyone], "running");
      await expect.poll(async () => (await api.rollout(paused)).total.succeeded).toBeGreaterThan(1);
      await api.post(`rollouts/${paused}/pause`, { reason: "a look at the first devices" });
      const draft = await draftOf(api, first);
      const failed = (await api.devices("accessible-")).find((device) => device.version === "1.0.0");
      await use({ device: failed?.id ?? "", draft, published, completed, paused });
      await devices.stop();
    },
    { scope: "worker", timeout: 60_000 },
  ],
});

// Looking at every element of a page takes long enough without a trace of it.
test.use({ trace: "off" });

/** Makes a rollout and waits until it is in a state. */
async function rolledOut(api: Api, name: string, release: number, phases: (typeof canary)[], state: string): Promise<number> {
  const { id } = await api.createRollout({ name, release, phases });
  await expect.poll(async () => (await api.rollout(id)).state, { timeout: 30_000 }).toBe(state);
  return id;
}

/** Makes a draft of bytes that are there already. */
async function draftOf(api: Api, release: number): Promise<number> {
  const { artifacts } = await api.get<{ artifacts: { sha256: string }[] }>(`releases/${release}`);
  const artifact = { sha256: artifacts[0]?.sha256, kind: "firmware", models: MODELS };
  const draft = await api.post<{ id: number }>("releases", { version: "1.3.0-draft", notes: "", artifacts: [artifact] });
  return draft.id;
}

const VARIANTS = [
  { name: "light", colorScheme: "light", width: 1440 },
  { name: "dark", colorScheme: "dark", width: 1440 },
  { name: "narrow", colorScheme: "light", width: 360 },
] as const;

/** Looks at a page in every variant, with what is folded on it open: the first few, where there is a list of them. */
async function look(page: Page, path: string, name: string): Promise<void> {
  await page.goto(path);
  await hydrated(page);
  await page.locator("details").evaluateAll((all) => all.slice(0, 6).forEach((details) => details.setAttribute("open", "")));
  for (const { name: variant, colorScheme, width } of VARIANTS) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.setViewportSize({ width, height: 900 });
    await page.evaluate(() => Promise.allSettled(document.getAnimations().map((animation) => animation.finished)));
    await expectNoSidewaysScroll(page);
    await expectAccessible(page, variant);
    if (process.env.OTTER_PICTURES) {
      await page.screenshot({ path: join(process.env.OTTER_PICTURES, `${name}-${variant}.png`), fullPage: true });
    }
  }
}

const PAGES: [name: string, path: (scene: Scene) => string, title: RegExp][] = [
  ["overview", () => "/", /^Overview$/],
  ["devices", () => "/devices?search=accessible-", /^Devices$/],
  ["devices-none", () => "/devices?search=nothing-like-it", /^Devices$/],
  ["device", ({ device }) => `/devices/${device}`, /^accessible-/],
  ["releases", () => "/releases", /^Releases$/],
  ["release-draft", ({ draft }) => `/releases/${draft}`, /^Release 1\.3\.0/],
  ["release", ({ published }) => `/releases/${published}`, /^Release 1\.2\.0/],
  ["rollouts", () => "/rollouts", /^Rollouts$/],
  ["rollout-new", ({ published }) => `/rollouts/new?release=${published}`, /^New rollout$/],
  ["rollout-completed", ({ completed }) => `/rollouts/${completed}`, /^accessible June$/],
  ["rollout-paused", ({ paused }) => `/rollouts/${paused}`, /^accessible July/],
  ["audit", () => "/audit", /^Audit$/],
  ["settings", () => "/settings", /^Settings$/],
  ["account", () => "/account", /^Your account$/],
  ["confirm", () => "/confirm", /^Confirm that it is you$/],
];

for (const [name, path, title] of PAGES) {
  test(`${name} is accessible, wide and narrow, light and dark`, async ({ page, scene }) => {
    await look(page, path(scene), name);
    await expect(heading(page)).toHaveText(title);
  });
}

test("not-found is accessible, wide and narrow, light and dark", async ({ page, complaints }) => {
  for (const [name, path] of [["not-found", "/nowhere"], ["no-device", "/devices/nobody"], ["no-rollout", "/rollouts/999999"]] as const) {
    await look(page, path, name);
    expect(complaints.splice(0)).toEqual([expect.stringMatching(/status of 404/)]);
  }
});

test.describe("for a stranger", () => {
  test.use({ storageState: undefined });
  test("login and set-up are accessible, wide and narrow, light and dark", async ({ page }) => {
    await look(page, "/login", "login");
    await look(page, "/setup?secret=x", "set-up");
  });
});

test("on a telephone every place of the navigation is in view, the one where one is too", async ({ page }) => {
  await page.setViewportSize({ width: 360, height: 800 });
  for (const [path, name] of [["/", "Overview"], ["/settings", "Settings"]] as const) {
    await page.goto(path);
    await hydrated(page);
    const places = page.getByRole("navigation", { name: "Main" }).getByRole("link");
    await expect(places.last()).toHaveText("Settings");
    for (const place of await places.all()) {
      await expect(place).toBeInViewport({ ratio: 1 });
    }
    await expect(page.locator('.nav [aria-current="page"]')).toHaveText(name);
  }
});

test("the keyboard comes to the content first, and a theme that is chosen stays", async ({ page, scene }) => {
  await page.goto(`/rollouts/${scene.completed}`);
  await hydrated(page);
  await page.keyboard.press("Tab");
  await expect(page.getByRole("link", { name: "Skip to content" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("main")).toBeFocused();
  await page.getByRole("button", { name: "Dark theme" }).click();
  await page.reload();
  await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
});
