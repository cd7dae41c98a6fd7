// Elements from texts. Texts become text nodes and attribute values, never markup.
const $ = (id) => document.getElementById(id);

function add(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
  return element;
}

function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  return element;
}

const h = (tag, attributes, ...children) => add(set(document.createElement(tag), attributes), children);
const svg = (tag, attributes, ...children) =>
  add(set(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes), children);

// Numbers beyond what JSON holds exactly come as texts.
const number = (value, digits = 2) =>
  typeof value === 'number' ? String(Number(value.toFixed(digits))) : value ?? '–';
const percent = (value) => (typeof value === 'number' ? `${Math.round(value * 100)}%` : '–');
const whole = (value) => (typeof value === 'number' ? value.toLocaleString('en') : value ?? '–');
const dollars = (value, unknown) => (unknown || typeof value !== 'number' ? 'unknown' : `$${value.toFixed(4)}`);
const plural = (n, one, many) => `${whole(n)} ${n === 1 ? one : many || `${one}s`}`;

const MARKS = { met: '✓', unmet: '✗', unscored: '?' };
const WORDS = { true: 'right', false: 'wrong', null: 'undecided' };

function say(text) {
  $('status').textContent = text;
}

// A cluster's mark: its letter, and a swatch whose colour and pattern go with it.
function badge(letter, title) {
  const kinds = 'ABCDEFGH';
  const kind = letter === '!' ? 'lost' : letter === '-' ? 'none' : kinds.includes(letter) ? letter : 'more';
  const shown = letter === '!' ? '!' : letter === '-' ? '–' : letter;
  return h('span', { class: `badge c-${kind}`, title: title || clusterName(letter) }, h('i', { 'aria-hidden': 'true' }), shown);
}

function clusterName(letter) {
  if (letter === '!') return 'failed';
  if (letter === '-') return 'no final answer';
  return letter === '*' ? 'one of the small clusters' : `cluster ${letter}`;
}

function chip(kind, text, title) {
  return h('span', { class: `chip ${kind}`, title }, text);
}

// For screen readers alone.
const hidden = (text) => h('span', { class: 'hide' }, text);

function section(id, title, ...children) {
  return h('section', { id, 'aria-labelledby': `${id}-title` }, h('h2', { id: `${id}-title` }, title), ...children);
}

function table(head, rows, { rowHead = true, caption } = {}) {
  return h('div', { class: 'wide', tabindex: '0', role: 'region', 'aria-label': caption },
    h('table', null,
      h('thead', null, h('tr', null, head.map((cell) => h('th', { scope: 'col' }, cell)))),
      h('tbody', null, rows.map((cells) => h('tr', null, cells.map((cell, i) =>
        (i === 0 && rowHead ? h('th', { scope: 'row' }, cell) : h('td', null, cell))))))));
}

// One tab stop for many buttons: arrows move among them. `columns` is how many stand in a line.
function roving(root, selector, columns = 1) {
  const all = [...root.querySelectorAll(selector)];
  all.forEach((one, i) => { one.tabIndex = i ? -1 : 0; });
  root.addEventListener('keydown', (event) => {
    const at = all.indexOf(event.target.closest(selector));
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
    if (at < 0 || !(event.key in steps)) return;
    const next = all[at + steps[event.key]];
    event.preventDefault();
    if (!next) return;
    all[at].tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
}
