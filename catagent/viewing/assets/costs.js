// What it cost by role, and when each request was under way.
function costsSection(row) {
  const usage = row.usage || { roles: {}, timeline: [] };
  const roles = Object.entries(usage.roles || {});
  const heads = ['role', 'calls', 'failed', 'refused', 'cached', 'prompt tokens', 'completion tokens', 'US dollars', 'waited'];
  const cells = ([role, u]) => [role, whole(u.calls), whole(u.failed), whole(u.refused), whole(u.cached),
    whole(u.prompt_tokens), whole(u.completion_tokens), dollars(u.usd, u.unpriced > 0), `${number(u.seconds)} s`];
  const total = {};
  for (const [, u] of roles) for (const [name, value] of Object.entries(u)) total[name] = (total[name] || 0) + Number(value);
  const rows = roles.map(cells);
  if (roles.length > 1) rows.push(cells(['all', total]));
  return section('costs', 'Costs and times',
    roles.length ? table(heads, rows, { caption: 'Costs by role' }) : h('p', { class: 'dim' }, 'No request is recorded.'),
    roles.length > 0 && timeline(usage));
}

function timeline(usage) {
  const calls = (usage.timeline || []).filter(([, began, seconds]) => began >= 0 && seconds >= 0 && began + seconds < 1e9);
  if (!calls.length) {
    return h('p', { class: 'dim' }, `Times of single requests are not recorded here; the whole took ${number(usage.seconds)} s.`);
  }
  const end = Math.max(usage.seconds < 1e9 ? usage.seconds : 0, ...calls.map(([, began, seconds]) => began + seconds), 0.001);
  const roles = [...new Set(calls.map(([role]) => role))];
  const bar = 9;
  let y = 0;
  const shapes = [];
  const words = [];
  for (const role of roles) {
    const mine = calls.filter(([name]) => name === role).sort((a, b) => a[1] - b[1]);
    const lanes = [];
    const top = y + 16;
    shapes.push(svg('text', { x: 0, y: y + 12, class: 'role' }, `${role}: ${plural(mine.length, 'request')}`));
    for (const [, began, seconds, outcome] of mine) {
      let lane = lanes.findIndex((free) => free <= began);
      if (lane < 0) lane = lanes.length;
      lanes[lane] = began + seconds;
      const said = `${role}, ${outcome}: from ${number(began)} s for ${number(seconds)} s`;
      shapes.push(svg('rect', {
        class: `call ${outcome}`, x: (1000 * began) / end, y: top + lane * bar,
        width: Math.max(2, (1000 * seconds) / end), height: bar - 2,
      }, svg('title', null, said)));
    }
    const last = Math.max(...mine.map(([, began, seconds]) => began + seconds));
    const failed = mine.filter(([, , , outcome]) => outcome !== 'ok').length;
    words.push(`${role}: ${plural(mine.length, 'request')} from ${number(mine[0][1])} s to ${number(last)} s${failed ? `, ${failed} of them failed` : ''}`);
    y = top + lanes.length * bar + 8;
  }
  for (let i = 0; i <= 4; i += 1) {
    const x = 250 * i;
    shapes.unshift(svg('line', { x1: x, x2: x, y1: 0, y2: y, class: 'tick' }));
    shapes.push(svg('text', { x, y: y + 12, class: 'time', 'text-anchor': i === 0 ? 'start' : i === 4 ? 'end' : 'middle' }, `${number((end * i) / 4)} s`));
  }
  const drawing = svg('svg', { class: 'timeline', viewBox: `0 0 1000 ${y + 18}`, role: 'img', 'aria-label': `Timeline. ${words.join('. ')}` }, shapes);
  return h('div', null, h('h3', null, 'Timeline of requests'), h('div', { class: 'wide', tabindex: '0', role: 'region', 'aria-label': 'Drawing of the timeline' }, drawing),
    h('p', { class: 'dim' }, `${words.join('; ')}. Hollow: failed or refused. Waiting for the limiter is the space between.`));
}
