"""The page of a run or a sweep: what it says, against the files it was made from."""

import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

import mpq_jax
from mpq_jax.report import curves, read_directory, write_report
from mpq_jax.report.content import Curve
from tests import report_files
from tests.entry_points import run
from tests.report_files import EPISODES, HORIZONS, INJECTION, SEEDS, metric_rows, returns


@pytest.fixture
def run_directory(tmp_path):
    return report_files.write_run_with_baseline(tmp_path / 'run')


@pytest.fixture
def sweep_directory(tmp_path):
    return report_files.write_sweep(tmp_path / 'sweep')


class Page(HTMLParser):
    """Elements with their attributes, text, the tables' cells and the embedded data."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.rows, self.scripts, self.words = [], [], [], []
        self.html = path.read_text()
        self.feed(self.html)
        self.text = ' '.join(self.words)
        self.data = json.loads(self.scripts[0], parse_constant=pytest.fail)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag == 'tr':
            self.rows.append([])
        elif tag == 'td':
            self.rows[-1].append(dict(attributes)['data-value'])

    def handle_data(self, data):
        inside = self.elements[-1][0] if self.elements else ''
        (self.scripts if inside == 'script' else self.words).append(data)

    def table_row(self, first):
        return next(row for row in self.rows if row and row[0] == first)

    def sources(self, tag):
        return [a['src'] for name, a in self.elements if name == tag]


def test_a_sweep_is_one_page_that_asks_nobody_for_anything(sweep_directory):
    page = Page(write_report(sweep_directory))
    for tag, attributes in page.elements:
        for name in ('src', 'href'):
            assert re.match(r'data:|#', attributes.get(name, '#')), (tag, attributes[name])
    assert 'http://' not in page.html and 'https://' not in page.html
    assert '@import' not in page.html and 'url(' not in page.html
    assert len(page.sources('img')) == 3  # an episode of every cell
    assert len(page.html) < 100_000
    assert 'torch' in page.text and 'not installed' in page.text


def test_values_are_those_of_the_files(sweep_directory):
    page = Page(write_report(sweep_directory))
    assert [curve['fields'] for curve in page.data['curves']] == [
        {'planner.horizon': str(horizon)} for horizon in HORIZONS
    ]
    for horizon, curve in zip(HORIZONS, page.data['curves'], strict=True):
        table, measure = returns(horizon), curve['measures']['return']
        half = 3.182446 * table.std(axis=0, ddof=1) / np.sqrt(SEEDS)  # t of 3 degrees of freedom
        np.testing.assert_allclose(measure['mean'], table.mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(measure['low'], table.mean(axis=0) - half, rtol=1e-5)
        np.testing.assert_allclose(measure['high'], table.mean(axis=0) + half, rtol=1e-5)
        np.testing.assert_allclose(measure['seeds'], table, rtol=1e-5)
        since_first = [table[:, :e].mean() for e in range(1, EPISODES + 1)]
        cumulative = curve['measures']['cumulative_return']
        np.testing.assert_allclose(cumulative['mean'], since_first, rtol=1e-5)
        assert curve['axes']['model_steps'] == [100 * horizon * e for e in range(1, EPISODES + 1)]
        assert curve['measures']['validation_return']['at'] == [4, 9]
        assert curve['measures']['q_loss']['mean'] == [0.5]  # NaN is no value
        assert curve['measures']['novelty']['mean'] == [3] * EPISODES
    row = page.table_row('H=2')
    assert float(row[1]) == pytest.approx(returns(2).mean(), rel=1e-6) and row[2] == '-1'
    each = page.table_row('H=1')
    assert len(each) == 7 and each[5:] == ['3600', '12.5']


def test_what_comes_from_files_is_only_text(sweep_directory):
    page = Page(write_report(sweep_directory))
    assert all(attributes.get('src') != 'x' for _, attributes in page.elements)
    assert any(row and row[0] == f'H=4{INJECTION}' for row in page.rows)
    assert page.data['curves'][2]['label'] == f'H=4{INJECTION}'
    assert '<img src=x' not in page.html


@pytest.mark.parametrize('with_csv', [True, False])
def test_an_unfinished_sweep_says_what_is_missing(sweep_directory, with_csv):
    (sweep_directory / 'summary.json').unlink()
    shutil.rmtree(sweep_directory / 'cells' / 'planner.horizon=4')
    rows = [{'configuration': 1, 'planner.horizon': 2} | r for r in metric_rows(2, 2, 7)]
    report_files.write_csv(sweep_directory / 'sweep.csv', rows)
    if not with_csv:
        (sweep_directory / 'sweep.csv').unlink()
        shutil.rmtree(sweep_directory / 'cells' / 'planner.horizon=1')
        report_files.write_csv(
            sweep_directory / 'cells' / 'planner.horizon=2' / 'metrics.csv', rows
        )
    page = Page(write_report(sweep_directory))
    for text in (
        'There is no summary yet',
        'planner.horizon=4: not started',
        'planner.horizon=4: no episodes yet',
        'planner.horizon=1: no episodes yet',
        'planner.horizon=2: nothing yet of seeds 2, 3, 4',
        'planner.horizon=2: 7 of 12 episodes so far',
    ):
        assert text in page.text
    (curve,) = page.data['curves']
    np.testing.assert_allclose(
        curve['measures']['return']['mean'], returns(2)[:2, :7].mean(axis=0), rtol=1e-5
    )
    assert float(page.table_row('planner.horizon=2')[2]) == pytest.approx(returns(2)[:2, :7].mean())


def test_a_sweep_without_any_episode_is_still_a_page(sweep_directory):
    for name in ('summary.json', 'sweep.csv', 'manifest.json'):
        (sweep_directory / name).unlink()
    shutil.rmtree(sweep_directory / 'cells')
    page = Page(write_report(sweep_directory))
    assert page.data['curves'] == [] and 'not started' in page.text


def test_a_run_with_its_baselines(run_directory):
    page = Page(write_report(run_directory))
    assert [curve['label'] for curve in page.data['curves']] == ['MPQ H=2', 'MPQ H=4']
    assert page.data['fields'] == [{'name': 'planner.horizon', 'values': ['2', '4']}]
    assert page.table_row('planner.horizon') == ['planner.horizon', '2', '8']
    marked = [i for i, (tag, a) in enumerate(page.elements) if a.get('class') == 'marked']
    assert len(marked) == 3  # horizon, seeds, episodes
    assert ['MPQ H=2', 'best', 'all 1', '12', '20', '-7.25', '', '', ''] in page.rows
    assert '[-8.5, -6]' in page.text.replace('\N{MINUS SIGN}', '-')
    assert [source[:14] for source in page.sources('img')].count('data:image/gif') == 1
    assert page.sources('video') == ['data:video/mp4;base64,bm90IGxvb2tlZCBpbnRv']
    assert 'MPQ H=4: slow' in page.text


def test_a_run_of_one_seed_with_a_torn_line_has_no_interval(tmp_path):
    report_files.write_run(tmp_path / 'run', 2, seeds=1, episodes=3)
    with open(tmp_path / 'run' / 'metrics.csv', 'a') as file:
        file.write('0,3,-1')
    report = read_directory(tmp_path / 'run')
    assert report.curves[0].columns['return'].shape == (1, 3)
    assert report.problems == ['MPQ H=2: 3 of 12 episodes so far']
    measure = curves.chart(report.curves)['curves'][0]['measures']['return']
    assert set(measure) == {'mean'}


def test_seeds_that_lack_an_episode_are_left_out_of_its_mean():
    table = np.array([[1.0, 2.0, np.nan], [3.0, np.nan, np.nan]])
    curve = Curve('ours', {}, [0, 1], {'return': table})
    measure = curves.chart([curve])['curves'][0]['measures']['return']
    assert measure['mean'] == [2, 2] and measure['at'] == [0, 1] and measure['count'] == [2, 1]
    assert 'low' not in measure and measure['seeds'] == [[1, 2], [3, None]]


@pytest.mark.parametrize(
    ('files', 'message'),
    [
        (None, 'is not a directory'),
        ({}, 'holds neither a run .config.json. nor a sweep'),
        ({'config.json': '{'}, 'config.json cannot be read'),
        ({'config.json': '[]'}, 'no JSON object'),
        ({'sweep.json': '{"cells": [{"directory": "../.."}]}'}, 'lies outside the sweep'),
        ({'config.json': '{}', 'metrics.csv': 'return,seed,episode\n1,0,x\n'}, "'x' where a seed"),
    ],
)
def test_what_cannot_be_reported_on_is_named(tmp_path, files, message):
    path = tmp_path / 'there'
    if files is not None:
        path.mkdir()
        for name, text in files.items():
            (path / name).write_text(text)
    with pytest.raises(mpq_jax.RunError, match=message):
        write_report(path)
    assert not (path / 'report.html').exists()


def test_a_page_that_cannot_be_written_is_named(run_directory):
    with pytest.raises(mpq_jax.RunError, match=r'none.page\.html cannot be written'):
        write_report(run_directory, run_directory / 'none' / 'page.html')


def test_from_the_command_line(run_directory, tmp_path):
    done = run('report', f'--run_dir={run_directory}', f'--output={tmp_path / "page.html"}')
    assert done.returncode == 0, done.stderr
    assert 'page.html' in done.stdout and Page(tmp_path / 'page.html').data['curves']
    assert not (run_directory / 'report.html').exists()


def test_from_the_command_line_a_mistake_is_one_line(tmp_path):
    done = run('report', f'--run_dir={tmp_path / "none"}')
    assert done.returncode == 2 and done.stdout == ''
    assert done.stderr.startswith('error: ') and done.stderr.count('\n') == 1
