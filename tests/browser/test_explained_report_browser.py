"""The page of one neuron in headless Chromium: by mouse, by keyboard, by address, on a phone."""

import re
from dataclasses import replace
from urllib.parse import quote

import numpy as np
import pytest

from browser_visit import NARROW, WIDE, Visit
from freegaze.explanation.result import CLASSES
from freegaze.reports import write_report
from report_runs import HOSTILE, HOSTILE_ATTRIBUTE, make_explanation, make_run, make_session

pytestmark = pytest.mark.browser

BREAKOUT = "</script><script>alert(1)</script>"
LINKS = ".neuron-list tbody tr:not([hidden]) a"
CALM = {"reduced_motion": "reduce"}


@pytest.fixture(scope="module")
def seventy(tmp_path_factory):
    """70 neurons as large as they come: 12 minutes, 6 pictures of 60 x 80 pixels, 3 methods."""
    folder = tmp_path_factory.mktemp("seventy")
    recording = make_session(
        "mouse", 70, 14400, has_truth=True, unit_ids=[f"unit {i}" for i in range(70)]
    )
    rng = np.random.default_rng(0)
    names = ("speed", "pitch", "roll", "phi", "theta", "pupil_radius")
    behavior = rng.normal(size=(14400, 6)).astype(np.float32)
    behavior[:, 0] = recording.behavior[:, 0]
    units = ("cm/s", "deg", "deg", "deg", "deg", "px")
    recording = replace(recording, behavior=behavior, behavior_names=names, behavior_units=units)
    run = make_run(folder / "run", [recording])
    explanation = make_explanation(
        recording, methods=("gradient", "ascent", "linear"), history=6, frame_size=(60, 80)
    )
    return write_report(*run.arguments(), explanations=[explanation])


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Two sessions whose neurons have the same names, meant to break out of where they stand."""
    folder = tmp_path_factory.mktemp("hostile")
    units = (BREAKOUT, HOSTILE, HOSTILE_ATTRIBUTE, "a&session=b%zz#", "u" * 120, "")
    sessions = [make_session(name, 6, unit_ids=units) for name in (HOSTILE, "s" * 80)]
    run = make_run(folder / "run", sessions)
    return write_report(*run.arguments(), explanations=[make_explanation(s) for s in sessions])


# Pages are waited for by functions: an expression is evaluated again and again, which the report's
# content policy forbids unless it is true at once.


def shown(page):
    return page.locator("#neuron-name").inner_text().removeprefix("Neuron ")


def until_shown(page, name):
    """Wait for a neuron: an address that changes is followed a moment later."""
    page.wait_for_function(
        "name => document.getElementById('neuron-name').textContent === `Neuron ${name}`",
        arg=name,
        timeout=5000,
    )


def listed(page):
    return page.locator(LINKS).all_inner_texts()


def test_seventy_neurons_are_below_25_megabytes(seventy):
    assert seventy.stat().st_size < 25e6


@pytest.mark.parametrize("size", [WIDE, (768, 900), NARROW, (320, 600)], ids=str)
@pytest.mark.parametrize("name", ["seventy", "hostile"])
def test_page_fits_its_window_and_complains_of_nothing(browser, request, name, size):
    with Visit(browser, request.getfixturevalue(name), size) as visit:
        for link in visit.page.locator(LINKS).all()[:4]:
            link.evaluate("a => a.click()")
            assert visit.overflow_px <= 0
        drawn = visit.page.locator("#neuron-detail svg.chart")
        assert drawn.count() >= 5
        right = visit.page.evaluate(
            """() => Math.max(...[...document.querySelectorAll("#neuron-detail svg text")]
                .map((text) => text.getBoundingClientRect().right))"""
        )
        assert right <= size[0]
        assert visit.complaints == []


def test_a_click_shows_the_neuron_and_back_returns(browser, seventy):
    with Visit(browser, seventy, WIDE, **CALM) as visit:
        page = visit.page
        best = listed(page)[0]
        until_shown(page, best)
        third = page.locator(LINKS).nth(2)
        name = third.inner_text()
        third.click()
        until_shown(page, name)
        assert page.url.endswith(f"#neuron={quote(name)}")
        assert third.get_attribute("aria-current") == "true"
        assert page.locator(".neuron-list [aria-current]").count() == 1
        page.locator(".neuron-list tbody tr").nth(4).locator("td").last.click()  # beside its name
        until_shown(page, listed(page)[4])
        page.go_back()
        until_shown(page, name)
        page.go_back()
        until_shown(page, best)
        page.go_forward()
        until_shown(page, name)


def test_every_part_of_a_neuron_is_drawn_with_units(browser, seventy):
    with Visit(browser, seventy, WIDE) as visit:
        page = visit.page
        titles = page.locator("#neuron-detail h4").all_inner_texts()
        assert titles == [
            *("Scores", "Predicted and recorded", "Receptive fields", "Contributions"),
            *("Saliency of behavior", "Tuning", "Around gaze shifts"),
        ]
        names = page.locator("#neuron-detail .chart .name").evaluate_all(
            "all => all.map((text) => text.textContent)"
        )
        assert all(re.search(r"\(.+\)$", name) for name in names), names
        assert {"test time (s)", "firing rate (spikes/s)", "speed (cm/s)"} <= set(names)
        assert {"time from gaze shift (s)", "deviance explained (%)"} <= set(names)
        assert "change (spikes/s per training sd)" in names
        assert page.locator(".moment").count() in (18, 20)  # with the pair of an invariant neuron
        assert page.locator(".moment--peak").count() == 3
        assert "center x, y (°)" in page.locator("#neuron-detail table").inner_text()


def test_pictures_are_there_and_symmetric(browser, seventy):
    measure = """() => [...document.querySelectorAll(".gallery img")]
        .map((img) => [img.naturalWidth, img.naturalHeight, img.getBoundingClientRect().width])"""
    with Visit(browser, seventy, WIDE) as visit:
        sizes = visit.page.evaluate(measure)
        assert len(sizes) == 70
        assert all((w, h) == (80, 60) and shown_px > 60 for w, h, shown_px in sizes)
        text = visit.page.locator("#fields .color-scale").inner_text()
        assert text.split()[:3] == ["−s", "0", "+s"]


def test_gabor_outlines_are_shown_when_asked_for(browser, seventy):
    with Visit(browser, seventy, WIDE) as visit:
        outline = visit.page.locator(".gallery svg").first
        assert not outline.is_visible()
        visit.page.locator("#show-outlines").focus()
        visit.page.keyboard.press("Space")
        assert outline.is_visible()


def test_gallery_leads_to_the_neuron(browser, seventy):
    with Visit(browser, seventy, WIDE, **CALM) as visit:
        page = visit.page
        card = page.locator(".gallery a").nth(9)
        card.focus()
        page.keyboard.press("Enter")
        name = card.locator(".unit").inner_text()
        until_shown(page, name)
        assert abs(page.locator("#neuron").bounding_box()["y"]) < 100
        assert page.evaluate("document.activeElement.id") == "neuron-name"


def test_a_second_press_on_a_card_leads_there_again(browser, seventy):
    with Visit(browser, seventy, WIDE, **CALM) as visit:
        page = visit.page
        card = page.locator(".gallery a").nth(9)
        for _ in range(2):
            card.click()
            page.wait_for_function(
                "() => Math.abs(neuron.getBoundingClientRect().top) < 100"  # the element's id
            )


def marks_of(page, section):
    """The neurons' marks in a chart, and the names that they must have: by class, best first."""
    classes = page.locator(".neuron-list td.word").all_inner_texts()
    rows = list(zip(listed(page), classes, strict=True))
    return (
        page.locator(f"#{section} .drawing a:visible"),
        [name for label in CLASSES for name, own in rows if own == label],
    )


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=str)
@pytest.mark.parametrize("section", ["contributions", "saliency"])
def test_marks_in_charts_lead_to_the_neuron(browser, seventy, section, size):
    with Visit(browser, seventy, size, **CALM) as visit:
        page = visit.page
        marks, names = marks_of(page, section)
        assert marks.count() == 70
        lefts = marks.evaluate_all("all => all.map((a) => a.getBoundingClientRect().left)")
        assert lefts == sorted(set(lefts))
        for place in (0, 33, 69, 69):  # the last one twice: the address stays the same
            marks.nth(place).scroll_into_view_if_needed()
            box = marks.nth(place).bounding_box()
            page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 0.7 * box["height"])
            until_shown(page, names[place])
            page.wait_for_function("() => document.activeElement.id === 'neuron-name'")
            part = "#neuron" if size is WIDE else "#neuron-detail"
            assert abs(page.locator(part).bounding_box()["y"]) < 100
        assert visit.complaints == []


