// The list of rows: only those in view are elements, whatever their number.
const HEIGHT = 76;
const HIGHEST = 15000000;
const list = { selected: -1, open: () => {}, drawn: new Map(), of: null };

// Browsers limit how high an element may be: beyond that a pixel of scrolling stands for more than one.
const listHeight = () => filters.shown.length * HEIGHT;
const listScale = () => Math.max(1, listHeight() / HIGHEST);

function firstInView() {
  const box = $('list');
  const scale = listScale();
  if (scale === 1) return box.scrollTop;
  const most = HIGHEST - box.clientHeight;
  return (box.scrollTop / most) * (listHeight() - box.clientHeight);
}

function drawList() {
  const box = $('list');
  const space = $('space');
  const total = filters.shown.length;
  const top = firstInView();
  const shift = box.scrollTop - top;
  const first = Math.max(0, Math.floor(top / HEIGHT) - 4);
  const last = Math.min(total, Math.ceil((top + box.clientHeight) / HEIGHT) + 4);
  if (list.of !== filters.shown) {
    space.style.height = `${Math.min(listHeight(), HIGHEST)}px`;
    list.of = filters.shown;
    list.drawn.clear();
    space.replaceChildren();
  }
  for (const [place, element] of list.drawn) {
    if (place < first || place >= last) {
      element.remove();
      list.drawn.delete(place);
    }
  }
  for (let place = first; place < last; place += 1) {
    let element = list.drawn.get(place);
    if (!element) {
      element = item(place, total);
      list.drawn.set(place, element);
      space.append(element);
    }
    // Reading the layout in this loop would make the browser lay out once a row.
    if (shift || !element.style.transform) element.style.transform = `translateY(${place * HEIGHT + shift}px)`;
    const selected = String(place === list.selected);
    if (element.getAttribute('aria-selected') !== selected) element.setAttribute('aria-selected', selected);
  }
  const active = list.selected >= first && list.selected < last ? `row-${list.selected}` : null;
  if (active) box.setAttribute('aria-activedescendant', active);
  else box.removeAttribute('aria-activedescendant');
  if (!total && !space.firstChild) space.append(h('p', { class: 'say' }, 'No row is like that.'));
}

function item(place, total) {
  const line = store.lines[filters.shown[place]];
  const lettered = /[^-]/.test(line.letters);
  const marks = lettered ? [...line.letters.slice(0, 16)].map((letter) => badge(letter)) : [];
  if (lettered && line.letters.length > 16) marks.push(h('span', { class: 'dim' }, `+${line.letters.length - 16}`));
  const about = [
    line.differs === true && chip('warn', '≠ majority', 'the reference differs from the majority'),
    line.fallback && chip('warn', 'fall-back'),
    line.failed > 0 && chip('bad', `${line.failed} failed`),
    line.mean !== null && chip('', `reward ${number(line.mean)}`, 'mean reward'),
    Object.entries(line.correct).slice(0, 4).map(([name, right]) => rightness(name, right)),
  ];
  return h('div', {
    role: 'option', id: `row-${place}`, class: 'item',
    'aria-setsize': total, 'aria-posinset': place + 1, 'data-place': place,
  },
  h('div', { class: 'first' }, h('span', { class: 'id' }, line.id), h('span', { class: 'title', dir: 'auto' }, line.title)),
  h('div', { class: 'second' },
    lettered ? h('span', { class: 'marks', role: 'img', 'aria-label': lettersSaid(line.letters) }, marks)
      : h('span', { class: 'dim' }, plural(line.letters.length, 'rollout')),
    line.answer !== null && h('span', { class: 'answer', dir: 'auto' }, line.by !== null && h('span', { class: 'dim' }, `${line.by} `), `→ ${line.answer}`)),
  h('div', { class: 'third' }, about));
}

function rightness(name, right) {
  const kind = right === true ? 'good' : right === false ? 'bad' : '';
  return chip(kind, `${right === true ? '✓' : right === false ? '✗' : '?'} ${name}`, `${name}: ${WORDS[right]}`);
}

function lettersSaid(letters) {
  const counts = new Map();
  for (const letter of letters) counts.set(letter, (counts.get(letter) || 0) + 1);
  return `rollouts: ${[...counts].map(([letter, n]) => `${n} ${clusterName(letter)}`).join(', ') || 'none'}`;
}

function select(place, { open = false, focus = false } = {}) {
  if (!filters.shown.length) return;
  list.selected = Math.min(Math.max(0, place), filters.shown.length - 1);
  const box = $('list');
  if (box.clientHeight) {
    const top = list.selected * HEIGHT;
    const view = firstInView();
    const scale = listScale();
    let wanted = view;
    if (top < view) wanted = top;
    else if (top + HEIGHT > view + box.clientHeight) wanted = top + HEIGHT - box.clientHeight;
    if (wanted !== view) {
      box.scrollTop = scale === 1 ? wanted
        : (wanted / (listHeight() - box.clientHeight)) * (HIGHEST - box.clientHeight);
    }
  }
  drawList();
  if (focus) box.focus();
  if (open) list.open(filters.shown[list.selected]);
}

function buildList(open) {
  const box = $('list');
  list.open = open;
  let due = false;
  const soon = () => {
    if (due) return;
    due = true;
    requestAnimationFrame(() => {
      due = false;
      drawList();
    });
  };
  box.addEventListener('scroll', soon, { passive: true });
  new ResizeObserver(soon).observe(box);
  box.addEventListener('click', (event) => {
    const chosen = event.target.closest('.item');
    if (chosen) select(Number(chosen.dataset.place), { open: true });
  });
  box.addEventListener('keydown', (event) => {
    const page = Math.max(1, Math.floor(box.clientHeight / HEIGHT) - 1);
    const steps = {
      ArrowDown: list.selected + 1, ArrowUp: list.selected - 1, Home: 0, End: filters.shown.length - 1,
      PageDown: list.selected + page, PageUp: list.selected - page,
    };
    if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      select(Math.max(0, list.selected), { open: true });
    } else if (event.key in steps && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      select(steps[event.key]);
    }
  });
}
