// What is shown of the list: `filters.shown` are indices of rows, in the order asked for.
const filters = { shown: [], texts: null, search: 0 };

const TOGGLES = [
  ['differs', 'differs from the majority', (line) => line.differs === true],
  ['failed', 'a rollout failed', (line) => line.failed > 0],
  ['fallback', 'fall-back used', (line) => line.fallback],
];

const SORTS = [
  ['', 'as in the file', null],
  ['agreement', 'least agreement', (line) => line.agreement],
  ['mean', 'lowest mean reward', (line) => line.mean],
  ['-mean', 'highest mean reward', (line) => (line.mean === null ? null : -line.mean)],
  ['-tokens', 'most tokens', (line) => -line.tokens],
  ['-failed', 'most failures', (line) => -line.failed],
];

function option(value, text) {
  return h('option', { value }, text);
}

function field(label, control) {
  return h('label', { class: 'field' }, h('span', null, label), control);
}

function buildFilters(changed) {
  const form = $('filters');
  const { lines } = store;
  const methods = [...new Set(lines.flatMap((line) => Object.keys(line.correct)))];
  const groups = [...new Set(lines.map((line) => line.group).filter(Boolean))].sort();
  const rewarded = lines.filter((line) => line.mean !== null);
  const toggles = TOGGLES.filter(([, , test]) => lines.some(test)).map(([name, text, test]) =>
    h('label', { class: 'toggle' }, h('input', { type: 'checkbox', name }), h('span', null, `${text} (${whole(lines.filter(test).length)})`)));
  const more = [
    groups.length > 1 && field('group', h('select', { name: 'group' }, option('', 'all'), groups.map((g) => option(`=${g}`, g)))),
    rewarded.length > 0 && h('fieldset', { class: 'range' }, h('legend', null, 'mean reward'),
      field('from', h('input', { name: 'low', type: 'number', step: 'any', inputmode: 'decimal' })),
      field('to', h('input', { name: 'high', type: 'number', step: 'any', inputmode: 'decimal' }))),
    methods.map((name, i) => field(name, h('select', { name: `m${i}` },
      option('', 'right, wrong or undecided'), option('true', 'right'), option('false', 'wrong'), option('null', 'undecided')))),
    field('order', h('select', { name: 'sort' }, SORTS.map(([name, text]) => option(name, text)))),
  ];
  filters.methods = methods;
  add(form, [
    h('div', { class: 'searching' },
      h('input', { type: 'search', name: 'q', 'aria-label': 'Search', placeholder: 'Search', 'aria-keyshortcuts': '/' }),
      h('label', { class: 'toggle' }, h('input', { type: 'checkbox', name: 'all' }), h('span', null, 'in all texts'))),
    toggles.length > 0 && h('div', { class: 'toggles' }, toggles),
    h('details', { id: 'more' }, h('summary', null, 'More filters, order'), h('div', { class: 'grid' }, more)),
  ]);
  form.addEventListener('submit', (event) => event.preventDefault());
  let timer = 0;
  const busy = () => $('list').setAttribute('aria-busy', 'true');
  form.addEventListener('input', () => {
    busy();
    clearTimeout(timer);
    timer = setTimeout(() => apply(changed), 120);
  });
  form.addEventListener('reset', () => {
    busy();
    setTimeout(() => apply(changed), 0);
  });
  apply(changed);
}

async function apply(changed) {
  const form = $('filters');
  const asked = new FormData(form);
  const words = (asked.get('q') || '').trim().toLowerCase();
  filters.search += 1;
  const mine = filters.search;
  let texts = null;
  if (words && asked.get('all')) {
    const total = store.lines.length;
    texts = await searchTexts(words, () => mine === filters.search, (n) => {
      $('count').textContent = `searched ${whole(n)} of ${plural(total, 'row')} …`;
    });
    if (texts === null) return;
  }
  const number = (name) => (asked.get(name) ? Number(asked.get(name)) : null);
  const [low, high, group] = [number('low'), number('high'), asked.get('group')];
  const toggled = TOGGLES.filter(([name]) => asked.get(name)).map(([, , test]) => test);
  const right = filters.methods.map((name, i) => [name, asked.get(`m${i}`)]).filter(([, value]) => value);
  const matches = (line, i) => toggled.every((test) => test(line))
    && (!group || line.group === group.slice(1))
    && (low === null || (line.mean !== null && line.mean >= low))
    && (high === null || (line.mean !== null && line.mean <= high))
    && right.every(([name, value]) => String(line.correct[name] ?? null) === value)
    && (!words || (texts ? texts.has(i)
      : `${line.id}\n${line.title}\n${line.answer ?? ''}\n${line.gold ?? ''}\n${line.group}`.toLowerCase().includes(words)));
  const shown = [];
  store.lines.forEach((line, i) => {
    if (matches(line, i)) shown.push(i);
  });
  const by = SORTS.find(([name]) => name === (asked.get('sort') || ''))[2];
  if (by) {
    const keys = store.lines.map(by);
    const key = (i) => (keys[i] === null ? Infinity : keys[i]);
    shown.sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : a - b));
  }
  filters.shown = shown;
  const all = store.lines.length;
  const count = $('count');
  count.textContent = shown.length === all ? plural(all, 'row') : `${whole(shown.length)} of ${plural(all, 'row')}`;
  if (shown.length !== all || words) count.append(' ', h('button', { type: 'button', class: 'plain', onclick: () => form.reset() }, 'clear'));
  changed();
  $('list').setAttribute('aria-busy', 'false');
}