@pytest.mark.parametrize("section", ["contributions", "saliency"])
def test_marks_in_charts_are_used_by_keyboard(browser, seventy, section):
    with Visit(browser, seventy, WIDE, **CALM) as visit:
        page = visit.page
        _, names = marks_of(page, section)
        stops = page.locator(f"#{section} .drawing a[tabindex='0']:visible")
        assert stops.count() == 1  # the tab key stops once, not seventy times
        stops.focus()
        spoken = "document.activeElement.getAttribute('aria-label')"
        for key, place in [("ArrowRight", 1), ("End", 69), ("ArrowLeft", 68), ("PageUp", 58)]:
            page.keyboard.press(key)
            assert page.evaluate(spoken) == f"Neuron {names[place]}", key
        assert stops.count() == 1
        page.keyboard.press("Enter")
        until_shown(page, names[58])
        assert page.evaluate("document.activeElement.id") == "neuron-name"


def test_list_is_used_by_keyboard(browser, seventy):
    with Visit(browser, seventy, WIDE) as visit:
        page = visit.page
        order = listed(page)
        page.locator("#neuron-filter").focus()
        focused = "document.activeElement.textContent"
        for _ in range(20):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.closest('.neuron-list tbody') !== null"):
                break
        assert page.evaluate(focused) == order[0]
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        assert page.evaluate(outline) == "solid"
        for key, place in [
            *(("ArrowDown", 1), ("ArrowDown", 2), ("ArrowUp", 1), ("PageDown", 11)),
            *(("End", 69), ("ArrowDown", 69), ("Home", 0), ("ArrowUp", 0)),
        ]:
            page.keyboard.press(key)
            assert (shown(page), page.evaluate(focused)) == (order[place], order[place]), key
        assert page.locator(f"{LINKS}[tabindex='0']").count() == 1  # one stop of the tab key
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.dataset.step") == "1"
        page.keyboard.press("Enter")
        page.keyboard.press("Enter")
        assert shown(page) == order[2]
        assert page.evaluate("document.activeElement.dataset.step") == "1"
        assert page.evaluate("history.length") == 2  # a blank page and this one: no entry a step


