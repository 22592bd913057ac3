"""The page in Debian's Chromium: it draws, sorts, filters and tells what is under the pointer."""

import os
import re
import shutil

import numpy as np
import pytest
from matplotlib.image import imread

from mpq_jax.base.statistics import confidence_interval
from mpq_jax.report import write_report
from tests import report_files
from tests.report_files import EPISODES, INJECTION, returns

DRAWS = True

webdriver = pytest.importorskip('selenium.webdriver', reason='selenium is not installed')
CHROMIUM, DRIVER = shutil.which('chromium'), shutil.which('chromedriver')
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason='needs Debian packages chromium and chromium-driver'
)


@pytest.fixture(scope='module')
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ('--headless=new', '--no-sandbox', '--disable-gpu', '--window-size=1200,1000'):
        options.add_argument(argument)
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
    service = webdriver.ChromeService(executable_path=DRIVER)
    driver = webdriver.Chrome(options=options, service=service)
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def opened(browser, tmp_path):
    """The sweep's page, opened; what it says to the console is an error."""
    browser.get(write_report(report_files.write_sweep(tmp_path / 'sweep')).as_uri())
    yield browser
    assert browser.get_log('browser') == []


def all_of(browser, selector):
    return browser.find_elements('css selector', selector)


def curves_shown(browser):
    return [path.get_attribute('data-label') for path in all_of(browser, '#chart .mean')]


def hover(browser, episode):
    """Points at an episode; what the tooltip then says, a list of cells a row."""
    chart = browser.find_element('id', 'chart')
    browser.execute_script('arguments[0].scrollIntoView({block: "center"})', chart)
    width = chart.size['width'] - 64 - 14  # between the chart's margins
    offset = 64 + width * (episode - 1) / (EPISODES - 1) - chart.size['width'] / 2
    actions = webdriver.ActionChains(browser)
    actions.move_to_element_with_offset(chart, round(offset), 0).perform()
    rows = all_of(browser, '#tooltip tr')
    heading = browser.find_element('css selector', '#tooltip strong').text
    return heading, [[cell.text for cell in row.find_elements('tag name', 'td')] for row in rows]


def figures(text):
    return [float(number) for number in re.findall(r'[\d.-]+', text.replace('\N{MINUS SIGN}', '-'))]


def test_hovering_tells_the_mean_and_its_interval(opened):
    heading, rows = hover(opened, episode=6)
    assert heading == 'episode 6'
    at_six = {f'H={h}' + INJECTION * (h == 4): returns(h)[:, 5] for h in (1, 2, 4)}
    means = {label: values.mean() for label, values in at_six.items()}
    assert [row[1] for row in rows] == sorted(means, key=means.get, reverse=True)
    for _, label, mean, interval in rows:
        assert figures(mean) == pytest.approx([means[label]], abs=0.06)
        bounds = np.ravel(confidence_interval(at_six[label]))
        assert figures(interval) == pytest.approx(bounds, abs=0.06)


def test_a_configuration_can_be_hidden_by_field_and_by_name(opened):
    labels = ['H=1', 'H=2', f'H=4{INJECTION}']
    assert curves_shown(opened) == labels
    (box,) = all_of(opened, 'input[data-field="planner.horizon"][value="2"]')
    box.click()
    assert curves_shown(opened) == labels[::2]
    all_of(opened, '#legend button')[0].click()
    assert curves_shown(opened) == labels[2:]
    assert all_of(opened, '#legend button')[0].get_attribute('aria-pressed') == 'false'
    _, rows = hover(opened, episode=3)
    assert [row[1] for row in rows] == labels[2:]
    box.click()
    assert curves_shown(opened) == labels[1:]


def test_few_seeds_are_lines_and_no_control_is_grey(browser, tmp_path):
    report_files.write_run(tmp_path / 'run', 2, seeds=3)
    report_files.write_run(tmp_path / 'run' / 'baselines' / 'no_control', 4)
    config = tmp_path / 'run' / 'baselines' / 'no_control' / 'config.json'
    config.write_text(config.read_text().replace('"mpq"', '"none"'))
    browser.get(write_report(tmp_path / 'run').as_uri())
    assert curves_shown(browser) == ['MPQ H=2', 'no control']
    assert len(all_of(browser, '#chart .seed')) == 3 and len(all_of(browser, '#chart .band')) == 1
    colors = [path.value_of_css_property('stroke') for path in all_of(browser, '#chart .mean')]
    assert colors[1] == 'rgb(125, 138, 148)' != colors[0]
    assert browser.get_log('browser') == []


