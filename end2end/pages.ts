// What tests do on any page.

import { AxeBuilder } from "@axe-core/playwright";
import { expect, type Locator, type Page } from "@playwright/test";
import type { Person } from "./server.ts";

/** Goes to a path and waits until the page is hydrated: from then on, clicks go to the wasm. */
export async function open(page: Page, path: string): Promise<void> {
  await page.goto(path);
  await hydrated(page);
}

/** Waits until the page is hydrated, after a full load by a form or a link. */
export async function hydrated(page: Page): Promise<void> {
  await page.locator("html[data-hydrated]").waitFor({ state: "attached" });
}

/** Logs in by the form, and waits for the overview. */
export async function logIn(page: Page, person: Person): Promise<void> {
  await open(page, "/login");
  await page.getByLabel("Name").fill(person.name);
  await page.getByLabel("Password").fill(person.password);
  await page.getByRole("button", { name: "Log in" }).click();
  await expect(heading(page)).toHaveText("Overview");
}

/** The page's title. */
export function heading(page: Page): Locator {
  return page.getByRole("heading", { level: 1 });
}

/** The badge beside the page's title. */
export function badge(page: Page): Locator {
  return page.locator(".page-head .badge");
}

/** A card, by its heading. */
export function card(page: Page, name: string): Locator {
  return page.getByRole("region", { name, exact: true });
}

/** Unfolds what is folded, where it isn't open already. */
export async function unfold(page: Page, text: string): Promise<void> {
  const details = page.locator("details", { has: page.locator("summary", { hasText: text }) });
  if (!(await details.evaluate((element) => (element as HTMLDetailsElement).open))) {
    await details.locator("summary").click();
  }
}

/** Fails when axe finds a breach of WCAG 2.2 A or AA on the page as it is. */
export async function expectAccessible(page: Page, variant = ""): Promise<void> {
  const { violations } = await new AxeBuilder({ page })
    .withTags(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"])
    .analyze();
  const found = violations.map(({ id, help, nodes }) => ({ id, help, where: nodes.map((node) => node.target.join(" ")) }));
  expect(found, `accessibility ${variant}`).toEqual([]);
}

/** Fails when the page is wider than the window: nobody should have to scroll it sideways. */
export async function expectNoSidewaysScroll(page: Page): Promise<void> {
  const tooWide = await page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    const sticksOut = (element: Element) => element.getBoundingClientRect().right > width + 1;
    const scrollsItself = (element: Element | null): boolean =>
      element !== null && (getComputedStyle(element).overflowX !== "visible" || scrollsItself(element.parentElement));
    const culprits = [...document.querySelectorAll("main, main *")].filter((one) => sticksOut(one) && !scrollsItself(one));
    return [`${document.documentElement.scrollWidth} > ${width}`, ...culprits.map((one) => one.outerHTML.slice(0, 120))];
  });
  expect(tooWide, "what is wider than the window").toEqual([]);
}
