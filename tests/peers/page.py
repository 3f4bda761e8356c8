"""A real browser looks at the page: `page.py CHROMIUM check URL PATH...`, or `page.py CHROMIUM picture URL FILE`.

Each path is shown light and dark, wide and 360 pixels narrow, printed, and with scripts switched off; axe, which judges
accessibility, is to find nothing, nothing may be wider than the window, and the browser may have nothing to complain of.
"""

import sys

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 360, "height": 740}
WIDTHS = "[document.documentElement.scrollWidth, window.innerWidth]"


def looked_at(browser, address, scheme, size):
    """What is wrong with a page that is shown so."""
    context = browser.new_context(color_scheme=scheme, viewport=size)
    page = context.new_page()
    found = []
    page.on("console", lambda message: found.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: found.append(f"error: {error}"))
    page.on("requestfailed", lambda request: found.append(f"not loaded: {request.url}"))
    status = page.goto(address).status
    # The browser says of a page that is not there that it is not.
    told = [one for one in found if f"status of {status} " not in one]
    for violation in Axe().run(page).response["violations"]:
        nodes = "; ".join(node["html"][:200] for node in violation["nodes"][:3])
        told.append(f"axe: {violation['id']}: {violation['help']}: {nodes}")
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    content, window = page.evaluate(WIDTHS)
    if content > window:
        told.append(f"it is {content} pixels wide in a window of {window}")
    ground, text = page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    is_dark = sum(map(int, ground.strip("rgba()").split(",")[:3])) < 384
    if is_dark != (scheme == "dark"):
        told.append(f"{text} on {ground} is not {scheme}")
    page.emulate_media(media="print")
    if len(page.pdf()) < 1000:
        told.append("it prints nothing")
    context.close()
    return told


def without_scripts(browser, address):
    """What does not work with scripts switched off."""
    context = browser.new_context(java_script_enabled=False, viewport=WIDE)
    page = context.new_page()
    page.goto(address)
    told = []
    if "redkeep" not in page.inner_text("footer"):
        told.append("no command at its end")
    if page.locator("form").count():
        page.select_option("select[name=state]", "available")
        page.click("button[type=submit]")
        page.wait_for_load_state()
        if "state=available" not in page.url or not page.locator("h1").count():
            told.append(f"the filter leads to {page.url}")
    context.close()
    return told


def check(browser, base, paths):
    wrong = []
    for path in paths:
        address = base + path
        for scheme in ("light", "dark"):
            for size in (WIDE, NARROW):
                told = looked_at(browser, address, scheme, size)
                wrong += [f"{path}, {scheme}, {size['width']}: {one}" for one in told]
        wrong += [f"{path}, without scripts: {one}" for one in without_scripts(browser, address)]
    print("\n".join(wrong) or f"{len(paths)} pages: nothing to complain of")
    return 1 if wrong else 0


def picture(browser, base, file):
    context = browser.new_context(viewport={"width": 860, "height": 1200})
    page = context.new_page()
    page.goto(base + "/")
    page.screenshot(path=file)
    return 0


def main(chromium, what, base, *rest):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        print(f"chromium {browser.version}")
        try:
            if what == "picture":
                return picture(browser, base, rest[0])
            return check(browser, base, rest)
        finally:
            browser.close()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
