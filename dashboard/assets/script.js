// Everything works without this script: it adds pointing, zooming, sorting, local times, a theme, and news of running suites.
// What it needs to know of a chart, the chart says in `data-` attributes and in `<metadata>`; see chart/history.rs.
'use strict';

// Before the page is drawn, so that it never flashes.
const THEME = 'longhaul-theme';
const stored = (() => { try { return localStorage.getItem(THEME); } catch { return null; } })();
if (stored === 'light' || stored === 'dark') document.documentElement.dataset.theme = stored;

const SVG = 'http://www.w3.org/2000/svg';
const make = (name, attributes = {}, text) => {
  const one = name.startsWith('svg:') ? document.createElementNS(SVG, name.slice(4)) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) one.setAttribute(key, value);
  if (text !== undefined) one.textContent = text;
  return one;
};

/** Three digits are enough, as everywhere on the pages. */
const digits = value => {
  if (value === 0) return '0';
  const size = Math.abs(value);
  return size >= 100 ? value.toFixed(0) : value.toPrecision(3);
};

// ---------------------------------------------------------------- charts across commits

/** One drawn history: where a commit is, and what is known of it. */
class Chart {
  constructor(svg) {
    this.svg = svg;
    this.n = Number(svg.dataset.n);
    const [x0, y0, x1, y1] = svg.dataset.plot.split(' ').map(Number);
    Object.assign(this, { x0, y0, x1, y1, data: JSON.parse(svg.querySelector('metadata').textContent) });
    this.cursor = make('svg:line', { class: 'cursor', y1: y0, y2: y1, visibility: 'hidden' });
    this.band = make('svg:rect', { class: 'band', y: y0, height: y1 - y0, visibility: 'hidden' });
    svg.append(this.band, this.cursor);
  }

  /** The told commit that is nearest to a place on the screen; -1 outside of the plot. */
  at(event) {
    const box = this.svg.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * this.svg.viewBox.baseVal.width;
    if (x < this.x0 - 12 || x > this.x1 + 12) return -1;
    const wanted = (x - this.x0) / (this.x1 - this.x0) * this.n - .5;
    let best = 0;
    this.data.at.forEach((commit, i) => { if (Math.abs(commit - wanted) < Math.abs(this.data.at[best] - wanted)) best = i; });
    return best;
  }

  x(i) { return this.x0 + (this.data.at[i] + .5) / this.n * (this.x1 - this.x0); }

  point(i) {
    const shown = i >= 0 && i < this.data.at.length;
    this.cursor.setAttribute('visibility', shown ? 'visible' : 'hidden');
    if (!shown) return;
    this.cursor.setAttribute('x1', this.x(i));
    this.cursor.setAttribute('x2', this.x(i));
  }

  mark(from, to) {
    this.band.setAttribute('visibility', from === to ? 'hidden' : 'visible');
    const [left, right] = [this.x(Math.min(from, to)), this.x(Math.max(from, to))];
    this.band.setAttribute('x', left);
    this.band.setAttribute('width', right - left);
  }
}

/** The charts of a page: one cursor for all of them. */
class Charts {
  constructor(all) {
    this.all = all;
    this.tip = make('div', { class: 'tip', role: 'status', 'aria-live': 'polite', hidden: '' });
    document.body.append(this.tip);
    this.index = -1;
    all.forEach(chart => this.listen(chart));
  }

