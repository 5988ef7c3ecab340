// People: an account by a one-time link, a password of one's own, a second factor, and sessions elsewhere.

import { createHmac } from "node:crypto";
import { join } from "node:path";
import type { Page } from "@playwright/test";
import { expect, test } from "../fixtures.ts";
import { card, expectAccessible, expectNoSidewaysScroll, heading, hydrated, logIn, open } from "../pages.ts";

const PASSWORD = "four plain words together";

const VARIANTS = [
  { name: "light", colorScheme: "light", width: 1440 },
  { name: "dark", colorScheme: "dark", width: 1440 },
  { name: "narrow", colorScheme: "light", width: 360 },
] as const;

/** Looks at the page as it is, wide and narrow, light and dark. */
async function look(page: Page, name: string): Promise<void> {
  for (const { name: variant, colorScheme, width } of VARIANTS) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.setViewportSize({ width, height: 900 });
    await page.evaluate(() => Promise.allSettled(document.getAnimations().map((animation) => animation.finished)));
    await expectNoSidewaysScroll(page);
    await expectAccessible(page, `${name} ${variant}`);
    if (process.env.OTTER_PICTURES) {
      await page.screenshot({ path: join(process.env.OTTER_PICTURES, `${name}-${variant}.png`), fullPage: true });
    }
  }
  await page.setViewportSize({ width: 1440, height: 900 });
}

