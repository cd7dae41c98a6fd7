// Which passages of a text stand in other texts too: runs of at least five words or signs, however spaced.
const passages = (() => {
  const RUN = 5;
  const MOST = 30000;
  const PLACES = 8;
  const ALL = 1000000;

  function words(text) {
    const found = [];
    for (const match of text.matchAll(/[\p{L}\p{N}]+|[^\s\p{L}\p{N}*_#`]/gu)) {
      found.push({ word: match[0].toLowerCase(), start: match.index, end: match.index + match[0].length });
      if (found.length >= MOST) break;
    }
    return found;
  }

  const gram = (list, at) => {
    let key = list[at].word;
    for (let i = 1; i < RUN; i += 1) key += ` ${list[at + i].word}`;
    return key;
  };

  // Longest runs of `mine` that stand in `theirs`, from left to right: [start in mine, start in theirs, length].
  function runs(mine, theirs) {
    const places = new Map();
    for (let i = 0; i + RUN <= theirs.length; i += 1) {
      const key = gram(theirs, i);
      const list = places.get(key);
      if (!list) places.set(key, [i]);
      else if (list.length < PLACES) list.push(i);
    }
    const found = [];
    for (let i = 0; i + RUN <= mine.length;) {
      let best = 0;
      let where = 0;
      for (const place of places.get(gram(mine, i)) || []) {
        let length = RUN;
        while (i + length < mine.length && place + length < theirs.length
          && mine[i + length].word === theirs[place + length].word) length += 1;
        if (length > best) {
          best = length;
          where = place;
        }
      }
      if (best) found.push([i, where, best]);
      i += best || 1;
    }
    return found;
  }

  // {pieces: [{start, end, at: Map(other → [start, end])}], shares: [of each other], nowhere: share}
  return function compare(text, others) {
    const mine = words(text);
    const cover = mine.map(() => new Map());
    let budget = ALL;
    const shares = others.map((other, index) => {
      if (!other || budget <= 0) return null;
      const theirs = words(other);
      budget -= theirs.length + mine.length;
      let covered = 0;
      for (const [start, where, length] of runs(mine, theirs)) {
        covered += length;
        for (let i = 0; i < length; i += 1) {
          const place = theirs[where + i];
          cover[start + i].set(index, [place.start, place.end]);
        }
      }
      return mine.length ? covered / mine.length : null;
    });
    const pieces = [];
    let before = null;
    mine.forEach(({ start, end }, i) => {
      const here = cover[i];
      const key = [...here.keys()].join();
      const follows = before && key === before.key
        && [...here].every(([other, place]) => {
          const gap = place[0] - before.at.get(other)[1];
          return gap >= 0 && gap < 40;
        });
      if (follows) {
        before.end = end;
        for (const [other, place] of here) before.at.get(other)[1] = place[1];
      } else {
        before = { key, start, end, at: new Map([...here].map(([other, place]) => [other, [...place]])) };
        pieces.push(before);
      }
    });
    const nowhere = mine.length ? cover.filter((here) => !here.size).length / mine.length : null;
    for (const piece of pieces) piece.start += text.slice(piece.start, piece.end).match(/^[\s.,;:!?)\]}]*/)[0].length;
    const said = pieces.filter((piece) => piece.at.size && /[\p{L}\p{N}]/u.test(text.slice(piece.start, piece.end)));
    return { pieces: said, shares, nowhere };
  };
})();
