import { expect, test } from "../fixtures.ts";
import { expectAccessible, heading, open } from "../pages.ts";

test.use({ storageState: undefined });

test("logging in leads to the page that was asked for, and logging out ends the session", async ({ page, person }) => {
  await open(page, "/rollouts");
  await expect(heading(page)).toHaveText("Log in");
  await page.getByLabel("Name").fill(person.name);
  await page.getByLabel("Password").fill(person.password);
  await page.getByRole("button", { name: "Log in" }).click();
  await expect(heading(page)).toHaveText("Rollouts");
  await expect(page.getByRole("complementary")).toContainText(person.name);

  await page.getByRole("button", { name: "Log out" }).click();
  await expect(heading(page)).toHaveText("Log in");
  await page.goto("/devices");
  await expect(heading(page)).toHaveText("Log in");
});

test("a wrong password is refused, and says so", async ({ page, person, complaints }) => {
  await open(page, "/login");
  await page.getByLabel("Name").fill(person.name);
  await page.getByLabel("Password").fill("not the password");
  await page.getByRole("button", { name: "Log in" }).click();
  await expect(page.getByRole("alert")).toContainText(/name|password/i);
  await expect(heading(page)).toHaveText("Log in");
  await expectAccessible(page);
  expect(complaints.splice(0)).toEqual([expect.stringMatching(/status of 401/)]);
});

test("a viewer sees everything and is offered no change", async ({ page, server, publisher, unique }) => {
  const release = await publisher.publish({ version: "1.1.0", models: [`${unique}model`] });
  const viewer = await server.addPerson(`${unique}viewer`, "viewer");
  await open(page, `/login?next=/releases/${release}`);
  await page.getByLabel("Name").fill(viewer.name);
  await page.getByLabel("Password").fill(viewer.password);
  await page.getByRole("button", { name: "Log in" }).click();
  await expect(heading(page)).toHaveText("Release 1.1.0");
  await expect(page.getByRole("link", { name: "Roll out" })).toHaveCount(0);
  await expect(page.getByRole("link", { name: "Settings" })).toHaveCount(0);
  await open(page, "/releases");
  await expect(page.getByText("Upload a release")).toHaveCount(0);
});
