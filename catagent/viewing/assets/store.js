// The data of the page: lines of all rows, details of one row when they are asked for.
const store = { about: null, lines: [], starts: [], kept: new Map() };

function base64(text) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i += 1) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

async function unpacked(element) {
  const bytes = base64(element.textContent);
  if (typeof DecompressionStream === 'undefined') return JSON.parse(new TextDecoder().decode(inflate(bytes)));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'));
  return new Response(stream).json();
}

const packed = (kind) => [...document.querySelectorAll(`script[data-kind="${kind}"]`)];

async function load() {
  store.about = await unpacked(packed('about')[0]);
  for (const block of packed('lines')) {
    for (const line of await unpacked(block)) store.lines.push(line);
  }
  store.blocks = packed('details');
  let start = 0;
  for (const size of store.about.sizes) {
    store.starts.push(start);
    start += size;
  }
}

function blockOf(index) {
  let low = 0;
  let high = store.starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (store.starts[middle] <= index) low = middle;
    else high = middle - 1;
  }
  return low;
}

// The rows of a block; the last few blocks are kept.
function blockRows(block) {
  let rows = store.kept.get(block);
  if (rows) store.kept.delete(block);
  else rows = unpacked(store.blocks[block]);
  store.kept.set(block, rows);
  if (store.kept.size > 6) store.kept.delete(store.kept.keys().next().value);
  return rows;
}

async function details(index) {
  const block = blockOf(index);
  return (await blockRows(block))[index - store.starts[block]];
}

const pause = () => new Promise((done) => { setTimeout(done, 0); });

// All texts of a row, for the search.
function everything(row) {
  const texts = [row.id, row.gold];
  for (const one of row.references) texts.push(one.text, one.answer, one.fallback, one.rejected, one.error);
  for (const message of row.messages) texts.push(message.content);
  for (const rollout of row.rollouts) texts.push(rollout.text, rollout.answer, rollout.reasoning, rollout.error);
  for (const criterion of row.rubric ? row.rubric.criteria : []) texts.push(criterion.text);
  return texts.filter(Boolean).join('\n').toLowerCase();
}

// Indices of rows one of whose texts has `words`, block by block; `wanted` says whether to go on.
async function searchTexts(words, wanted, told) {
  const found = new Set();
  for (let block = 0; block < store.blocks.length; block += 1) {
    const rows = store.kept.has(block) ? await store.kept.get(block) : await unpacked(store.blocks[block]);
    rows.forEach((row, i) => {
      if (everything(row).includes(words)) found.add(store.starts[block] + i);
    });
    await pause();
    if (!wanted()) return null;
    told(store.starts[block] + rows.length);
  }
  return found;
}
