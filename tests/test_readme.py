"""What the README shows, works as it stands."""

import re
from pathlib import Path

import numpy as np

README = (Path(__file__).parent.parent / 'README.md').read_text()


def test_the_task_and_the_library_calls_of_the_readme(tmp_path, monkeypatch):
    task, calls = re.findall(r'```python\n(.*?)```', README, re.DOTALL)
    (tmp_path / 'cart.py').write_text(task)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    names = {}
    exec(compile(calls, 'README.md', 'exec'), names)
    assert names['action'].shape == (1,) and np.abs(names['action']) <= 1.0
    assert (tmp_path / 'runs' / 'cart' / 'metrics.csv').exists()


def test_links_of_the_readme_lead_somewhere():
    root = Path(__file__).parent.parent
    links = re.findall(r'\]\(([^)#:]+)\)', README)
    assert len(links) > 5
    assert [link for link in links if not (root / link).exists()] == []
