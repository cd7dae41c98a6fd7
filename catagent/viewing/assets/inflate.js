// A zlib stream (RFC 1950, 1951) unpacked in plain script, for browsers without DecompressionStream.
const inflate = (() => {
  const lengthBase = [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115,
    131, 163, 195, 227, 258];
  const lengthBits = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
  const distanceBase = [1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025,
    1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577];
  const distanceBits = [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12,
    12, 13, 13];
  const order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

  // Canonical Huffman codes: how many there are of each length, and the symbols in order.
  function code(lengths) {
    const count = new Uint16Array(16);
    for (const length of lengths) count[length] += 1;
    count[0] = 0;
    const offsets = new Uint16Array(16);
    for (let i = 1; i < 16; i += 1) offsets[i] = offsets[i - 1] + count[i - 1];
    const symbols = new Uint16Array(lengths.length);
    lengths.forEach((length, symbol) => {
      if (length) {
        symbols[offsets[length]] = symbol;
        offsets[length] += 1;
      }
    });
    return { count, symbols };
  }

  const fixed = {
    literals: code(Array.from({ length: 288 }, (_, i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8))),
    distances: code(new Array(30).fill(5)),
  };

  return function unpack(bytes) {
    let at = 2;
    let bit = 0;
    let out = new Uint8Array(Math.max(1024, bytes.length * 4));
    let size = 0;

    function bits(n) {
      let value = 0;
      for (let i = 0; i < n; i += 1) {
        if (at >= bytes.length) throw new Error('the data of this page is cut off');
        value |= ((bytes[at] >> bit) & 1) << i;
        bit += 1;
        if (bit === 8) {
          bit = 0;
          at += 1;
        }
      }
      return value;
    }

    function symbol({ count, symbols }) {
      let value = 0;
      let first = 0;
      let index = 0;
      for (let length = 1; length < 16; length += 1) {
        value |= bits(1);
        if (value - count[length] < first) return symbols[index + (value - first)];
        index += count[length];
        first = (first + count[length]) << 1;
        value <<= 1;
      }
      throw new Error('the data of this page is damaged');
    }

    function room(n) {
      if (size + n <= out.length) return;
      const more = new Uint8Array(Math.max(out.length * 2, size + n));
      more.set(out.subarray(0, size));
      out = more;
    }

    function stored() {
      if (bit) at += 1;
      bit = 0;
      const length = bytes[at] | (bytes[at + 1] << 8);
      at += 4;
      room(length);
      out.set(bytes.subarray(at, at + length), size);
      at += length;
      size += length;
    }

    function dynamic() {
      const literals = bits(5) + 257;
      const distances = bits(5) + 1;
      const named = bits(4) + 4;
      const lengths = new Array(19).fill(0);
      for (let i = 0; i < named; i += 1) lengths[order[i]] = bits(3);
      const codes = code(lengths);
      const all = [];
      while (all.length < literals + distances) {
        const one = symbol(codes);
        if (one < 16) all.push(one);
        else {
          const again = one === 16 ? all[all.length - 1] : 0;
          let times = one === 16 ? 3 + bits(2) : one === 17 ? 3 + bits(3) : 11 + bits(7);
          for (; times; times -= 1) all.push(again);
        }
      }
      return { literals: code(all.slice(0, literals)), distances: code(all.slice(literals)) };
    }

    function compressed({ literals, distances }) {
      for (;;) {
        let one = symbol(literals);
        if (one < 256) {
          room(1);
          out[size] = one;
          size += 1;
        } else if (one === 256) return;
        else {
          one -= 257;
          const length = lengthBase[one] + bits(lengthBits[one]);
          const far = symbol(distances);
          const distance = distanceBase[far] + bits(distanceBits[far]);
          room(length);
          for (let i = 0; i < length; i += 1, size += 1) out[size] = out[size - distance];
        }
      }
    }

    for (let last = 0; !last;) {
      last = bits(1);
      const kind = bits(2);
      if (kind === 0) stored();
      else compressed(kind === 1 ? fixed : dynamic());
    }
    return out.subarray(0, size);
  };
})();