def test_chosen_row_stays_in_sight(browser, seventy):
    inside = """() => {
        const row = document.querySelector(".neuron-list .chosen").getBoundingClientRect();
        const box = document.querySelector(".neuron-list .scroller").getBoundingClientRect();
        const head = document.querySelector(".neuron-list thead").getBoundingClientRect();
        return row.top >= head.bottom - 1 && row.bottom <= box.bottom + 1;
    }"""
    with Visit(browser, seventy, WIDE) as visit:
        visit.page.locator(LINKS).first.focus()
        for key in ("End", "Home", "PageDown", "PageDown", "PageDown", "ArrowUp"):
            visit.page.keyboard.press(key)
            assert visit.page.evaluate(inside), key


def test_list_sorts_and_steps_follow(browser, seventy):
    with Visit(browser, seventy, WIDE) as visit:
        page = visit.page
        heads = page.locator(".neuron-list thead button")
        heads.nth(0).click()
        assert listed(page) == [f"unit {i}" for i in range(70)]  # 2 before 10
        page.locator(LINKS).nth(9).click()
        until_shown(page, "unit 9")
        page.locator("[data-step='1']").click()
        assert shown(page) == "unit 10"
        assert page.locator("#neuron-count").inner_text() == "11 of 70 neurons"
        heads.nth(1).click()
        classes = page.locator(".neuron-list td.word").all_inner_texts()
        assert classes == sorted(classes)
        labels = heads.all_inner_texts()
        heads.nth(labels.index("bits per spike")).click()
        column = labels.index("bits per spike") + 1
        cells = page.locator(f".neuron-list tbody tr > :nth-child({column})")
        values = [float(v) for v in cells.evaluate_all("c => c.map((d) => d.dataset.value)")]
        assert values == sorted(values, reverse=True)


def test_filters_by_name_and_class(browser, seventy):
    with Visit(browser, seventy, WIDE) as visit:
        page = visit.page
        page.locator("#neuron-filter").fill("UNIT 6")
        assert sorted(listed(page)) == sorted(["unit 6", *(f"unit {i}" for i in range(60, 70))])
        page.locator("#neuron-class").select_option("head")
        assert sorted(listed(page)) == ["unit 6", "unit 60", "unit 66"]
        page.locator("#neuron-filter").press("Enter")
        assert shown(page) == listed(page)[0]
        assert page.locator("#neuron-count").inner_text() == "1 of 3 of 70 neurons"
        page.keyboard.press("End")
        assert shown(page) == listed(page)[2]
        page.locator("#neuron-filter").fill("nothing of the sort")
        assert listed(page) == []
        assert page.locator("#neuron-count").inner_text() == "No neuron matches."
        page.locator("#neuron-filter").press("Enter")
        page.locator("[data-step='1']").click()
        assert visit.complaints == []


