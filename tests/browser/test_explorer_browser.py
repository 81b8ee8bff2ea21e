"""The explorer in headless Chromium: opened by its file, played, scrubbed, zoomed, on a phone."""

from __future__ import annotations

import re

import pytest

from browser_visit import NARROW, WIDE
from view_runs import Served, make_viewed_run

pytestmark = pytest.mark.browser

CHECKED = "() => document.querySelectorAll('#checks li').length > 5"
ARRIVED = "() => document.body.dataset.ready !== undefined && document.body.dataset.arrived"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_viewed_run(tmp_path_factory.mktemp("viewed"))[0]


@pytest.fixture(scope="module")
def visited(browser, run):
    """The page of a run, and everything that went wrong in it."""
    complaints = []
    with Served(run) as served:
        context = browser.new_context(viewport={"width": WIDE[0], "height": WIDE[1]})
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda r: "ABORTED" in r.failure or complaints.append(r.url))
        page.on("dialog", lambda dialog: complaints.append(dialog.message) or dialog.dismiss())
        page.goto(served.address)
        page.wait_for_function(ARRIVED)
        yield page, complaints
        context.close()


@pytest.fixture
def page(visited):
    page, complaints = visited
    page.keyboard.press("0")
    page.keyboard.press("Home")
    yield page
    assert complaints == []


def shown(page, name):
    return page.evaluate(f"() => document.body.dataset.{name}")


def until(page, condition):
    page.wait_for_function(f"() => {{ const d = document.body.dataset; return {condition}; }}")


def test_it_opens_without_the_token_in_its_address(page):
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/(#.*)?", page.url)
    assert page.evaluate("() => document.cookie") == ""  # hidden from scripts
    assert page.locator("#title").inner_text() == "run"
    assert "encoder glm" in page.locator("#facts").inner_text()
    assert page.locator("#neuron option").count() == 6
    until(page, "d.drawn === '0'")


def test_it_plays_and_pauses(page):
    page.locator("#speed").select_option("8")
    page.keyboard.press("Space")
    until(page, "Number(d.bin) > 60 && d.playing === 'true'")
    page.locator("#play").click()
    at = shown(page, "bin")
    until(page, f"d.drawn === '{at}'")
    assert page.locator("#play").inner_text() == "Play"
    assert shown(page, "bin") == at


def test_keys_move_time_and_view(page):
    for key in ("ArrowRight", "ArrowRight", "Shift+ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
    until(page, "d.bin === '21'")  # 2 bins, a second of 20, and one back
    page.keyboard.press("+")
    until(page, "d.view === '11,1211'")
    page.keyboard.press("End")
    until(page, "d.bin === '2399' && d.view === '1200,2400'")
    page.keyboard.press("0")
    until(page, "d.view === '0,2400'")


def test_pointer_scrubs_zooms_and_chooses(page):
    page.wait_for_function(CHECKED)  # flags have a lane of their own
    box = page.locator("#lanes").bounding_box()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 60, steps=4)
    page.mouse.up()
    until(page, "Math.abs(Number(d.bin) - 1600) < 80")
    page.mouse.wheel(0, -200)
    until(page, "d.view.split(',')[1] - d.view.split(',')[0] < 1300")
    page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + box["height"] - 16)
    last = page.locator("#neuron option").last.get_attribute("value")
    until(page, f"d.neuron === '{last}'")
    over = page.locator("#overview").bounding_box()
    page.mouse.click(over["x"] + 0.25 * over["width"], over["y"] + 10)
    until(page, "Math.abs(Number(d.bin) - 600) < 20")


def test_neurons_are_sorted_by_any_score_and_stepped_through(page):
    by_rate = page.locator("#sort option").last.get_attribute("value")
    page.locator("#sort").select_option(by_rate)
    order = page.locator("#neuron option").evaluate_all("all => all.map((o) => o.value)")
    page.locator("#neuron").select_option(order[0])
    page.locator("#next").click()
    until(page, f"d.neuron === '{order[1]}'")
    page.locator("#next").blur()
    page.keyboard.press("ArrowUp")
    until(page, f"d.neuron === '{order[0]}'")
    assert "mean response" in page.locator("#scores").inner_text()
    names = page.locator("#neuron option").all_inner_texts()
    assert "<script>alert(1)</script>" in names


def test_best_and_worst_moments_are_reached(page):
    page.wait_for_function("() => !document.getElementById('best').disabled")
    page.keyboard.press("b")
    page.wait_for_function(
        "() => document.getElementById('moment').textContent.startsWith('Best 1')"
    )
    until(page, "d.view.split(',')[1] - d.view.split(',')[0] === 480")  # 24 s, once it is drawn
    start, stop = map(int, shown(page, "view").split(","))
    assert start <= int(shown(page, "bin")) < stop
    page.locator("#worst").click()
    assert page.locator("#moment").inner_text().startswith("Worst 1 of 8")


def test_quality_and_keys_are_listed(page):
    page.wait_for_function(CHECKED)
    assert "Video freezes" in page.locator("#checks").inner_text()
    page.locator("#help").click()
    assert page.locator("#keys").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#keys").is_visible()


def test_it_fits_a_phone_and_loads_again_where_it_was(page):
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => location.hash.includes('t=0.050')")
    page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
    page.reload()
    page.wait_for_function(ARRIVED)
    assert shown(page, "bin") == "1"
    root = "document.documentElement"
    assert page.evaluate(f"() => {root}.scrollWidth - {root}.clientWidth") <= 0
    assert page.locator("#lanes").bounding_box()["width"] > 330
    page.locator("#play").click()
    until(page, "Number(d.bin) > 3")
    page.locator("#play").click()
    page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})
