"""The trace viewer's page: how large it is, and how long a browser takes to open, scroll and search it.

python -m benchmarks.viewing [ROWS …]
"""

from __future__ import annotations

import asyncio
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from catagent.viewing import write_page
from tests.viewing import browser, samples

RUNS = 3
ROLLOUTS = 8
FRAMES = 60
BARE = (
    "<!doctype html><div style='height:900px;overflow:auto' id=list><div style='height:380000px'>x</div>"
    "</div><script>document.documentElement.dataset.ready = 'yes'</script>"
)
SCROLL = """(async (step) => {
  const box = document.getElementById('list');
  const gaps = [];
  let last = performance.now();
  for (let i = 0; i < %d; i += 1) {
    box.scrollTop = i * (step || (box.scrollHeight - box.clientHeight) / %d);
    await new Promise(requestAnimationFrame);
    gaps.push(performance.now() - last);
    last = performance.now();
  }
  return gaps;
})""" % (FRAMES, FRAMES)  # fmt: skip  # noqa: UP031 - braces are the script's
ROW = """(async () => {
  const box = document.getElementById('list');
  const before = document.getElementById('row-title').textContent;
  const began = performance.now();
  box.focus();
  for (const key of ['End', 'Enter']) box.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));
  while (document.getElementById('row-title').textContent === before) {
    await new Promise((done) => setTimeout(done, 0));
  }
  await new Promise(requestAnimationFrame);
  return performance.now() - began;
})()"""
SEARCH = """(async () => {
  const form = document.getElementById('filters');
  form.elements.all.checked = true;
  form.elements.q.value = 'in no text of any row';
  const began = performance.now();
  form.elements.q.dispatchEvent(new Event('input', {bubbles: true}));
  let worst = 0;
  let last = began;
  while (document.getElementById('list').getAttribute('aria-busy') !== 'false') {
    await new Promise((done) => setTimeout(done, 0));
    worst = Math.max(worst, performance.now() - last);
    last = performance.now();
  }
  return [performance.now() - began, worst];
})()"""


def written(rows: int, path: Path) -> tuple[float, float]:
    """Write a page in a process of its own: seconds without making the rows, and its peak memory in MB."""
    code = f"from benchmarks.viewing import measured; measured({rows}, {str(path)!r})"
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    seconds, memory = map(float, said.split())
    return seconds, memory


def measured(rows: int, path: str) -> None:
    making = 0.0

    def coming() -> Any:
        nonlocal making
        some = samples.rows(rows, n=ROLLOUTS)
        while True:
            began = time.process_time()
            row = next(some, None)
            making += time.process_time() - began
            if row is None:
                return
            yield row

    began = time.process_time()
    write_page(path, coming(), title=f"{rows} rows")
    used = time.process_time() - began - making
    print(used, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


async def looked_at(debugger: str, page: Path, *, bare: bool = False) -> dict[str, float]:
    async with browser.tab(debugger) as tab:
        began = time.perf_counter()
        await tab.call("Page.navigate", url=page.as_uri())
        await tab.until("document.documentElement?.dataset.ready === 'yes'")
        said = {"open": (time.perf_counter() - began) * 1000}
        wheel, jumps = await tab.js(f"{SCROLL}(100)"), await tab.js(f"{SCROLL}(0)")
        said |= {"wheel": statistics.median(wheel), "jump": statistics.median(jumps)}
        said["worst"] = max(wheel + jumps)
        if not bare:
            said["row"] = await tab.js(ROW)
            said["search"], said["pause"] = await tab.js(SEARCH)
            said["heap"] = await tab.js("performance.memory.usedJSHeapSize / 1e6")
            said["elements"] = await tab.js("document.querySelectorAll('*').length")
        assert tab.heard == [], tab.heard
        return said


async def main(counts: list[int]) -> None:
    program = browser.found()
    if program is None:
        sys.exit(f"no browser here: one of {', '.join(browser.NAMES)}, or CHROMIUM=…")
    with tempfile.TemporaryDirectory() as folder, browser.running(program) as debugger:
        pages = {count: Path(folder) / f"{count}.html" for count in counts}
        bare = Path(folder) / "bare.html"
        bare.write_text(BARE)
        writing = {count: written(count, page) for count, page in pages.items()}
        sizes = {count: page.stat().st_size for count, page in pages.items()}
        found: dict[int, list[dict[str, float]]] = {0: [], **{count: [] for count in counts}}
        for _ in range(RUNS):  # interleaved: a busy moment of the machine hits all alike
            found[0].append(await looked_at(debugger, bare, bare=True))
            for count, page in pages.items():
                found[count].append(await looked_at(debugger, page))

    def median(count: int, name: str) -> float:
        return statistics.median(one[name] for one in found[count])

    print(f"{ROLLOUTS} rollouts a row; median of {RUNS} interleaved runs; no GPU\n")
    print(
        "| rows | page MB | bytes a rollout | CPU ms to write a row | peak memory MB | elements | heap MB |"
    )
    print("|---|---|---|---|---|---|---|")
    for count, size in sizes.items():
        seconds, memory = writing[count]
        print(
            f"| {count} | {size / 1e6:.2f} | {size / count / ROLLOUTS:.0f} | {1000 * seconds / count:.2f} "
            f"| {memory:.0f} | {median(count, 'elements'):.0f} | {median(count, 'heap'):.0f} |"
        )
    timed = ("open", "row", "wheel", "jump", "worst", "search", "pause")
    heads = "open | last row | frame, wheel | frame, jumps | worst frame | search all texts | longest pause"
    print(f"\nMilliseconds:\n\n| rows | {heads} |\n|---|---|---|---|---|---|---|---|")
    for count, runs in found.items():
        cells = [f"{median(count, name):.0f}" if name in runs[0] else "" for name in timed]
        print(f"| {count or 'a bare page'} | {' | '.join(cells)} |")


if __name__ == "__main__":
    asyncio.run(main([int(count) for count in sys.argv[1:]] or [50, 500, 5000]))