def test_every_measure_and_axis_is_drawn(opened):
    for axis in all_of(opened, '#axis option'):
        axis.click()
        for measure in all_of(opened, '#measure option'):
            measure.click()
            for name in ('seeds', 'log-x', 'log-y'):
                box = opened.find_element('id', name)
                if box.is_enabled():
                    box.click()
            paths = [path.get_attribute('d') for path in all_of(opened, '#chart path')]
            assert paths and 'NaN' not in ''.join(paths)
            assert len(curves_shown(opened)) == 3


def test_the_chosen_measure_is_told(opened):
    opened.find_element('css selector', '#measure option[value="validation_return"]').click()
    heading, rows = hover(opened, episode=5)
    assert heading == 'episode 5' and [figures(row[2]) for row in rows] == [[-5.0]] * 3


def test_smoothing_is_a_centred_mean(opened):
    opened.execute_script(
        'const slider = document.getElementById("smoothing"); slider.value = 3;'
        'slider.dispatchEvent(new Event("input"))'
    )
    _, rows = hover(opened, episode=6)
    (row,) = (row for row in rows if row[1] == 'H=1')
    assert figures(row[2]) == pytest.approx([returns(1).mean(axis=0)[4:7].mean()], abs=0.06)


def test_the_reading_line_follows_the_arrow_keys(opened):
    plot = opened.find_element('id', 'plot')
    plot.send_keys(webdriver.Keys.ARROW_RIGHT)
    plot.send_keys(webdriver.Keys.ARROW_RIGHT)
    assert opened.find_element('css selector', '#tooltip strong').text == 'episode 2'
    plot.send_keys(webdriver.Keys.ESCAPE)
    assert not opened.find_element('id', 'tooltip').is_displayed()


def test_tables_sort_by_number_and_back(opened):
    table = opened.find_element('css selector', '.results table')
    heading = table.find_elements('tag name', 'th')[1]
    means = [returns(horizon).mean() for horizon in (1, 2, 4)]
    for direction, order in (('ascending', 1), ('descending', -1)):
        heading.find_element('tag name', 'button').click()
        assert heading.get_attribute('aria-sort') == direction
        cells = table.find_elements('css selector', 'tbody td:nth-child(2)')
        shown = [float(cell.get_attribute('data-value')) for cell in cells]
        assert shown == pytest.approx(sorted(means)[::order], rel=1e-6)


def test_nothing_from_a_file_ran(opened):
    assert opened.execute_script('return window.injected') is None


@pytest.mark.parametrize('width', [1200, 600])
@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_the_page_fits_and_is_drawn(browser, tmp_path, width, scheme):
    """MPQ_JAX_SCREENSHOTS names a directory that keeps the screenshots, to be looked at."""
    feature = {'name': 'prefers-color-scheme', 'value': scheme}
    browser.execute_cdp_cmd('Emulation.setEmulatedMedia', {'features': [feature]})
    size = {'width': width, 'height': 1000, 'deviceScaleFactor': 1, 'mobile': False}
    browser.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', size)
    try:
        run = report_files.write_run_with_baseline(tmp_path / 'run')
        browser.get(write_report(run).as_uri())
        assert browser.execute_script('return document.documentElement.scrollWidth') <= width
        path = os.path.join(os.environ.get('MPQ_JAX_SCREENSHOTS', tmp_path), f'{scheme}{width}.png')
        assert browser.save_screenshot(path)
    finally:
        browser.execute_cdp_cmd('Emulation.clearDeviceMetricsOverride', {})
        browser.execute_cdp_cmd('Emulation.setEmulatedMedia', {'features': []})
    pixels = imread(path)[..., :3]
    assert (pixels.mean() > 0.5) == (scheme == 'light')
    assert len(np.unique((pixels.reshape(-1, 3) * 15).astype(int), axis=0)) > 30
    assert browser.get_log('browser') == []
