'use strict';

const DRAWN = new Set(['svg', 'g', 'path', 'line', 'circle', 'text']);

function make(parent, name, attributes = {}, text = '') {
  const element = DRAWN.has(name)
    ? document.createElementNS(document.getElementById('chart').namespaceURI, name)
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== '') element.textContent = text;
  parent.append(element);
  return element;
}

function format(value) {
  if (value === null || value === undefined) return '–';
  const size = Math.abs(value);
  let text;
  if (size >= 1e6) text = `${Number((value / 1e6).toPrecision(4))} M`;
  else if (size >= 1e4) text = value.toLocaleString('en', { maximumFractionDigits: 0 }).replaceAll(',', '\u202f');
  else if (size === 0 || size >= 1e-3) text = String(Number(value.toFixed(size >= 100 ? 1 : size >= 1 ? 2 : 4)));
  else text = value.toExponential(2);
  return text.replaceAll('-', '−');
}

// Centred moving average over the values that are there; the window shrinks at the ends.
function smooth(values, width) {
  const half = (width - 1) / 2;
  if (!values || half < 1) return values;
  return values.map((own, i) => {
    if (own === null) return null;
    const reach = Math.min(half, i, values.length - 1 - i);
    const near = values.slice(i - reach, i + reach + 1).filter((value) => value !== null);
    return near.reduce((sum, value) => sum + value, 0) / near.length;
  });
}

function ticks(low, high, log, count) {
  if (log) {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
      const steps = Math.log10(high / low) > 3 ? [1] : [1, 2, 5];
      for (const step of steps) found.push(step * 10 ** power);
    }
    return found.filter((value) => value >= low * 0.999 && value <= high * 1.001);
  }
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

function scale(values, log, from, to, pad) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value === null || value === undefined || (log && value <= 0)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) [low, high] = [log ? 1 : 0, log ? 10 : 1];
  if (low === high) [low, high] = log ? [low / 2, high * 2] : [low - 0.5, high + 0.5];
  let [a, b] = log ? [Math.log10(low), Math.log10(high)] : [low, high];
  [a, b] = [a - pad * (b - a), b + pad * (b - a)];
  const to_axis = log ? Math.log10 : (value) => value;
  const place = (value) => (value === null || value === undefined || (log && value <= 0)
    ? null : from + ((to_axis(value) - a) / (b - a)) * (to - from));
  const inverse = (position) => {
    const value = a + ((position - from) / (to - from)) * (b - a);
    return log ? 10 ** value : value;
  };
  return { place, inverse, low: log ? 10 ** a : a, high: log ? 10 ** b : b, log };
}

function nearest(x, target) {
  let best = -1;
  x.forEach((value, i) => {
    if (value !== null && (best < 0 || Math.abs(value - target) < Math.abs(x[best] - target))) best = i;
  });
  return best;
}

// Labels without the groups of their fields, where they still tell configurations apart.
function shorten(labels) {
  const short = labels.map((label) => label.replaceAll(/\b\w+\.(?=[\w.]+=)/g, ''));
  return new Set(short).size === new Set(labels).size ? short : labels;
}
