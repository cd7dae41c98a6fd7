// The row that is open, keys, the theme, and how it all begins.
const wide = () => matchMedia('(min-width: 60rem)').matches;
const shown = { index: -1, asked: 0 };

async function openRow(index, { remember = true } = {}) {
  shown.asked += 1;
  const mine = shown.asked;
  const root = $('detail');
  let row;
  try {
    row = await details(index);
  } catch (error) {
    root.replaceChildren(h('p', { class: 'error' }, `This row cannot be unpacked: ${error.message}`));
    return;
  }
  if (mine !== shown.asked) return;
  shown.index = index;
  const line = store.lines[index];
  const place = filters.shown.indexOf(index);
  const step = (by, text, label) => h('button', {
    type: 'button', 'aria-label': label, disabled: place < 0 || !(place + by in filters.shown),
    onclick: () => select(place + by, { open: true }),
  }, text);
  const head = h('header', { class: 'row' },
    h('h2', { id: 'row-title' }, line.id),
    row.group && chip('', row.group, 'group'), row.kind && row.kind !== 'auto' && chip('', row.kind),
    h('span', { class: 'room' }),
    store.lines.length > 1 && h('span', { class: 'steps' }, step(-1, '↑', 'previous row (k)'), step(1, '↓', 'next row (j)')));
  const parts = [promptSection(row), referenceSection(row), rolloutsSection(row), rubricSection(row), rewardsSection(row), costsSection(row)];
  if (row.notes.length) parts.push(section('row-notes', 'Notes', bullets(row.notes)));
  const jumps = h('nav', { class: 'jumps', 'aria-label': 'Parts of the row' }, parts.filter(Boolean).map((part) =>
    h('button', { type: 'button', class: 'plain', onclick: () => part.scrollIntoView() }, part.querySelector('h2').textContent.replace(/ \(.*/, ''))));
  if (canHighlight) CSS.highlights.delete('kept');
  root.replaceChildren(head, jumps, ...parts.filter(Boolean));
  root.setAttribute('aria-label', `Row ${line.id}`);
  root.scrollTop = 0;
  document.body.classList.add('open');
  $('back').hidden = wide() || store.lines.length < 2;
  if (!wide()) {
    scrollTo(0, 0);
    if (remember) root.focus({ preventScroll: true });
  }
  if (remember && store.lines.length > 1) {
    const hash = `#row=${encodeURIComponent(line.id)}`;
    if (wide() || location.hash.startsWith('#row=')) history.replaceState(history.state, '', hash);
    else history.pushState('opened', '', hash);
  }
  setTimeout(() => {
    if (mine === shown.asked) markPassages(row, root);
  }, 0);
}

function closeRow() {
  document.body.classList.remove('open');
  $('back').hidden = true;
  drawList();
  if (list.selected >= 0) select(list.selected, { focus: true });
}

function fromHash() {
  if (!location.hash.startsWith('#row=')) {
    if (!wide() && document.body.classList.contains('open') && store.lines.length > 1) closeRow();
    return false;
  }
  let id;
  try {
    id = decodeURIComponent(location.hash.slice(5));
  } catch {
    return false;
  }
  const index = store.lines.findIndex((line) => line.id === id);
  if (index < 0) return false;
  list.selected = filters.shown.indexOf(index);
  if (list.selected >= 0) select(list.selected);
  openRow(index, { remember: false });
  return true;
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || $('keys').open) return;
  const typing = event.target.closest('input, select, textarea');
  const search = $('filters').elements.q;
  if (event.key === 'Escape') {
    if (typing) {
      typing.blur();
      if (wide() || !document.body.classList.contains('open')) $('list').focus();
    } else if (store.lines.length > 1) {
      if (wide()) $('list').focus();
      else if (document.body.classList.contains('open')) back();
    }
    return;
  }
  if (typing) return;
  if (event.key === '/' && search) {
    event.preventDefault();
    if (!wide() && document.body.classList.contains('open')) back();
    search.focus();
    search.select();
  } else if (event.key === '?') $('keys').showModal();
  else if (event.key === 'j') select(list.selected + 1, { open: true });
  else if (event.key === 'k') select(list.selected - 1, { open: true });
  else if (event.key >= '1' && event.key <= '9') goRollout(Number(event.key));
}

function back() {
  if (history.state === 'opened') {
    history.back();
    return;
  }
  history.replaceState(null, '', location.pathname + location.search);
  closeRow();
}

const THEMES = { '': 'as the system', light: 'light', dark: 'dark' };

function theme(chosen) {
  if (chosen) document.documentElement.dataset.theme = chosen;
  else delete document.documentElement.dataset.theme;
  const names = Object.keys(THEMES);
  const button = $('theme');
  button.replaceChildren(hidden('colours: '), chosen === 'dark' ? '☾ dark' : chosen === 'light' ? '☀ light' : '◐ auto');
  button.title = `colours: ${THEMES[chosen]}`;
  button.onclick = () => {
    const next = names[(names.indexOf(chosen) + 1) % names.length];
    try {
      localStorage.setItem('catagent-theme', next);
    } catch {
      // a page from a file may not remember
    }
    theme(next);
  };
}

function remembered() {
  try {
    const chosen = localStorage.getItem('catagent-theme');
    return chosen in THEMES ? chosen : '';
  } catch {
    return '';
  }
}

async function begin() {
  theme(remembered());
  $('help').addEventListener('click', () => $('keys').showModal());
  $('back').addEventListener('click', back);
  try {
    await load();
  } catch (error) {
    $('loading').textContent = `The data of this page cannot be unpacked: ${error.message}`;
    return;
  }
  const { notes } = store.about;
  if (notes.length) {
    $('notes').hidden = false;
    $('notes').querySelector('summary').textContent = plural(notes.length, 'note');
    $('notes').querySelector('ul').append(...notes.map((note) => h('li', null, note)));
    $('notes').open = notes.length <= 3;
  }
  $('loading').hidden = true;
  $('columns').hidden = false;
  if (store.lines.length === 1) document.body.classList.add('single');
  buildList(openRow);
  buildFilters(() => {
    list.selected = filters.shown.indexOf(shown.index);
    $('list').scrollTop = 0;
    drawList();
  });
  document.addEventListener('keydown', keys);
  addEventListener('hashchange', fromHash);
  addEventListener('resize', () => { $('back').hidden = wide() || store.lines.length < 2 || !document.body.classList.contains('open'); });
  if (!store.lines.length) $('detail').replaceChildren(h('p', { class: 'say' }, 'There are no rows.'));
  else if (!fromHash() && (wide() || store.lines.length === 1)) select(0, { open: true });
  document.documentElement.dataset.ready = 'yes';
}

begin();
