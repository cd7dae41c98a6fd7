// Rollouts side by side, and each token as likely as the model found it.
const FIRST = 24;
const LEVELS = [0.9, 0.5, 0.2, 0.05, 0];

// Whether there are answers to group at all: open-ended tasks have none.
const known = (row) => row.rollouts.some((rollout) => rollout.letter !== '-');

function rolloutsSection(row) {
  const shaded = row.rollouts.some((rollout) => rollout.lengths);
  const cards = h('div', { class: 'cards', id: 'cards' });
  const show = (from, to) => row.rollouts.slice(from, to).forEach((rollout, i) => cards.append(card(rollout, from + i, known(row))));
  show(0, FIRST);
  const lost = row.rollouts.filter((rollout) => !rollout.ok).length;
  const counts = new Map();
  for (const { letter } of row.rollouts) counts.set(letter, (counts.get(letter) || 0) + 1);
  const legend = h('p', { class: 'legend' }, [...counts].sort().map(([letter, n]) =>
    h('span', null, badge(letter), ` ${clusterName(letter)}: ${n}`)));
  const head = [
    known(row) && legend,
    shaded && h('label', { class: 'toggle' }, h('input', {
      type: 'checkbox', onchange: (event) => cards.classList.toggle('shaded', event.target.checked),
    }), h('span', null, 'shade what the model found unlikely')),
    row.left_out > 0 && h('p', { class: 'say' }, `${whole(row.left_out)} more rollouts are in the file and not on this page.`),
  ];
  const rest = row.rollouts.length - FIRST;
  const button = rest > 0 && h('button', { type: 'button', onclick: () => { show(FIRST, Infinity); button.remove(); } },
    `Show ${plural(rest, 'more rollout')}`);
  const title = `Rollouts (${row.rollouts.length}${lost ? `, ${lost} failed` : ''})`;
  return section('rollouts', title, ...head, cards, button);
}

function card(rollout, place, lettered) {
  const name = `Rollout ${place + 1}`;
  const reward = rollout.reward;
  const facts = [
    reward && ['reward', number(reward.value, 3)],
    rollout.finish && ['finish', rollout.finish],
    rollout.mean !== undefined && rollout.mean !== null && ['mean log-prob.', `${number(rollout.mean, 3)} nats`],
    rollout.sampled && ['tokens', whole(rollout.sampled)],
    rollout.model && ['model', rollout.model],
  ].filter(Boolean);
  return h('article', { class: 'card', id: `rollout-${place + 1}`, tabindex: '-1', 'aria-label': lettered ? `${name}, ${clusterName(rollout.letter)}` : name },
    h('header', null, h('h3', null, name), lettered && badge(rollout.letter),
      rollout.answer !== null && h('span', { class: 'answer', dir: 'auto', title: `found by: ${rollout.source}` }, rollout.answer)),
    facts.length > 0 && h('dl', { class: 'facts' }, facts.map(([term, value]) => h('div', null, h('dt', null, term), h('dd', null, value)))),
    rollout.error && h('p', { class: 'error' }, rollout.error),
    rollout.logprobs && strip(rollout),
    rollout.reasoning && h('details', null, h('summary', null, 'Thinking'), h('pre', { dir: 'auto' }, rollout.reasoning)),
    rollout.text && h('pre', {
      class: 'text', dir: 'auto', 'data-place': place, tabindex: '0', role: 'group', 'aria-label': `Text of rollout ${place + 1}`,
    }, tokens(rollout)),
    rollout.tools && h('pre', { class: 'tools' }, rollout.tools),
    (rollout.findings || []).length > 0 && h('div', { class: 'error' }, h('p', null, 'Seems to address its judge:'),
      h('ul', null, rollout.findings.map((f) => h('li', null, `${f.kind}: ${f.excerpt}`)))));
}

// The text in pieces of one token, with a class for how likely it was; neighbours alike are one piece.
function tokens(rollout) {
  if (!rollout.lengths) return rollout.text;
  const pieces = [];
  let at = 0;
  rollout.lengths.forEach((length, i) => {
    if (!length) return;
    const text = rollout.text.slice(at, at + length);
    at += length;
    const p = rollout.logprobs[i];
    const level = p === null ? -1 : LEVELS.findIndex((least) => Math.exp(p) >= least);
    const last = pieces[pieces.length - 1];
    if (level <= 0 && last && last.level === level) last.text += text;
    else pieces.push({ level, text, p });
  });
  pieces.push({ level: -1, text: rollout.text.slice(at) });
  return pieces.map(({ level, text, p }) => (level <= 0 ? text
    : h('span', { class: `p${level}`, title: `probability ${number(Math.exp(p), 3)}` }, text)));
}

// Log-probabilities along the rollout: the lowest of each stretch as a bar.
function strip(rollout) {
  const all = rollout.logprobs;
  const bars = Math.min(120, all.length);
  const lows = Array.from({ length: bars }, (_, i) => {
    const some = all.slice(Math.floor((i * all.length) / bars), Math.floor(((i + 1) * all.length) / bars));
    return Math.min(0, ...some.filter((p) => p !== null));
  });
  const lowest = Math.min(...lows);
  const label = `log-probabilities of ${plural(all.length, 'token')}, lowest ${number(lowest)} nats`;
  return svg('svg', { class: 'strip', viewBox: `0 0 ${bars} 20`, preserveAspectRatio: 'none', role: 'img', 'aria-label': label },
    svg('title', null, label),
    lows.map((low, i) => svg('rect', { x: i, y: 0, width: 0.8, height: lowest ? (20 * low) / lowest : 0 })));
}
