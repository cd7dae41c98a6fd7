// The prompt, and the reference with what it kept from whom.
function promptSection(row) {
  const said = row.messages.map((message) =>
    h('div', { class: 'message' }, row.messages.length > 1 && h('p', { class: 'dim' }, message.role), long(message.content)));
  const before = said.length > 3 ? said.splice(0, said.length - 1) : [];
  return section('prompt', 'Prompt',
    before.length > 0 && h('details', null, h('summary', null, `${plural(before.length, 'message')} before it`), before),
    said,
  Object.keys(row.params || {}).length > 0 && h('details', null, h('summary', null, 'Parameters'), h('pre', null, JSON.stringify(row.params, null, 1))));
}

// A text that is folded when it is long.
function long(text) {
  const pre = h('pre', { dir: 'auto' }, text);
  if (text.length < 3000) return pre;
  set(pre, { tabindex: '0', role: 'group', 'aria-label': 'Text' });
  pre.classList.add('folded');
  const button = h('button', { type: 'button', class: 'plain', 'aria-expanded': 'false', onclick: () => {
    const open = pre.classList.toggle('folded') === false;
    button.setAttribute('aria-expanded', String(open));
    button.textContent = open ? 'Show less' : `Show all (${whole(text.length)} characters)`;
  } }, `Show all (${whole(text.length)} characters)`);
  return [pre, button];
}

// Which methods are folded out or in, as the reader left them: it holds for the rows that follow.
const folded = new Map();
// What is known of the texts that are compared with the rollouts, by their elements.
const compared = new WeakMap();

function referenceSection(row) {
  const { references } = row;
  if (!references.length) return section('reference', 'Reference', h('p', { class: 'dim' }, 'There is none.'));
  const [first] = references;
  const gold = row.gold !== null && `known to be right: ${row.gold}`;
  if (first.name === undefined) {
    return section('reference', 'Reference',
      h('p', { class: 'verdict' }, stated(first), departure(first),
        Object.entries(row.correct).map(([name, right]) => rightness(name, right))),
      facts(first, gold), ...texts(row, first));
  }
  return section('reference', `References (${plural(references.length + row.more_methods, 'method')})`,
    gold && h('p', { class: 'dim', dir: 'auto' }, gold),
    references.map((one, i) => method(row, one, i === 0)),
    row.more_methods > 0 && h('p', { class: 'say' }, `${plural(row.more_methods, 'more method')} not on this page.`));
}

const stated = (one) => (typeof one.answer !== 'string' ? h('span', { class: 'dim' }, 'no final answer')
  : [badge(one.letter), h('strong', { class: 'answer', dir: 'auto' }, one.answer)]);

const departure = (one) => one.differs === true && chip('warn', `≠ majority (${one.majority})`);

function facts(one, ...more) {
  return h('p', { class: 'dim' }, [
    `by ${one.method}`,
    typeof one.agreement === 'number' && `${percent(one.agreement)} of rollouts agree`,
    one.rounds > 1 && `${one.rounds} rounds`,
    ...more,
  ].filter(Boolean).join(' · '));
}

// A method in a line, which folds out to its texts; they are marked when they are first seen.
function method(row, one, first) {
  const open = folded.has(one.name) ? folded.get(one.name) : first;
  const worth = typeof one.score === 'number' ? chip('', `score ${number(one.score, 3)}`)
    : chip(one.right === true ? 'good' : one.right === false ? 'bad' : '', `${one.right === true ? '✓' : one.right === false ? '✗' : '?'} ${WORDS[one.right]}`);
  return h('details', { class: 'method', open, ontoggle: (event) => {
    folded.set(one.name, event.target.open);
    if (event.target.open && event.target.isConnected) markPassages(row, event.target);
  } },
  h('summary', null, h('b', null, one.name), ' ',
    one.method === null ? h('span', { class: 'dim' }, 'failed') : row.kind !== 'open' && stated(one), ' ', worth, ' ',
    departure(one), ' ', one.fallback && chip('warn', 'fall-back')),
  one.method !== null && facts(one),
  one.error && one.error !== one.fallback && h('p', { class: 'error', dir: 'auto' }, one.error),
  ...texts(row, one));
}

// Why there was a fall-back, what was set aside for it, and the text of the reference.
function texts(row, one) {
  const of = one.name === undefined ? '' : ` of ${one.name}`;
  const own = typeof one.words_of === 'number';
  const text = own ? row.rollouts[one.words_of].text : one.text;
  return [
    one.fallback && h('p', { class: 'error', dir: 'auto' }, `Fall-back: ${one.fallback}`),
    one.rejected && [h('h3', null, 'What was set aside'), comparable(one.rejected, `Text that was set aside${of}`, [], one)],
    one.rejected && text && h('h3', null, `What stands in its place, by ${one.method}`),
    own && h('p', { class: 'dim' }, 'In the words of ', toRollout(one.words_of + 1, `rollout ${one.words_of + 1}`), '.'),
    text && (own ? bounds(reference(text, `Text of the reference${of}`), one)
      : comparable(text, `Text of the reference${of}`, one.of, one)),
  ];
}

const reference = (text, label) => h('pre', { class: 'reference', dir: 'auto', role: 'group', 'aria-label': label }, text);

// A long text among several has a bound in height, so that the others stay within reach.
function bounds(pre, one) {
  if (pre.textContent.length < 6000 || (one.name === undefined && !one.rejected)) return pre;
  pre.classList.add('tall');
  return set(pre, { tabindex: '0' });
}

function toRollout(n, text) {
  return h('a', { href: `#rollout-${n}`, onclick: (event) => { event.preventDefault(); goRollout(n); } }, text);
}

