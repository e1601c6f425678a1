"""The page of the sandbox in a headless Chromium: the actions of a user without the documentation."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from goedgepickt_async.sandbox import Sandbox
from goedgepickt_async.testing import serving

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: the nox session browser does")

BROWSER, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
if not (BROWSER and DRIVER):
    pytest.skip(
        "chromium and chromedriver are not installed; .ci/run installs them where it is root", allow_module_level=True
    )

pytestmark = pytest.mark.slow

SAFETY = 60.0
"""The longest waiting time for an expected change, in seconds."""
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from selenium.webdriver.chrome.service import Service  # noqa: PLC0415

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def size(browser: Any) -> Any:
    """Sets the size and the colour scheme of the window. Log entries of an earlier page are removed."""
    browser.get("about:blank")
    browser.get_log("browser")

    def set_size(width: int, height: int, scheme: str = "light") -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    return set_size


@contextmanager
def receiver() -> Iterator[tuple[str, list[bytes]]]:
    """A receiver of webhooks within the context: its URL, and the bodies that it received."""
    came: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name is the library's
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hook", came
        finally:
            server.shutdown()
            thread.join()


def until(what: Any) -> Any:
    """Wait until the function returns a true value, and return it. It is called again after an error of the browser."""
    from selenium.common.exceptions import WebDriverException  # noqa: PLC0415

    end = time.monotonic() + SAFETY
    while True:
        try:
            if found := what():
                return found
        except WebDriverException:
            pass
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


FIND = """
return [...document.querySelectorAll(arguments[0])].find((one) => one.getClientRects().length
    && one.checkVisibility({opacityProperty: true, visibilityProperty: true}) && one.innerText.includes(arguments[1]))
