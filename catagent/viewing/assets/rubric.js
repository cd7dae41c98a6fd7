// Criteria by rollout, and on demand why.
const CELLS = 3000;

function rubricSection(row) {
  const { rubric } = row;
  if (!rubric) return null;
  const reason = h('div', { class: 'reason', role: 'status' }, h('p', { class: 'dim' }, 'Choose a verdict to see its reason.'));
  const columns = row.rollouts.slice(0, Math.max(8, Math.floor(CELLS / rubric.criteria.length)));
  const rest = row.rollouts.length - columns.length;
  const cell = (criterion, n, rollout, i) => {
    const verdict = (rollout.verdicts || {})[criterion.id] || { state: 'unscored' };
    const p = verdict.probability;
    return h('button', {
      type: 'button', class: `mark ${verdict.state}`,
      onclick: (event) => {
        reason.parentElement.querySelectorAll('.mark.on').forEach((one) => one.classList.remove('on'));
        event.currentTarget.classList.add('on');
        explain(reason, criterion, verdict, rollout, i);
      },
    }, hidden(`criterion ${n + 1}, rollout ${i + 1}: ${verdict.state} `), MARKS[verdict.state] || '?', p !== undefined && p !== null && h('small', null, number(p)));
  };
  const rows = rubric.criteria.map((criterion, n) => [
    h('span', { dir: 'auto' }, criterion.text), number(criterion.weight),
    ...columns.map((rollout, i) => cell(criterion, n, rollout, i)),
  ]);
  rows.push(['reward', '', ...columns.map((rollout) => h('strong', null, number(rollout.reward && rollout.reward.value)))]);
  const heads = columns.map((rollout, i) => h('span', { class: 'nobreak' }, `${i + 1} `, known(row) && badge(rollout.letter)));
  const matrix = table(['criterion', 'weight', ...heads], rows, { caption: 'Rubric by rollout' });
  matrix.classList.add('matrix');
  roving(matrix, 'button.mark', columns.length);
  return section('rubric', `Rubric (${plural(rubric.criteria.length, 'criterion', 'criteria')})`,
    h('p', { class: 'legend' }, '✓ met · ✗ unmet · ? unscored: nobody knows', rubric.source && ` · made from: ${rubric.source.replaceAll('_', ' ')}`),
    matrix, rest > 0 && h('p', { class: 'say' }, `${plural(rest, 'more rollout')} not in this table.`), reason,
    (rubric.notes || []).length > 0 && h('details', null, h('summary', null, 'What was changed on the way'), bullets(rubric.notes)));
}

const bullets = (texts) => h('ul', null, texts.map((text) => h('li', { dir: 'auto' }, text)));

function explain(panel, criterion, verdict, rollout, i) {
  const votes = verdict.votes || [];
  panel.replaceChildren(
    h('p', null, h('b', null, `Rollout ${i + 1}: ${verdict.state}`), rollout.judge && h('span', { class: 'dim' }, ` · judge ${rollout.judge}`),
      verdict.probability !== undefined && verdict.probability !== null && ` · probability of met ${number(verdict.probability, 3)}`,
      votes.length > 0 && ` · votes ${votes.map((vote) => MARKS[vote]).join(' ')}`),
    h('p', { class: 'dim', dir: 'auto' }, criterion.text),
    h('p', { dir: 'auto' }, verdict.reason || 'No reason is recorded.'),
    ...(verdict.quote ? [h('blockquote', { dir: 'auto' }, verdict.quote)] : []),
  );
}

function rewardsSection(row) {
  const rewarded = row.rollouts.map((rollout, i) => [rollout, i]).filter(([rollout]) => rollout.reward);
  if (!rewarded.length) return null;
  const criteria = new Set(row.rubric ? row.rubric.criteria.map((criterion) => criterion.id) : []);
  const parts = [...new Set(rewarded.flatMap(([rollout]) => Object.keys(rollout.reward.breakdown || {})))]
    .filter((name) => !criteria.has(name) && !criteria.has(name.split('.').pop())).slice(0, 30);
  const values = rewarded.map(([rollout]) => rollout.reward.value).filter((value) => value !== null);
  const mean = values.length ? values.reduce((a, b) => a + b, 0) / values.length : null;
  const high = Math.max(1, ...values);
  const low = Math.min(0, ...values);
  const rows = rewarded.map(([rollout, i]) => [
    h('span', { class: 'nobreak' }, `Rollout ${i + 1} `, known(row) && badge(rollout.letter)),
    h('span', { class: 'nobreak' }, rollout.reward.value === null ? h('span', { class: 'dim' }, 'unknown')
      : [h('meter', { min: low, max: high, value: rollout.reward.value }), ` ${number(rollout.reward.value, 3)}`]),
    ...parts.map((name) => number((rollout.reward.breakdown || {})[name], 3)),
    rollout.reward.reason || '',
  ]);
  const reasons = rewarded.some(([rollout]) => rollout.reward.reason);
  if (!reasons) rows.forEach((cells) => cells.pop());
  return section('rewards', 'Rewards',
    h('p', { class: 'dim' }, `${rewarded[0][0].reward.name} · mean of those known ${number(mean, 3)}`
      + (values.length < row.rollouts.length ? ` · ${row.rollouts.length - values.length} not known` : '')),
    table(['rollout', 'reward', ...parts, ...(reasons ? ['reason'] : [])], rows, { caption: 'Rewards by rollout' }));
}
