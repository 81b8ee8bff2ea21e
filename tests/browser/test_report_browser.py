"""The report in headless Chromium: wide and narrow, by keyboard, without network or complaints."""

import pytest

from browser_visit import NARROW, WIDE, Visit
from freegaze.evaluation.compare import compare
from freegaze.paper.grid_page import save_result as save_grid
from freegaze.paper.result import collect
from freegaze.quality.checks import check_quality
from freegaze.reports import write_comparison_page, write_quality_page, write_report
from freegaze.studies.bench_page import save_result as save_bench
from report_runs import (
    HOSTILE,
    HOSTILE_ATTRIBUTE,
    make_bench,
    make_grid,
    make_run,
    make_session,
    true_displacement,
)

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Write each kind of page, with long and hostile names in it."""
    folder = tmp_path_factory.mktemp("pages")
    units = (HOSTILE, HOSTILE_ATTRIBUTE, "u" * 120, *(f"unit {i}" for i in range(12)))
    recording = make_session(HOSTILE, len(units), 4800, has_truth=True, unit_ids=units)
    second = make_session("session_" + "x" * 60, 3, seed=1)
    recordings = [recording, second]
    run = make_run(folder / "run", recordings, has_shifter=True)
    other = make_run(folder / "other", recordings, seed=4).evaluation
    truth = {r.session_id: true_displacement(r) for r in recordings}
    baselines = {"glm": other, "a_baseline_" + "y" * 60: other}
    models = {"glm": [other], HOSTILE: [run.evaluation]}
    return {
        "report": write_report(*run.arguments(), baselines, folder / "report.html", truth),
        "quality": write_quality_page(recording, check_quality(recording), folder / "quality.html"),
        "comparison": write_comparison_page(compare(models, draws=20), folder / "c.html"),
        "grid": save_grid(collect(make_grid(folder / "grid"), draws=20))[2],
    }


@pytest.mark.parametrize("size", [WIDE, (768, 900), NARROW, (320, 600)], ids=str)
@pytest.mark.parametrize("name", ["report", "quality", "comparison", "grid"])
def test_page_fits_its_window_and_complains_of_nothing(browser, pages, name, size):
    with Visit(browser, pages[name], size) as visit:
        assert visit.overflow_px <= 0
        assert visit.page.evaluate("document.images.length") == 0
        assert visit.complaints == []


def test_the_scores_of_a_bench_need_no_scrolling_on_a_screen(browser, tmp_path):
    result = make_bench(tmp_path, ("local_energy", "behavior_only"), ("ay2_u003", "070921_J553RT"))
    _, _, page, _ = save_bench(result)
    assert page.suffix == ".html"
    with Visit(browser, page, WIDE) as visit:
        tables = visit.page.locator(".scroller")
        too_wide = tables.evaluate_all("all => all.map((t) => t.scrollWidth - t.clientWidth)")
        assert len(too_wide) == 3  # scores, fits, failed fits
        assert max(too_wide) <= 0
        assert visit.overflow_px <= 0
        assert visit.complaints == []
    with Visit(browser, page, NARROW) as visit:
        assert visit.overflow_px <= 0


@pytest.mark.parametrize("name", ["report", "grid"])
def test_figures_are_visible_and_legible_at_both_widths(browser, pages, name):
    measure = """() => [...document.querySelectorAll(".drawing svg")]
        .filter((svg) => svg.getBoundingClientRect().width > 0)
        .map((svg) => {
            const width = svg.getBoundingClientRect().width;
            const sizes = [...svg.querySelectorAll("text")].map((text) =>
                parseFloat(getComputedStyle(text).fontSize));
            return [width, Math.min(...sizes) * width / svg.viewBox.baseVal.width];
        })"""
    for size in (WIDE, NARROW):
        with Visit(browser, pages[name], size) as visit:
            shown = visit.page.evaluate(measure)
            n_panels = visit.page.evaluate('document.querySelectorAll(".panel").length')
        assert len(shown) == n_panels
        assert all(width > 200 for width, _ in shown)
        assert min(text_px for _, text_px in shown) >= 9


def column(page, n):
    cells = page.locator(f"table[data-sortable] tbody tr > :nth-child({n})")
    return cells.evaluate_all("cells => cells.map((cell) => cell.dataset.value)")


def test_table_sorts_by_keyboard_and_says_so(browser, pages):
    with Visit(browser, pages["report"], WIDE) as visit:
        page = visit.page
        heads = page.locator("table[data-sortable] thead th")
        labels = heads.locator("button").all_inner_texts()
        n = labels.index("correlation") + 1
        button = heads.nth(n - 1).locator("button")
        button.focus()
        page.keyboard.press("Enter")
        values = [float(v) for v in column(page, n) if v]
        assert values == sorted(values, reverse=True)
        assert heads.nth(n - 1).get_attribute("aria-sort") == "descending"
        page.keyboard.press("Space")
        values = [float(v) for v in column(page, n) if v]
        assert values == sorted(values)
        assert page.locator("[aria-sort]").count() == 1
        heads.nth(0).locator("button").click()
        names = column(page, 1)
        order = [name for name in names if name.startswith("unit ")]
        assert order == [f"unit {i}" for i in range(12)]  # 2 before 10, as people count
        assert visit.complaints == []


def test_neurons_without_a_value_stay_last(browser, pages):
    with Visit(browser, pages["report"], WIDE) as visit:
        page = visit.page
        page.evaluate(
            """() => {
                document.querySelector("table[data-sortable] tbody tr").cells[2].dataset.value = "";
            }"""
        )
        button = page.locator("table[data-sortable] thead button").nth(2)
        for _ in range(2):
            button.click()
            assert column(page, 3)[-1] == ""


def test_everything_is_reached_by_tab(browser, pages):
    focused = """() => {
        const e = document.activeElement;
        return e.tagName + (e.getAttribute("href") || e.getAttribute("role") || "");
    }"""
    with Visit(browser, pages["report"], WIDE) as visit:
        reached = []
        for _ in range(60):
            visit.page.keyboard.press("Tab")
            reached.append(visit.page.evaluate(focused))
    assert reached[0] == "A#main"
    assert {"A#scores", "A#quality", "DIVregion", "BUTTON", "SUMMARY"} <= set(reached)


def test_contents_lead_to_sections_and_mark_the_one_read(browser, pages):
    with Visit(browser, pages["report"], WIDE, reduced_motion="reduce") as visit:
        page = visit.page
        link = page.locator('.contents a[href="#fit"]')
        link.click()
        page.wait_for_selector('.contents a[href="#fit"][aria-current]')
        assert page.locator("#fit").bounding_box()["y"] < 100


def test_text_is_there_without_scripts(browser, pages):
    with Visit(browser, pages["report"], NARROW, java_script_enabled=False) as visit:
        assert visit.page.locator("section").count() == 8
        assert HOSTILE in visit.page.locator("tbody").first.inner_text()


def test_injected_scripts_would_not_run(browser, pages, tmp_path):
    text = pages["report"].read_text().replace("<body>", "<body><script>window.bad = 1</script>")
    (tmp_path / "tampered.html").write_text(text)
    with Visit(browser, tmp_path / "tampered.html", WIDE) as visit:
        assert visit.page.evaluate("window.bad") is None
        assert any("Content Security Policy" in complaint for complaint in visit.complaints)