// A text whose passages are looked for in the rollouts; `of` are those that it was made from, as far as known.
function comparable(text, label, of, one) {
  const pre = bounds(reference(text, label), one);
  const kept = h('div', { class: 'kept' });
  compared.set(pre, { text, of, kept });
  return [pre, kept];
}

// Marks the passages of the texts that are folded out, once the row stands: opening it does not wait for them.
function markPassages(row, root) {
  if (!row.rollouts.some((rollout) => rollout.text)) return;
  for (const pre of root.querySelectorAll('pre.reference')) {
    if (!compared.has(pre) || pre.closest('details:not([open])')) continue;
    markText(row, $('detail'), pre, compared.get(pre));
    compared.delete(pre);
  }
}

function markText(row, root, pre, { text, of, kept }) {
  const { pieces, shares, nowhere } = passages(text, row.rollouts.map((rollout) => rollout.ok && rollout.text));
  const most = row.rollouts.filter((rollout) => rollout.ok && rollout.text).length;
  const parts = [];
  let at = 0;
  pieces.forEach((piece, i) => {
    parts.push(text.slice(at, piece.start));
    const where = [...piece.at.keys()];
    const level = Math.max(1, Math.ceil((4 * where.length) / most));
    parts.push(h('mark', { class: `k${level}`, 'data-piece': i, 'aria-description': inRollouts(where, row) },
      text.slice(piece.start, piece.end)));
    at = piece.end;
  });
  parts.push(text.slice(at));
  pre.replaceChildren(...parts);
  roving(pre, 'mark');
  const show = (event) => {
    const mark = event.target.closest('mark');
    if (mark) showPiece(row, root, pieces[Number(mark.dataset.piece)], mark);
  };
  const hide = () => hidePiece(root);
  pre.addEventListener('mouseover', show);
  pre.addEventListener('focusin', show);
  pre.addEventListener('click', (event) => {
    show(event);
    const mark = event.target.closest('mark');
    if (mark) bringPiece(root, pieces[Number(mark.dataset.piece)]);
  });
  pre.addEventListener('keydown', (event) => {
    const mark = event.target.closest('mark');
    if (mark && event.key === 'Enter') bringPiece(root, pieces[Number(mark.dataset.piece)]);
  });
  pre.addEventListener('mouseleave', hide);
  pre.addEventListener('focusout', hide);
  keptTable(row, kept, new Set(of), shares, nowhere);
}

const inRollouts = (where, row) => `in ${where.length === 1 ? 'rollout' : 'rollouts'} ${where.map((i) => (known(row) ? `${i + 1} (${clusterName(row.rollouts[i].letter)})` : i + 1)).join(', ')}`;

function keptTable(row, kept, used, shares, nowhere) {
  const shown = shares.map((share, i) => [share, i]).filter(([share]) => share !== null);
  if (!shown.length) return;
  const bar = (share) => h('meter', { min: 0, max: 1, value: share.toFixed(3) }, percent(share));
  kept.append(
    h('p', { class: 'dim' }, 'Shaded: runs of five words or more that stand in a rollout too, the darker the more of them. ',
      'Point at one, or tab to it, to see in which; click or Enter goes there. ',
      nowhere !== null && `${percent(nowhere)} of the words are in no such run.`),
    h('details', { open: shown.length <= 16 && !kept.closest('details') }, h('summary', null, 'Share of the text that stands in each rollout'),
      h('ul', { class: 'bars' }, shown.map(([share, i]) => h('li', null,
        toRollout(i + 1, `Rollout ${i + 1}`), known(row) && badge(row.rollouts[i].letter), bar(share), h('span', null, percent(share)),
        used.size > 0 && !used.has(i) && h('span', { class: 'dim' }, 'not given to it'))))));
}

// The character range of an element's text, over its text nodes.
function textRange(element, start, end) {
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  let at = 0;
  let begun = false;
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const { length } = node.data;
    if (!begun && start <= at + length) {
      range.setStart(node, start - at);
      begun = true;
    }
    if (begun && end <= at + length) {
      range.setEnd(node, end - at);
      return range;
    }
    at += length;
  }
  return null;
}

const canHighlight = typeof Highlight !== 'undefined' && typeof CSS !== 'undefined' && CSS.highlights;

function pieceRanges(root, piece) {
  return [...piece.at].map(([i, [start, end]]) => {
    const text = root.querySelector(`pre.text[data-place="${i}"]`);
    return text && textRange(text, start, end);
  }).filter(Boolean);
}

function showPiece(row, root, piece, mark) {
  hidePiece(root);
  mark.classList.add('on');
  for (const i of piece.at.keys()) {
    const source = root.querySelector(`#rollout-${i + 1}`);
    if (source) source.classList.add('source');
  }
  if (canHighlight) CSS.highlights.set('kept', new Highlight(...pieceRanges(root, piece)));
  say(inRollouts([...piece.at.keys()], row));
}

function hidePiece(root) {
  root.querySelectorAll('.source, mark.on').forEach((one) => one.classList.remove('source', 'on'));
  if (canHighlight) CSS.highlights.delete('kept');
  say('');
}

// Scrolls the first rollout that has the passage into view, and each text to the passage.
function bringPiece(root, piece) {
  for (const range of pieceRanges(root, piece)) {
    const box = range.startContainer.parentElement.closest('pre.text');
    const { top } = range.getBoundingClientRect();
    box.scrollTop += top - box.getBoundingClientRect().top - 40;
  }
  const first = root.querySelector(`#rollout-${[...piece.at.keys()][0] + 1}`);
  if (first) first.scrollIntoView({ block: 'nearest', inline: 'nearest' });
}

function goRollout(n) {
  const chosen = $(`rollout-${n}`);
  if (!chosen) return;
  chosen.scrollIntoView({ block: 'nearest', inline: 'center' });
  chosen.focus({ preventScroll: true });
}