/** What an authenticator shows now (RFC 6238). */
function authenticator(secret: string, at = Date.now()): string {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const bits = [...secret].map((letter) => letters.indexOf(letter).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(at / 30_000)));
  const digest = createHmac("sha1", key).update(step).digest();
  const offset = (digest[19] ?? 0) & 15;
  return String((digest.readUInt32BE(offset) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

test("an admin adds somebody, who chooses a password by the link", async ({ page, browser, server, unique, complaints }) => {
  const name = `${unique}bob`;
  await open(page, "/settings");
  await page.getByLabel("Person's name").fill(name);
  await page.getByLabel("Person's role").selectOption("viewer");
  await page.getByRole("button", { name: "Add person" }).click();
  const link = await card(page, "People").getByRole("group", { name: "link" }).locator("code").textContent();
  await look(page, "settings-people");

  // axe needs a page of a context that was made for it.
  const context = await browser.newContext({ baseURL: server.url, storageState: undefined });
  const theirs = await context.newPage();
  await open(theirs, link ?? "");
  await expect(theirs.getByLabel("Name")).toHaveValue(name);
  await theirs.getByLabel("Password").fill("qwerty123456");
  await theirs.getByRole("button", { name: "Choose it" }).click();
  await expect(theirs.locator("#password-error")).toContainText("tried first");
  await look(theirs, "welcome");
  await theirs.getByLabel("Password").fill(PASSWORD);
  await theirs.getByRole("button", { name: "Choose it" }).click();
  await expect(heading(theirs)).toHaveText("Log in");
  await logIn(theirs, { name, password: PASSWORD });
  await expect(theirs.getByRole("complementary")).toContainText("viewer");

  await page.getByLabel(`Role of ${name}`, { exact: true }).selectOption("operator");
  await page.getByRole("button", { name: `Change the role of ${name}` }).click();
  await expect.poll(async () => {
    await theirs.reload();
    return theirs.getByRole("complementary").textContent();
  }).toContain("operator");
  await page.getByRole("button", { name: `Close the account of ${name}` }).click();
  await expect(page.getByRole("button", { name: `Open the account of ${name}` })).toBeVisible();
  await theirs.goto("/devices");
  await expect(heading(theirs)).toHaveText("Log in");
  await context.close();
  expect(complaints.splice(0)).toEqual([]);
});

test.describe("with an account of one's own", () => {
  test.use({ storageState: undefined });

  test("a password is changed, and sessions elsewhere end", async ({ page, browser, server, unique, complaints }) => {
    const person = await server.addPerson(`${unique}cid`, "viewer");
    const other = await browser.newPage({ baseURL: server.url, storageState: undefined });
    await logIn(other, person);
    await logIn(page, person);
    await page.getByRole("link", { name: person.name }).click();
    await expect(heading(page)).toHaveText("Your account");
    await expect(card(page, "Where you are logged in").getByRole("row")).toHaveCount(3);
    await look(page, "account");

    await page.getByLabel("Present password").fill("not the password");
    await page.getByLabel("New password").fill(PASSWORD);
    await page.getByRole("button", { name: "Change password" }).click();
    await expect(page.locator("#current-error")).toContainText("not your password");
    expect(complaints.splice(0)).toEqual([expect.stringMatching(/status of 422/)]);
    await page.getByLabel("Present password").fill(person.password);
    await page.getByLabel("New password").fill(PASSWORD);
    await page.getByRole("button", { name: "Change password" }).click();
    await expect(page.getByRole("status").filter({ hasText: "is changed" })).toBeVisible();
    await expect(card(page, "Where you are logged in").getByRole("row")).toHaveCount(2);
    await other.goto("/");
    await expect(heading(other)).toHaveText("Log in");

    await logIn(other, { ...person, password: PASSWORD });
    await page.reload();
    await hydrated(page);
    await page.getByRole("button", { name: "Log out everywhere else" }).click();
    await expect(card(page, "Where you are logged in").getByRole("row")).toHaveCount(2);
    await other.goto("/");
    await expect(heading(other)).toHaveText("Log in");
    await other.close();
  });

  test("a second factor is set up, asked for, and replaced by a recovery code", async ({ page, server, unique, complaints }) => {
    const person = await server.addPerson(`${unique}dan`, "admin");
    await logIn(page, person);
    await open(page, "/account");
    await page.getByRole("button", { name: "Set up an authenticator" }).click();
    const factor = card(page, "Second factor");
    await expect(factor.getByRole("img", { name: "The key as a QR code" })).toBeVisible();
    await look(page, "account-factor");
    const secret = (await factor.getByRole("group", { name: "key" }).locator("code").textContent())?.replaceAll(" ", "") ?? "";
    await factor.getByLabel("Code", { exact: true }).fill(authenticator(secret));
    await factor.getByRole("button", { name: "Turn it on" }).click();
    const shown = await factor.getByRole("group", { name: "recovery codes" }).locator("code").textContent();
    const codes = (shown ?? "").split("\n");
    expect(codes).toHaveLength(10);
    await look(page, "account-codes");
    await page.reload();
    await expect(factor).toContainText("10 recovery codes are left");
    await expect(page.locator("body")).not.toContainText(codes[0] ?? "");

    await page.getByRole("button", { name: "Log out" }).first().click();
    await hydrated(page);
    await page.getByLabel("Name").fill(person.name);
    await page.getByLabel("Password").fill(person.password);
    await page.getByRole("button", { name: "Log in" }).click();
    await expect(heading(page)).toHaveText("Enter your code");
    await look(page, "login-code");
    await page.getByLabel("Code", { exact: true }).fill("000000");
    await page.getByRole("button", { name: "Log in" }).click();
    await expect(page.getByRole("alert")).toContainText("wrong");
    expect(complaints.splice(0)).toEqual([expect.stringMatching(/status of 401/)]);
    await page.getByLabel("Code", { exact: true }).fill(codes[0] ?? "");
    await page.getByRole("button", { name: "Log in" }).click();
    await expect(heading(page)).toHaveText("Overview");

    await open(page, "/confirm?next=/settings");
    await look(page, "confirm");
    await page.getByLabel("Password").fill(person.password);
    await page.getByLabel("Code", { exact: true }).fill(codes[1] ?? "");
    await page.getByRole("button", { name: "Confirm" }).click();
    await expect(heading(page)).toHaveText("Settings");
  });
});

test.describe("without JavaScript", () => {
  test.use({ javaScriptEnabled: false });

  test("a person is added and a second factor set up by forms alone", async ({ page, server, unique }) => {
    const name = `${unique}eve`;
    await page.goto("/settings");
    await page.getByLabel("Person's name").fill(name);
    await page.getByRole("button", { name: "Add person" }).click();
    await expect(page.locator("body")).toContainText("/welcome?secret=");
    const person = await server.addPerson(`${unique}fay`, "viewer");
    await page.context().clearCookies();
    await page.goto("/login");
    await page.getByLabel("Name").fill(person.name);
    await page.getByLabel("Password").fill(person.password);
    await page.getByRole("button", { name: "Log in" }).click();
    await page.goto("/account");
    await page.getByRole("button", { name: "Set up an authenticator" }).click();
    const factor = card(page, "Second factor");
    const secret = (await factor.getByRole("group", { name: "key" }).locator("code").textContent())?.replaceAll(" ", "") ?? "";
    await factor.getByLabel("Code", { exact: true }).fill(authenticator(secret));
    await factor.getByRole("button", { name: "Turn it on" }).click();
    await expect(page.locator("body")).toContainText("Keep these recovery codes");
    await expect(factor).toContainText("10 recovery codes are left");
  });
});

test("a key is made that reaches a model and a group alone", async ({ page, server, unique, complaints }) => {
  const name = `${unique}builds`;
  await open(page, "/settings");
  const keys = card(page, "API keys");
  await keys.getByLabel("Key's name").fill(name);
  await keys.getByLabel("May do what").selectOption("viewer");
  await keys.getByLabel("Only models").fill("rpi4, rpi5");
  await keys.getByLabel("Only groups").fill("cannary");
  await keys.getByRole("button", { name: "Make API key" }).click();
  await expect(keys.locator("#key-groups-error")).toHaveText("There is no group `cannary`; make it first.");
  expect(complaints.splice(0)).toEqual([expect.stringMatching(/status of 422/)]);
  await keys.getByLabel("Only groups").fill("canary");
  await keys.getByRole("button", { name: "Make API key" }).click();
  const secret = await keys.getByRole("group", { name: "secret" }).locator("code").textContent();
  await expect(keys.getByRole("row", { name: new RegExp(name) })).toContainText("group canary and models rpi4, rpi5");
  await look(page, "settings-keys");
  const headers = { authorization: `Bearer ${secret?.trim()}` };
  expect((await fetch(`${server.url}/api/v1/devices`, { headers })).status).toBe(200);
  expect((await fetch(`${server.url}/api/v1/overview`, { headers })).status).toBe(403);
});
