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

function referenceSection(row) {
  const reference = row.reference;
  if (!reference) return section('reference', 'Reference', h('p', { class: 'dim' }, 'There is none.'));
  const facts = [
    `by ${reference.method}`,
    reference.agreement !== null && `${percent(reference.agreement)} of rollouts agree`,
    reference.rounds > 1 && `${reference.rounds} rounds`,
    row.gold !== null && `known to be right: ${row.gold}`,
  ].filter(Boolean).join(' · ');
  const head = [
    h('p', { class: 'verdict' }, reference.answer === null ? h('span', { class: 'dim' }, 'no final answer')
      : [badge(reference.letter), h('strong', { class: 'answer', dir: 'auto' }, reference.answer)],
    reference.differs === true && chip('warn', `≠ majority (${reference.majority})`),
    Object.entries(row.correct).map(([name, right]) => rightness(name, right))),
    h('p', { class: 'dim' }, facts),
    reference.fallback && h('p', { class: 'error' }, `Fall-back: ${reference.fallback}`),
  ];
  if (!reference.text) return section('reference', 'Reference', ...head);
  const text = h('pre', { class: 'reference', dir: 'auto', role: 'group', 'aria-label': 'Text of the reference' }, reference.text);
  const kept = h('div', { class: 'kept' });
  return section('reference', 'Reference', ...head, text, kept);
}

// Marks the passages once the row stands, so that opening it does not wait for them.
function markPassages(row, root) {
  const text = root.querySelector('pre.reference');
  if (!text || !row.rollouts.some((rollout) => rollout.text)) return;
  const { pieces, shares, nowhere } = passages(row.reference.text, row.rollouts.map((rollout) => rollout.ok && rollout.text));
  const most = row.rollouts.filter((rollout) => rollout.ok && rollout.text).length;
  const parts = [];
  let at = 0;
  pieces.forEach((piece, i) => {
    parts.push(row.reference.text.slice(at, piece.start));
    const where = [...piece.at.keys()];
    const level = Math.max(1, Math.ceil((4 * where.length) / most));
    parts.push(h('mark', { class: `k${level}`, 'data-piece': i, 'aria-description': inRollouts(where, row) },
      row.reference.text.slice(piece.start, piece.end)));
    at = piece.end;
  });
  parts.push(row.reference.text.slice(at));
  text.replaceChildren(...parts);
  roving(text, 'mark');
  const show = (event) => {
    const mark = event.target.closest('mark');
    if (mark) showPiece(row, root, pieces[Number(mark.dataset.piece)], mark);
  };
  const hide = () => hidePiece(root);
  text.addEventListener('mouseover', show);
  text.addEventListener('focusin', show);
  text.addEventListener('click', (event) => {
    show(event);
    const mark = event.target.closest('mark');
    if (mark) bringPiece(root, pieces[Number(mark.dataset.piece)]);
  });
  text.addEventListener('keydown', (event) => {
    const mark = event.target.closest('mark');
    if (mark && event.key === 'Enter') bringPiece(root, pieces[Number(mark.dataset.piece)]);
  });
  text.addEventListener('mouseleave', hide);
  text.addEventListener('focusout', hide);
  keptTable(row, root, shares, nowhere);
}

const inRollouts = (where, row) => `in ${where.length === 1 ? 'rollout' : 'rollouts'} ${where.map((i) => (known(row) ? `${i + 1} (${clusterName(row.rollouts[i].letter)})` : i + 1)).join(', ')}`;

function keptTable(row, root, shares, nowhere) {
  const shown = shares.map((share, i) => [share, i]).filter(([share]) => share !== null);
  if (!shown.length) return;
  const bar = (share) => h('meter', { min: 0, max: 1, value: share.toFixed(3) }, percent(share));
  const used = new Set(row.reference.of);
  root.querySelector('.kept').append(
    h('p', { class: 'dim' }, 'Shaded: runs of five words or more that stand in a rollout too, the darker the more of them. ',
      'Point at one, or tab to it, to see in which; click or Enter goes there. ',
      nowhere !== null && `${percent(nowhere)} of the words are in no such run.`),
    h('details', { open: shown.length <= 16 }, h('summary', null, 'Share of the reference that stands in each rollout'),
      h('ul', { class: 'bars' }, shown.map(([share, i]) => h('li', null,
        h('a', { href: `#rollout-${i + 1}`, onclick: (event) => { event.preventDefault(); goRollout(i + 1); } }, `Rollout ${i + 1}`),
        known(row) && badge(row.rollouts[i].letter), bar(share), h('span', null, percent(share)),
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