  listen(chart) {
    const { svg } = chart;
    let from = null;
    svg.setAttribute('tabindex', '0');
    // What has parts that lead somewhere is no picture.
    svg.setAttribute('role', 'group');
    svg.setAttribute('aria-description', 'Arrow keys go through the commits; Enter compares one with the one before.');
    svg.addEventListener('pointermove', event => {
      const i = chart.at(event);
      if (from !== null && i >= 0) chart.mark(from, i);
      this.point(chart, i, event);
    });
    svg.addEventListener('pointerleave', () => this.hide());
    svg.addEventListener('pointerdown', event => { if (event.button === 0 && !event.target.closest('a')) from = chart.at(event); });
    svg.addEventListener('pointerup', event => {
      if (from === null) return;
      const [start, end] = [from, chart.at(event)];
      from = null;
      chart.mark(0, 0);
      if (start < 0 || end < 0) return;
      if (Math.abs(start - end) > 1) this.zoom(chart, Math.min(start, end), Math.max(start, end));
      else if (start === end) this.compare(chart, end);
    });
    svg.addEventListener('keydown', event => {
      const last = chart.data.at.length - 1;
      const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity, PageUp: -10, PageDown: 10 }[event.key];
      if (step !== undefined) {
        const start = this.index < 0 ? last : this.index + step;
        this.point(chart, Math.max(0, Math.min(last, start)));
      } else if (event.key === 'Enter' && this.index >= 0) this.compare(chart, this.index);
      else if (event.key === 'Escape') this.hide();
      else return;
      event.preventDefault();
    });
    svg.addEventListener('blur', () => this.hide());
  }

  point(chart, i, event) {
    this.index = i;
    this.all.forEach(other => { if (other.n === chart.n) other.point(i); });
    this.tip.hidden = i < 0;
    if (i < 0) return;
    const { names, lines, changes, at, divisor, unit } = chart.data;
    const rows = lines.filter(line => line.medians[i] !== null).map(line => {
      const row = make('div');
      row.append(make('span', { class: line.class }, line.label), make('b', {}, `${digits(line.medians[i] / divisor)} ${unit}`));
      return row;
    });
    const notes = changes.filter(change => change.at === at[i]).map(change => make('div', { class: 'bad' }, change.text));
    this.tip.replaceChildren(make('div', { class: 'quiet' }, `${chart.data.title} at ${names[i]}`), ...rows, ...notes);
    const box = chart.svg.getBoundingClientRect();
    const x = event ? event.clientX : box.left + chart.x(i) / chart.svg.viewBox.baseVal.width * box.width;
    const y = event ? event.clientY : box.top + 40;
    const width = this.tip.offsetWidth;
    this.tip.style.left = `${Math.max(8, x + 16 + width > innerWidth ? x - width - 16 : x + 16)}px`;
    this.tip.style.top = `${Math.max(8, Math.min(y + 12, innerHeight - this.tip.offsetHeight - 8))}px`;
  }

  hide() {
    this.index = -1;
    this.tip.hidden = true;
    this.all.forEach(chart => { chart.point(-1); chart.mark(0, 0); });
  }

  /** The page's address is its state, so the way back is the browser's. */
  zoom(chart, from, to) {
    if (!document.querySelector('form[data-view]')) return;
    const address = new URL(location.href);
    address.searchParams.set('from', chart.data.names[from].replace('+', ''));
    address.searchParams.set('to', chart.data.names[to].replace('+', ''));
    location.assign(address);
  }

  compare(chart, i) {
    const { names } = chart.data;
    const [base, head] = [names[i - 1], names[i]];
    if (!head || head.includes(' ')) return;
    const address = new URL(base ? '/compare' : `/commit/${encodeURIComponent(head)}`, location.href);
    for (const key of ['project', 'host']) {
      const value = new URL(location.href).searchParams.get(key);
      if (value) address.searchParams.set(key, value);
    }
    if (base) {
      address.searchParams.set('base', base.replace('+', ''));
      address.searchParams.set('head', head.replace('+', ''));
    }
    location.assign(address);
  }
}

// ---------------------------------------------------------------- runs over time

/** One line through all lanes at the time that is pointed at. */
const timelines = () => {
  const all = [...document.querySelectorAll('svg.timeline[data-plot]')];
  const cursors = new Map(all.map(svg => {
    const [, y0, , y1] = svg.dataset.plot.split(' ').map(Number);
    const line = make('svg:line', { class: 'cursor', y1: y0, y2: y1, visibility: 'hidden' });
    svg.append(line);
    return [svg, line];
  }));
  all.forEach(svg => {
    svg.addEventListener('pointermove', event => {
      const box = svg.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
      const [x0, , x1] = svg.dataset.plot.split(' ').map(Number);
      const share = (x - x0) / (x1 - x0);
      cursors.forEach((line, other) => {
        const [left, , right] = other.dataset.plot.split(' ').map(Number);
        const at = left + share * (right - left);
        line.setAttribute('visibility', share >= 0 && share <= 1 ? 'visible' : 'hidden');
        line.setAttribute('x1', at);
        line.setAttribute('x2', at);
      });
    });
    svg.addEventListener('pointerleave', () => cursors.forEach(line => line.setAttribute('visibility', 'hidden')));
  });
};