def test_address_names_the_neuron(browser, seventy):
    with Visit(browser, seventy, WIDE, "#neuron=unit%2042", **CALM) as visit:
        page = visit.page
        assert shown(page) == "unit 42"
        page.wait_for_function(
            "() => document.getElementById('neuron').getBoundingClientRect().top < 100"
        )
        page.evaluate("location.hash = '#neuron=no%20such'")
        page.wait_for_function(
            "() => document.getElementById('neuron-count').textContent.includes('no such')"
        )
        assert shown(page) == "unit 42"
        page.locator('.contents a[href="#neuron"]').click()
        assert shown(page) == "unit 42"
        assert visit.complaints == []


def test_slider_moves_through_the_test_bins(browser, seventy):
    with Visit(browser, seventy, WIDE) as visit:
        page = visit.page
        chart = page.locator("#neuron-detail .drawing .chart")
        before = chart.locator(".line").first.get_attribute("d")
        page.locator(".slider input").focus()
        page.keyboard.press("End")
        assert chart.locator(".line").first.get_attribute("d") != before
        spoken = page.locator(".slider input").get_attribute("aria-valuetext")
        assert re.fullmatch(r"\d+ s of test time", spoken)


def test_charts_follow_the_width_of_the_window(browser, seventy):
    width = "document.querySelector('#neuron-detail .chart').clientWidth"
    with Visit(browser, seventy, WIDE) as visit:
        assert visit.page.evaluate(width) > 500
        visit.page.set_viewport_size({"width": 390, "height": 844})
        visit.page.wait_for_function(f"() => {width} < 360")
        visit.page.wait_for_function("() => document.documentElement.scrollWidth <= 390")
        sizes = visit.page.locator("#neuron-detail .chart text").evaluate_all(
            "all => all.map((t) => t.getBoundingClientRect().height)"
        )
        assert min(sizes) >= 9
        assert visit.complaints == []


def test_phone_shows_what_was_chosen(browser, seventy):
    with Visit(browser, seventy, NARROW, **CALM) as visit:
        page = visit.page
        page.locator(LINKS).nth(1).click()
        until_shown(page, listed(page)[1])
        top = page.locator("#neuron-detail").bounding_box()["y"]
        assert 0 <= top < 100


def test_hostile_names_are_only_names(browser, hostile):
    with Visit(browser, hostile, WIDE) as visit:
        page = visit.page
        rows = page.locator(".neuron-list tbody tr")
        assert rows.count() == 12
        seen = set()
        for i in range(12):
            page.locator(LINKS).nth(i).evaluate("a => a.click()")
            row = rows.nth(i)
            cells = row.locator("th, td").evaluate_all("c => c.map((d) => d.dataset.value)")
            until_shown(page, cells[0])
            assert f"session {cells[1]}" in page.locator(".neuron-head").evaluate(
                "head => head.textContent"
            )
            seen.add((cells[0], cells[1]))
        assert len(seen) == 12
        assert page.evaluate("document.querySelectorAll('img[src=x]').length") == 0
        marks, reached = page.locator("#saliency .drawing--wide a"), set()
        for i in range(marks.count()):
            name, session = marks.nth(i).get_attribute("aria-label").split(", session ")
            marks.nth(i).focus()
            page.keyboard.press("Enter")
            page.wait_for_function(  # both sessions have neurons of this name
                """([name, session]) => {
                    const head = document.querySelector(".neuron-head");
                    return head.querySelector("h3").textContent === name
                        && head.querySelector("p").textContent.endsWith(`, session ${session}`);
                }""",
                arg=[name, session],
                timeout=5000,
            )
            reached.add((name.removeprefix("Neuron "), session))
        assert reached == seen
        assert visit.complaints == []


def test_text_is_there_without_scripts(browser, seventy):
    with Visit(browser, seventy, NARROW, java_script_enabled=False) as visit:
        assert visit.page.locator(".gallery img").count() == 70
        assert "drawn by a script" in visit.page.locator("#neuron").inner_text()