"""


def find(browser: Any, selector: str, text: str = "") -> Any:
    """Wait for a visible element of a CSS selector with the text, and return the first.

    One script looks for it: WebDriver's own questions, several for each element, cost most of the browser's time.
    """
    return until(lambda: browser.execute_script(FIND, selector, text))


def click(browser: Any, selector: str, text: str = "") -> None:
    """Click the element. The page can replace its rows at any time, so a click is repeated after an error."""
    until(lambda: find(browser, selector, text).click() is None)


def errors_of(browser: Any) -> list[Any]:
    return [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def test_a_user_subscribes_ships_an_order_and_sees_the_delivery(browser: Any, size: Any) -> None:
    size(1280, 800)
    with serving(Sandbox(orders=60, products=20, limit=None, oddities=False)) as sandbox, receiver() as (url, came):
        browser.get(sandbox.page_url)
        click(browser, "[role=tab]", "Webhooks")
        find(browser, "input[type=url]").send_keys(url)
        until(lambda: find(browser, "select[aria-label=Webshop]").text)
        click(browser, "button", "Subscribe")
        find(browser, "td", url)

        click(browser, "[role=tab]", "Orders")
        uuid = next(
            row["uuid"]
            for row in list(sandbox.world.orders)[::-1]
            if row["status"] == "ready_for_picking" and row["webshopName"] == sandbox.world.webshops[0]["name"]
        )
        until(lambda: find(browser, "input[type=search]").send_keys(uuid) is None)
        click(browser, f'[data-uuid="{uuid}"]', "ship")
        until(lambda: any(b'"newStatus":"completed"' in body and uuid.encode() in body for body in came))
        find(browser, ".grid-row .chip", "completed")
        order = sandbox.world.order(uuid)
        assert order is not None
        assert (order["status"], len(order["shipments"])) == ("completed", 1)

        click(browser, "[role=tab]", "Webhooks")
        find(browser, "#deliveries .chip", "delivered")
        find(browser, "#deliveries td", "completed")
        before = len(came)
        click(browser, "#deliveries button", "Resend")
        until(lambda: len(came) > before)
        assert errors_of(browser) == []


def test_requests_and_the_throttle_are_shown_live_without_the_key(browser: Any, size: Any) -> None:
    import urllib.request  # noqa: PLC0415

    size(1280, 800)
    with serving(Sandbox(orders=10, products=5, key="a-secret-key", limit=150)) as sandbox:
        browser.get(f"{sandbox.page_url}#requests")
        find(browser, "#live", "live")
        headers = {"Authorization": "Bearer a-secret-key", "Accept": "application/json"}
        asked = urllib.request.Request(f"{sandbox.url}/orders?perPage=3", headers=headers)
        with urllib.request.urlopen(asked, timeout=SAFETY):
            pass
        click(browser, ".grid-row", "/orders?perPage=3")
        find(browser, "#detail", "GET /orders")
        assert "a-secret-key" not in find(browser, "#detail").text
        find(browser, "#gauge-text", "1 of 150")
        click(browser, "#detail-close")
        assert errors_of(browser) == []


def test_a_list_of_many_orders_scrolls_to_its_end_with_few_rows_in_the_page(browser: Any, size: Any) -> None:
    size(1280, 800)
    with serving(Sandbox(orders=300_000, products=100, limit=None)) as sandbox:
        browser.get(sandbox.page_url)
        find(browser, ".grid-row")
        assert find(browser, ".count").text == "300,000"
        browser.execute_script("const grid = document.querySelector('.grid'); grid.scrollTop = grid.scrollHeight")
        oldest = sandbox.world.orders[0]["externalDisplayId"]
        find(browser, ".grid-row .c-number", oldest)
        assert len(browser.find_elements("css selector", ".grid-row")) < 100
        assert errors_of(browser) == []


def test_rows_details_and_tabs_are_reached_by_keyboard(browser: Any, size: Any) -> None:
    from selenium.webdriver.common.keys import Keys  # noqa: PLC0415

    size(1280, 800)
    with serving(Sandbox(orders=30, products=5, limit=None, oddities=False)) as sandbox:
        browser.get(sandbox.page_url)
        until(lambda: find(browser, ".grid-row").send_keys(Keys.ARROW_DOWN) is None)
        until(lambda: browser.switch_to.active_element.get_attribute("data-index") == "1")
        until(lambda: browser.switch_to.active_element.send_keys(Keys.END) is None)
        until(lambda: browser.switch_to.active_element.get_attribute("data-index") == "29")
        until(lambda: browser.switch_to.active_element.send_keys(Keys.ENTER) is None)
        find(browser, "#detail-title", sandbox.world.orders[0]["externalDisplayId"])
        browser.switch_to.active_element.send_keys(Keys.ESCAPE)
        until(lambda: not browser.find_element("css selector", "#detail").is_displayed())
        until(lambda: find(browser, "[role=tab][aria-selected=true]").send_keys(Keys.ARROW_RIGHT) is None)
        find(browser, "[role=tab][aria-selected=true]", "Products")
        assert errors_of(browser) == []


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (820, "dark"), (1280, "light")])
def test_no_section_is_wider_than_the_window_and_each_control_has_a_name(
    browser: Any, size: Any, width: int, scheme: str
) -> None:
    size(width, 844, scheme)
    folder = os.environ.get("SCREENSHOTS")
    with serving(Sandbox(orders=200, products=40)) as sandbox:
        sandbox.world.add_webhook(0, "order.statusChanged", "http://127.0.0.1:9/hook")
        sandbox.world.place_order()
        for view in ("orders", "products", "requests", "webhooks", "trouble", "connect"):
            browser.get(f"{sandbox.page_url}#{view}")
            find(browser, "[role=tab][aria-selected=true]")
            until(lambda: browser.find_elements("css selector", "main > *"))
            assert browser.execute_script("return document.documentElement.scrollWidth") <= width
            overflow = (
                "return [...document.querySelectorAll('.scroll, .grid')]"
                ".filter((one) => one.scrollWidth > one.clientWidth + 1).length"
            )
            find(browser, "fieldset, .grid")
            assert browser.execute_script(overflow) == 0
            unnamed = browser.execute_script(
                "return [...document.querySelectorAll('button, input, select, [role=tab]')].filter((one) => "
                "!(one.textContent.trim() || one.ariaLabel || one.labels?.length)).map((one) => one.outerHTML)"
            )
            assert unnamed == []
            if folder:
                browser.save_screenshot(str(Path(folder) / f"{view}-{width}-{scheme}.png"))
