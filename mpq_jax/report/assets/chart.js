(() => {
  'use strict';

  const data = JSON.parse(document.getElementById('data').textContent);
  const chart = document.getElementById('chart');
  if (!chart) return;

  const find = (id) => document.getElementById(id);
  const plot = find('plot');
  const tooltip = find('tooltip');
  const DASHES = ['', '7 3', '2 3', '9 3 2 3'];
  const MARGIN = { top: 10, right: 14, bottom: 44, left: 64 };
  const names = shorten(data.curves.map((curve) => curve.label));
  const colored = data.curves.filter((curve) => !curve.noControl);
  const curves = data.curves.map((curve, i) => ({ ...curve, name: names[i], on: true, ...style(curve) }));
  const allowed = new Map(data.fields.map((field) => [field.name, new Set(field.values)]));
  let series = [];
  let scales = null;
  let reading = null;

  function style(curve) {
    if (curve.noControl) return { color: 'var(--grey)', dash: '' };
    const i = colored.indexOf(curve);
    return { color: `var(--c${i % 8})`, dash: DASHES[Math.floor(i / 8) % DASHES.length] };
  }

  const visible = (curve) => curve.on
    && data.fields.every(({ name }) => allowed.get(name).has(curve.fields[name] ?? ''));

  function collect() {
    const key = find('measure').value;
    const axis = find('axis').value;
    const width = Number(find('smoothing').value);
    return curves.filter((curve) => visible(curve) && curve.measures[key]).map((curve) => {
      const measure = curve.measures[key];
      const at = measure.at ?? measure.mean.map((_, i) => i);
      return {
        curve,
        x: at.map((i) => curve.axes[axis]?.[i] ?? null),
        episode: at.map((i) => i + 1),
        mean: smooth(measure.mean, width),
        low: smooth(measure.low, width),
        high: smooth(measure.high, width),
        count: measure.count,
        seeds: (measure.seeds ?? []).map((values) => smooth(values, width)),
      };
    });
  }

  function line(x, values) {
    let path = '';
    let pen = false;
    values.forEach((value, i) => {
      const [left, top] = [scales.x.place(x[i]), scales.y.place(value)];
      const held = left !== null && top !== null;
      if (held) path += `${pen ? 'L' : 'M'}${left.toFixed(1)} ${top.toFixed(1)}`;
      pen = held;
    });
    return path;
  }

  // An interval's area: where the lower edge cannot be drawn (log of nothing), it is cut off below.
  function area({ x, low, high }) {
    const held = x.map((_, i) => i).filter((i) => scales.x.place(x[i]) !== null && scales.y.place(high[i]) !== null);
    if (held.length < 2) return '';
    const point = (i, value) => `${scales.x.place(x[i]).toFixed(1)} ${(scales.y.place(value) ?? scales.bottom).toFixed(1)}`;
    return `M${held.map((i) => point(i, high[i])).join('L')}L${held.reverse().map((i) => point(i, low[i])).join('L')}Z`;
  }

  function frame(width, height) {
    for (const value of ticks(scales.y.low, scales.y.high, scales.y.log, height / 60)) {
      const top = scales.y.place(value);
      make(chart, 'line', { class: 'grid', x1: MARGIN.left, x2: width - MARGIN.right, y1: top, y2: top });
      make(chart, 'text', { x: MARGIN.left - 8, y: top + 4, 'text-anchor': 'end' }, format(value));
    }
    for (const value of ticks(scales.x.low, scales.x.high, scales.x.log, width / 90)) {
      const left = scales.x.place(value);
      make(chart, 'line', { class: 'grid', x1: left, x2: left, y1: scales.bottom, y2: scales.bottom + 5 });
      make(chart, 'text', { x: left, y: scales.bottom + 19, 'text-anchor': 'middle' }, format(value));
    }
    make(chart, 'text', { x: (MARGIN.left + width) / 2, y: height - 6, 'text-anchor': 'middle' }, label('axes', 'axis'));
    const transform = `translate(13 ${(scales.bottom + MARGIN.top) / 2}) rotate(-90)`;
    make(chart, 'text', { transform, 'text-anchor': 'middle' }, label('measures', 'measure'));
  }

  const label = (kind, control) => data[kind].find(({ key }) => key === find(control).value).label;

  function draw() {
    const { width, height } = chart.getBoundingClientRect();
    series = collect();
    const [bands, seeds] = [find('bands').checked, find('seeds').checked];
    const withSeeds = (each) => seeds || (bands && !each.low); // few seeds have no interval
    const shown = series.flatMap((each) => [
      ...each.mean, ...(bands && each.low ? [...each.low, ...each.high] : []), ...(withSeeds(each) ? each.seeds.flat() : []),
    ]);
    const bottom = height - MARGIN.bottom;
    const xs = series.flatMap((each) => each.x);
    scales = {
      bottom,
      x: scale(xs, find('log-x').checked, MARGIN.left, width - MARGIN.right, 0),
      y: scale(shown, find('log-y').checked, bottom, MARGIN.top, 0.04),
    };
    chart.replaceChildren();
    frame(width, height);
    if (!series.length) make(chart, 'text', { x: width / 2, y: height / 2, 'text-anchor': 'middle' }, 'nothing selected');
    for (const each of bands ? series : []) {
      if (each.low) make(chart, 'path', { class: 'band', d: area(each) }).style.fill = each.curve.color;
    }
    for (const { curve, x, seeds: lines } of series.filter(withSeeds)) {
      for (const values of lines) stroke(make(chart, 'path', { class: 'seed', d: line(x, values) }), curve);
    }
    for (const each of series) {
      const { curve, x, mean } = each;
      stroke(make(chart, 'path', { class: 'mean', d: line(x, mean), 'data-label': curve.label }), curve);
      if (x.length < 30) x.forEach((_, i) => dot(chart, each, i, 2.5));
    }
    make(chart, 'g', { id: 'reading' });
    if (reading !== null) read(reading);
  }

  function stroke(element, curve) {
    element.style.stroke = curve.color;
    if (curve.dash) element.setAttribute('stroke-dasharray', curve.dash);
  }

  function dot(parent, { curve, x, mean }, i, r) {
    const [cx, cy] = [scales.x.place(x[i]), scales.y.place(mean[i])];
    if (cx !== null && cy !== null) make(parent, 'circle', { cx, cy, r }).style.fill = curve.color;
  }

  // Every visible configuration at the point nearest to `target`, with its interval.
  function read(target) {
    const group = find('reading');
    group.replaceChildren();
    const episodes = find('axis').value === 'episode';
    const all = series.flatMap((each) => each.x).filter((value) => value !== null);
    if (!all.length) return leave();
    reading = episodes ? all[nearest(all, target)] : Math.min(Math.max(target, scales.x.low), scales.x.high);
    const left = scales.x.place(reading);
    make(group, 'line', { class: 'crosshair', x1: left, x2: left, y1: MARGIN.top, y2: scales.bottom });
    const rows = series.map((each) => ({ each, i: nearest(each.x, reading) }))
      .filter(({ each, i }) => i >= 0 && each.mean[i] !== null && (episodes ? each.x[i] === reading
        : reading <= Math.max(...each.x) * 1.02))
      .sort((a, b) => b.each.mean[b.i] - a.each.mean[a.i]);
    for (const { each, i } of rows) dot(group, each, i, 4);
    tell(rows, episodes);
    tooltip.hidden = false;
    const room = plot.clientWidth - tooltip.offsetWidth;
    const beside = left < plot.clientWidth / 2 ? left + 14 : left - 14 - tooltip.offsetWidth;
    tooltip.style.left = `${Math.min(Math.max(0, beside), room)}px`;
    const high = rows.filter(({ each, i }) => scales.y.place(each.mean[i]) < scales.bottom / 2).length;
    const top = high * 2 > rows.length ? scales.bottom - tooltip.offsetHeight - 6 : MARGIN.top;
    tooltip.style.top = `${Math.max(MARGIN.top, top)}px`;
  }

  function tell(rows, episodes) {
    tooltip.replaceChildren();
    const axis = label('axes', 'axis');
    make(tooltip, 'strong', {}, episodes ? `episode ${reading}` : `${format(reading)} ${axis}`);
    const table = make(tooltip, 'table');
    for (const { each, i } of rows) {
      const row = make(table, 'tr');
      swatch(make(row, 'td'), each.curve);
      make(row, 'td', {}, each.curve.name + (episodes ? '' : ` (episode ${each.episode[i]})`));
      make(row, 'td', { class: 'number' }, format(each.mean[i]));
      const cell = make(row, 'td', { class: 'number interval' });
      if (each.low && each.low[i] !== null) cell.textContent = `[${format(each.low[i])}, ${format(each.high[i])}]`;
      if (each.count && each.count[i] < each.curve.seeds.length) cell.textContent += ` ${each.count[i]} of ${each.curve.seeds.length} seeds`;
    }
  }

  function leave() {
    [reading, tooltip.hidden] = [null, true];
    find('reading')?.replaceChildren();
  }

  function swatch(parent, curve) {
    const svg = make(parent, 'svg', { viewBox: '0 0 26 8', width: 26, height: 8, 'aria-hidden': 'true' });
    stroke(make(svg, 'line', { x1: 0, x2: 26, y1: 4, y2: 4, 'stroke-width': 2.5 }), curve);
  }

  function legend() {
    const buttons = curves.map((curve) => {
      const button = make(find('legend'), 'button', { type: 'button', 'aria-pressed': 'true', title: curve.label });
      swatch(button, curve);
      make(button, 'span', {}, curve.name);
      curve.button = button;
      const toggle = (on) => { curve.on = on; button.setAttribute('aria-pressed', String(on)); };
      button.addEventListener('click', () => { toggle(!curve.on); draw(); });
      return toggle;
    });
    if (curves.length < 3) return;
    for (const [text, on] of [['all', true], ['none', false]]) {
      const button = make(find('legend'), 'button', { type: 'button', class: 'all' }, text);
      button.addEventListener('click', () => { buttons.forEach((toggle) => toggle(on)); draw(); });
    }
  }

  function filters() {
    for (const { name, values } of data.fields.filter((field) => field.values.length > 1)) {
      const fieldset = make(find('filters'), 'fieldset');
      make(fieldset, 'legend', {}, name);
      const row = make(fieldset, 'div');
      for (const value of values) {
        const choice = make(row, 'label');
        const box = make(choice, 'input', { type: 'checkbox', 'data-field': name, value });
        box.checked = true;
        choice.append(value === '' ? '(none)' : value);
        box.addEventListener('change', () => { allowed.get(name)[box.checked ? 'add' : 'delete'](value); draw(); });
      }
    }
  }

  function possible() {
    const key = find('measure').value;
    const measures = curves.map((curve) => curve.measures[key]).filter(Boolean);
    const enable = (box, on) => { box.disabled = !on; box.checked = box.checked && on; };
    const values = measures.flatMap((measure) => measure.mean).filter((value) => value !== null);
    enable(find('log-y'), values.every((value) => value >= 0) && values.some((value) => value > 0));
    enable(find('seeds'), measures.some((measure) => measure.seeds));
    find('bands').disabled = !measures.some((measure) => measure.low || measure.seeds);
    for (const curve of curves) curve.button.classList.toggle('absent', !curve.measures[key]);
    const width = Number(find('smoothing').value);
    find('window').textContent = width > 1 ? `${width} points` : 'off';
    find('chart-note').textContent = 'Mean over seeds; band: 95 % interval of the mean, or with fewer than '
      + 'five seeds thin lines: the seeds. The first episode is 1.' + (width > 1 ? ' Smoothed: means and edges of intervals are averaged alike.' : '');
  }

  for (const [id, options] of [['measure', data.measures], ['axis', data.axes]]) {
    for (const { key, label: text } of options) make(find(id), 'option', { value: key }, text);
  }
  legend();
  filters();
  for (const id of ['measure', 'axis', 'smoothing', 'seeds', 'bands', 'log-x', 'log-y']) {
    const changed = () => { possible(); if (id === 'axis') leave(); draw(); };
    find(id).addEventListener(id === 'smoothing' ? 'input' : 'change', changed);
  }
  plot.addEventListener('pointermove', (event) => {
    read(scales.x.inverse(event.clientX - chart.getBoundingClientRect().left));
  });
  plot.addEventListener('pointerleave', leave);
  plot.addEventListener('keydown', (event) => {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === 'Escape') leave();
    if (!way) return;
    event.preventDefault();
    if (reading === null) read(way > 0 ? scales.x.low : scales.x.high);
    else {
      const all = series.flatMap((each) => each.x).filter((x) => x !== null && (x - reading) * way > 0);
      if (all.length) read(all.reduce((a, b) => ((a - b) * way < 0 ? a : b)));
    }
  });
  possible();
  draw();
  new ResizeObserver(draw).observe(chart);
})();