// ---------------------------------------------------------------- tables

/** Columns sort by what `data-value` says, or by their words. */
const sortable = table => {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = make('button', { class: 'sort', type: 'button' }, head.textContent);
    head.replaceChildren(button);
    button.addEventListener('click', () => {
      const down = head.getAttribute('aria-sort') === 'ascending';
      heads.forEach(other => other.removeAttribute('aria-sort'));
      head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      const value = row => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
      const order = (a, b) => {
        const [x, y] = [value(a), value(b)];
        const numbers = x !== '' && y !== '' && !isNaN(x) && !isNaN(y);
        return numbers ? x - y : x.localeCompare(y, undefined, { numeric: true });
      };
      const rows = [...table.tBodies[0].rows].sort((a, b) => down ? order(b, a) : order(a, b));
      table.tBodies[0].append(...rows);
    });
  });
};

/** A field that hides the rows that do not have its words. */
const filterable = table => {
  const field = make('input', { type: 'search', placeholder: 'Filter', 'aria-label': 'Show only rows with these words', class: 'filter' });
  table.parentElement.before(field);
  field.addEventListener('input', () => {
    const words = field.value.toLowerCase().split(/\s+/);
    for (const row of table.tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every(word => text.includes(word));
    }
  });
};

// ---------------------------------------------------------------- times, theme, news

/** Times as on the reader's own clock; hovering says them in UTC. */
const local = time => {
  const at = new Date(time.dateTime);
  if (isNaN(at)) return;
  time.title = time.dateTime;
  const two = value => String(value).padStart(2, '0');
  time.textContent = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
};

const theme = () => {
  const dark = () => document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === 'dark'
    : matchMedia('(prefers-color-scheme: dark)').matches;
  const button = make('button', { type: 'button', class: 'theme' });
  const say = () => { button.textContent = dark() ? 'Light' : 'Dark'; };
  button.addEventListener('click', () => {
    document.documentElement.dataset.theme = dark() ? 'light' : 'dark';
    try { localStorage.setItem(THEME, document.documentElement.dataset.theme); } catch { /* it lasts for this page */ }
    say();
  });
  say();
  document.querySelector('body > header > div')?.append(button);
};

/** A suite that is running, and results that are newer than the page. */
const news = () => {
  if (!('EventSource' in window) || !document.body.dataset.events) return;
  const box = make('p', { class: 'news', role: 'status', hidden: '' });
  document.querySelector('main').prepend(box);
  const source = new EventSource(document.body.dataset.events);
  const again = count => [`${count} new ${count === 1 ? 'run' : 'runs'} since this page was made. `, make('a', { href: location.href }, 'Show them')];
  source.addEventListener('progress', event => {
    const { what, done, total, now, runs } = JSON.parse(event.data);
    box.hidden = false;
    box.replaceChildren(`Running ${what}: ${done} of ${total} `, make('progress', { max: total, value: done, 'aria-label': 'Runs' }), ` ${now}. `, ...(runs ? again(runs) : []));
  });
  source.addEventListener('runs', event => {
    const { count } = JSON.parse(event.data);
    box.hidden = count === 0;
    box.replaceChildren(...again(count));
  });
  source.addEventListener('idle', () => { box.hidden = true; });
  addEventListener('pagehide', () => source.close());
};

document.addEventListener('DOMContentLoaded', () => {
  theme();
  document.querySelectorAll('time[datetime]').forEach(local);
  document.querySelectorAll('table[data-sortable]').forEach(table => { sortable(table); if (table.tBodies[0].rows.length > 8) filterable(table); });
  const charts = [...document.querySelectorAll('svg[data-chart="history"]')].map(svg => new Chart(svg));
  if (charts.length) new Charts(charts);
  timelines();
  news();
});
