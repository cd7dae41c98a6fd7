"""The page in a real browser, from file://, as a person uses it."""

from __future__ import annotations

import re
import zlib
from importlib import resources
from pathlib import Path

import pytest

from catagent.messages import (
    Answer,
    Call,
    Criterion,
    Reference,
    Reward,
    RoleUsage,
    Rollout,
    RolloutGroup,
    Rubric,
    Solution,
    Task,
    Usage,
)
from catagent.viewing import MethodReference, Row, write_page
from tests.viewing import samples
from tests.viewing.browser import Tab
from tests.viewing.test_page import hostile

KEYS = {"Escape": 27, "Enter": 13, "ArrowDown": 40, "ArrowUp": 38, "ArrowRight": 39, "End": 35, "Home": 36}


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty rows: an open-ended one, a hostile one, and questions."""
    path = tmp_path_factory.mktemp("pages") / "many.html"
    rows = [Row("open", samples.open_ended()), hostile(), *samples.rows(38, tokens=True)]
    write_page(path, rows, title="Forty rows", notes=["A note."])
    return path


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pages") / "large.html"
    few = [samples.verifiable(seed, n=2, words=20) for seed in range(20)]
    write_page(path, (Row(f"q{i}", few[i % 20]) for i in range(5_000)), title="5,000 rows")
    return path


def reconciled(text: str, *rollouts: str) -> Row:
    """A row whose reference is `text`."""
    task = Task.of("Q")
    drawn = tuple(Rollout(index=i, text=t) for i, t in enumerate(rollouts))
    reference = Reference(text=text, method="synthesis", parents=tuple(r.id for r in drawn))
    return Row(
        "a", Solution(task=task, group=RolloutGroup(task_id=task.id, rollouts=drawn), reference=reference)
    )


async def shown(tab: Tab) -> str:
    return str(await tab.js("document.querySelector('#row-title')?.textContent"))


async def count(tab: Tab) -> str:
    return str(await tab.js("document.getElementById('count').firstChild.textContent"))


async def typed(tab: Tab, name: str, value: str | bool) -> None:
    """Set a filter as if it was typed, and wait until the list is filtered."""
    said = f"checked = {str(value).lower()}" if isinstance(value, bool) else f"value = {value!r}"
    await tab.js(
        f"(() => {{ const field = document.getElementById('filters').elements[{name!r}]; field.{said};"
        " field.dispatchEvent(new Event('input', {bubbles: true})) })()"
    )
    await filtered(tab)


async def filtered(tab: Tab) -> None:
    await tab.until("document.getElementById('list').getAttribute('aria-busy') === 'false'")


async def texts(tab: Tab, selector: str) -> list[str]:
    """The texts of all elements of a kind."""
    found: list[str] = await tab.js(f"[...document.querySelectorAll({selector!r})].map((e) => e.textContent)")
    return found


async def pressed(tab: Tab, *keys: str) -> None:
    for key in keys:
        await tab.press(key, code=KEYS.get(key, 0), text="\r" if key == "Enter" else None)


async def test_hostile_texts_are_shown_and_do_nothing(tab: Tab, page: Path) -> None:
    await tab.open(page.as_uri())
    await typed(tab, "q", "onerror")
    assert await count(tab) == "1 of 40 rows"
    await tab.js("document.querySelector('.item').click()")
    await tab.until("document.querySelector('#row-title')?.textContent.includes('script')")
    await tab.until("document.querySelectorAll('.kept meter').length > 0")
    text = str(await tab.js("document.querySelector('pre.text').textContent"))
    assert "</script><script>alert(1)</script><img src=x onerror=alert(2)>" in text
    assert "[U+202E]evil[U+202C]" in text
    await tab.js("document.querySelectorAll('button.mark').forEach((b) => b.click())")
    assert "alert(1)" in await tab.js("document.querySelector('.reason').textContent")
    strange = "document.querySelectorAll('img, iframe, object, embed, link, main script, main style').length"
    assert await tab.js(strange) == 0
    assert await tab.js("document.querySelectorAll('svg[onload], [onerror], [onclick]').length") == 0


async def test_a_script_that_gets_in_is_refused_by_the_policy(tab: Tab, page: Path) -> None:
    await tab.open(page.as_uri())
    await tab.js(
        "(() => { const s = document.createElement('script'); s.textContent = 'window.broken = 1';"
        " document.body.append(s); const i = new Image(); i.src = 'http://127.0.0.1:9/x.png';"
        " document.body.insertAdjacentHTML('beforeend', '<p onclick=\"window.broken=1\" id=in>x</p>');"
        " document.getElementById('in').click() })()"
    )
    assert await tab.js("window.broken") is None
    await tab.until("true")
    assert tab.heard
    assert all("Content Security Policy" in said or "violates" in said for said in tab.heard)
    tab.heard.clear()
    tab.asked.clear()


async def test_filters(tab: Tab, page: Path) -> None:
    await tab.open(page.as_uri())
    assert await count(tab) == "40 rows"
    for name in ("differs", "failed", "fallback"):
        label = f"document.getElementById('filters').elements[{name!r}].parentElement.textContent"
        many = re.findall(r"\d+", await tab.js(label))[0]
        await typed(tab, name, True)
        assert await count(tab) == f"{many} of 40 rows"
        await typed(tab, name, False)
    await typed(tab, "m1", "true")
    items = await texts(tab, ".item")
    assert items
    assert all("✓ synthesis" in item for item in items)
    await typed(tab, "m1", "null")  # of two rows it is not known
    assert await count(tab) == "2 of 40 rows"
    await tab.js("document.querySelector('#count button').click()")
    await filtered(tab)
    assert await count(tab) == "40 rows"
    await typed(tab, "group", "=algebra")
    assert await count(tab) == "13 of 40 rows"
    await typed(tab, "low", "0.5")
    await typed(tab, "high", "0.9")
    rewards = [
        float(found[0])
        for item in await texts(tab, ".item")
        if (found := re.findall(r"reward ([\d.]+)", item))
    ]
    assert rewards
    assert all(0.5 <= reward <= 0.9 for reward in rewards)


async def test_search_in_all_texts_finds_what_the_list_does_not_have(tab: Tab, page: Path) -> None:
    await tab.open(page.as_uri())
    await typed(tab, "q", "warns of point")
    assert await count(tab) == "0 of 40 rows"
    assert await texts(tab, "#space") == ["No row is like that."]
    await typed(tab, "all", True)
    assert await count(tab) == "1 of 40 rows"
    assert "How do I sleep better?" in (await texts(tab, ".item"))[0]


async def test_sorting(tab: Tab, page: Path) -> None:
    await tab.open(page.as_uri())
    await typed(tab, "sort", "mean")
    rewards = [float(re.findall(r"reward ([\d.]+)", item)[0]) for item in (await texts(tab, ".item"))[:8]]
    assert rewards == sorted(rewards)
    assert rewards[0] < rewards[-1]


async def test_keys(tab: Tab, page: Path) -> None:
    await tab.open(page.as_uri())
    await tab.until("document.querySelector('#row-title')")
    assert await shown(tab) == "open"
    await pressed(tab, "j", "j")
    await tab.until("document.querySelector('#row-title').textContent === 'q0'")
    await pressed(tab, "k", "j")
    await tab.until("document.querySelector('#row-title').textContent === 'q0'")
    assert await tab.js("location.hash") == "#row=q0"
    await pressed(tab, "3")
    assert await tab.js("document.activeElement.id") == "rollout-3"
    await pressed(tab, "/")
    assert await tab.js("document.activeElement.name") == "q"
    await pressed(tab, "j")  # is text there
    assert await tab.js("document.activeElement.value") == "j"
    assert await shown(tab) == "q0"
    await pressed(tab, "Escape")
    assert await tab.js("document.activeElement.id") == "list"
    await pressed(tab, "?")
    assert await tab.js("document.getElementById('keys').open") is True
    await pressed(tab, "j", "Escape")
    assert await tab.js("document.getElementById('keys').open") is False
    assert await shown(tab) == "q0"


async def test_an_address_names_a_row(tab: Tab, page: Path) -> None:
    await tab.open(f"{page.as_uri()}#row=q7")
    await tab.until("document.querySelector('#row-title')?.textContent === 'q7'")
    await tab.js("location.hash = '#row=q9'")
    await tab.until("document.querySelector('#row-title').textContent === 'q9'")
    await tab.js("location.hash = '#row=%E0%A4%A'")  # no text in UTF-8
    await tab.js("location.hash = '#row=nobody'")
    assert await shown(tab) == "q9"


async def test_five_thousand_rows_are_a_screenful_of_elements(tab: Tab, large: Path) -> None:
    await tab.open(large.as_uri())
    assert await count(tab) == "5,000 rows"
    assert await tab.js("document.querySelectorAll('*').length") < 3_000
    await tab.js("document.getElementById('list').focus()")
    await pressed(tab, "End", "Enter")
    await tab.until("document.querySelector('#row-title').textContent === 'q4999'")
    drawn = "[...document.querySelectorAll('.item')].map((i) => Number(i.getAttribute('aria-posinset')))"
    last = await tab.js(drawn)
    assert max(last) == 5_000
    assert len(last) < 40
    await tab.js("document.getElementById('list').scrollTop = 2500 * 76")
    await tab.until(f"({drawn}).includes(2501)")
    assert len(await tab.js(drawn)) < 40
    place = await tab.js(
        "(() => { const box = document.getElementById('list').getBoundingClientRect();"
        " return document.elementFromPoint(box.x + 20, box.y + 20).closest('.item').dataset.place })()"
    )
    assert place == "2500"


async def test_what_the_reference_kept_is_marked_and_shown_in_its_rollouts(tab: Tab, tmp_path: Path) -> None:
    row = reconciled(
        "First we count all the pairs. Nobody said this before. Then **divide  by the number** of boxes!",
        "Well: first we count all the pairs. After that we stop.",
        "One could then divide by the number of boxes, and first we count all the pairs.",
        "Something else entirely is written here.",
    )
    write_page(tmp_path / "p.html", [row], title="t")
    await tab.open((tmp_path / "p.html").as_uri())
    await tab.until("document.querySelectorAll('pre.reference mark').length > 0")
    marks = await tab.js(
        "[...document.querySelectorAll('pre.reference mark')]"
        ".map((m) => [m.textContent, m.getAttribute('aria-description')])"
    )
    assert marks[0] == ["First we count all the pairs.", "in rollouts 1, 2"]
    assert marks[-1] == ["Then **divide  by the number** of boxes", "in rollout 2"]
    text = await tab.js("document.querySelector('pre.reference').textContent")
    assert text == row.solution.text
    shares = await tab.js("[...document.querySelectorAll('.kept li')].map((l) => l.textContent)")
    assert [share.endswith("%") for share in shares] == [True] * 3
    assert shares[2].endswith("0%")
    await tab.js("document.querySelectorAll('mark')[1].focus()")
    assert await tab.js("[...document.querySelectorAll('.card.source')].map((c) => c.id)") == ["rollout-2"]
    kept = "[...CSS.highlights.get('kept')].map((r) => r.toString())"
    assert await tab.js(kept) == ["then divide by the number of boxes"]
    assert await tab.js("document.getElementById('status').textContent") == "in rollout 2"
    await tab.js("document.querySelector('mark').focus()")
    await pressed(tab, "ArrowRight")
    assert await tab.js("document.activeElement.textContent") == marks[1][0]
    await tab.js("document.activeElement.blur()")
    assert await tab.js("CSS.highlights.has('kept')") is False


@pytest.fixture(scope="session")
def methods(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three questions of an evaluation, the last with hostile texts."""
    path = tmp_path_factory.mktemp("pages") / "methods.html"
    hostile_row = samples.evaluated(3, texts=f" {samples.HOSTILE}" + "<wide>" * 200)
    write_page(path, [samples.evaluated(1), samples.evaluated(2), hostile_row], title="t")
    return path


FOLDED_OUT = "[...document.querySelectorAll('details.method[open] > summary > b')].map((b) => b.textContent)"


async def test_the_references_of_all_methods_fold_out(tab: Tab, methods: Path) -> None:
    await tab.open(methods.as_uri())
    await tab.until("document.querySelectorAll('mark').length > 0")
    assert await texts(tab, "#reference h2") == ["References (4 methods)"]
    lines = [re.sub(r"\s+", " ", line) for line in await texts(tab, ".method > summary")]
    answer = (await texts(tab, "#reference > p"))[0].removeprefix("known to be right: ")
    assert lines == [
        f"synthesis A{answer} ✓ right fall-back",
        f"majority A{answer} ✓ right ",
        "usc failed ? undecided ",
        f"placebo_none {lines[3].split()[1]} ✗ wrong ≠ majority ({answer}) ",
    ]
    assert lines[3].split()[1].endswith("-7")
    assert await tab.js(FOLDED_OUT) == ["synthesis"]
    assert (await texts(tab, ".item .answer"))[0] == f"synthesis → {answer}"


async def test_what_was_set_aside_comes_before_what_stands_in_its_place(tab: Tab, methods: Path) -> None:
    await tab.open(methods.as_uri())
    await tab.until("document.querySelectorAll('mark').length > 0")
    heads = await texts(tab, "details.method[open] h3")
    assert heads == ["What was set aside", "What stands in its place, by majority"]
    first, second = (await texts(tab, "details.method[open] pre.reference"))[:2]
    rollouts = await texts(tab, "pre.text")
    assert first.split("\n")[0] == rollouts[0].split("\n")[0]
    assert second == rollouts[0]
    assert "Fall-back: the synthesis states no final answer" in await texts(tab, "details.method[open] p")
    assert "In the words of rollout 1." in await texts(tab, "details.method[open] p")
    await tab.js("document.querySelector('details.method a[href=\"#rollout-1\"]').click()")
    assert await tab.js("document.activeElement.id") == "rollout-1"
    # What was set aside is compared with the rollouts; what is a rollout's own is not.
    marked = "map((p) => p.querySelector('mark') !== null)"
    assert await tab.js(f"[...document.querySelectorAll('details.method[open] pre')].{marked}") == [
        True,
        False,
    ]


async def test_on_an_open_question_methods_have_a_score_and_long_texts_a_bound(
    tab: Tab, tmp_path: Path
) -> None:
    solution = samples.open_ended(n=3)
    assert solution.reference is not None
    long = solution.reference.model_copy(update={"text": "A line.\n" * 1_000})
    row = Row(
        "a",
        solution,
        references=(MethodReference("synthesis", solution.reference, 0.625), MethodReference("usc", long)),
    )
    write_page(tmp_path / "p.html", [row], title="t")
    await tab.open((tmp_path / "p.html").as_uri())
    await tab.until("document.querySelectorAll('mark').length > 0")
    lines = [line.split() for line in await texts(tab, ".method > summary")]
    assert lines == [["synthesis", "score", "0.625"], ["usc", "?", "undecided"]]
    await tab.js("document.querySelectorAll('.method > summary')[1].click()")
    tall = "document.querySelectorAll('.method')[1].querySelector('pre')"
    assert await tab.js(f"{tall}.clientHeight") < 700
    assert await tab.js(f"{tall}.tabIndex") == 0
    await tab.call("Emulation.setEmulatedMedia", media="print")
    assert await tab.js(f"{tall}.scrollHeight - {tall}.clientHeight") <= 1


async def test_methods_fold_by_keys_and_stay_so_in_the_next_row(tab: Tab, methods: Path) -> None:
    await tab.open(methods.as_uri())
    await tab.until("document.querySelectorAll('mark').length > 0")
    await tab.js("document.querySelectorAll('.method > summary')[3].focus()")
    await pressed(tab, "Enter")
    await tab.until(f'JSON.stringify({FOLDED_OUT}) === \'["synthesis","placebo_none"]\'')
    await tab.js("document.querySelectorAll('.method > summary')[0].focus()")
    await pressed(tab, "Enter")
    await tab.until(f"JSON.stringify({FOLDED_OUT}) === '[\"placebo_none\"]'")
    await pressed(tab, "j")
    await tab.until("document.querySelector('#row-title').textContent === 'q2'")
    assert await tab.js(FOLDED_OUT) == ["placebo_none"]
    assert await tab.js("document.querySelectorAll('mark').length") == 0
    await tab.js("document.querySelectorAll('.method > summary')[0].focus()")
    await pressed(tab, "Enter")
    await tab.until("document.querySelectorAll('.method mark').length > 0")  # marked when it is first seen
    kept = "document.querySelectorAll('.method:first-of-type .kept meter').length"
    assert await tab.js(kept) == await tab.js("document.querySelectorAll('pre.text').length")
    await pressed(tab, "Enter", "Enter")
    await tab.until("document.querySelector('.method').open")
    assert await tab.js(kept) == await tab.js("document.querySelectorAll('pre.text').length")


async def test_what_was_set_aside_is_searched(tab: Tab, methods: Path) -> None:
    await tab.open(methods.as_uri())
    await typed(tab, "q", "cannot say which")
    assert await count(tab) == "0 of 3 rows"
    await typed(tab, "all", True)
    assert await count(tab) == "3 rows"
    await typed(tab, "q", "javascript:alert(3)")
    assert await count(tab) == "1 of 3 rows"


@pytest.mark.parametrize("width", [320, 390, 1280])
async def test_folded_out_methods_fit_the_window(tab: Tab, methods: Path, width: int) -> None:
    await tab.size(width, 844, phone=width < 600)
    await tab.open(f"{methods.as_uri()}#row=q3")
    await tab.until("document.querySelectorAll('mark').length > 0")
    await tab.js("document.querySelectorAll('details.method').forEach((d) => { d.open = true; })")
    assert await tab.js(FOLDED_OUT) == ["synthesis", "majority", "usc", "placebo_none"]
    assert await tab.js("document.documentElement.scrollWidth") <= width
    detail = "document.getElementById('detail')"
    assert await tab.js(f"{detail}.scrollWidth <= {detail}.clientWidth")
    strange = "document.querySelectorAll('img, iframe, main script, [onerror], [onload]').length"
    assert await tab.js(strange) == 0
    heights = "[...document.querySelectorAll('.method > summary')].map((s) => s.offsetHeight)"
    assert min(await tab.js(heights)) >= 30


async def test_a_solve_shows_what_was_set_aside_too(tab: Tab, tmp_path: Path) -> None:
    row = reconciled("Both are right.", "First we count all the pairs and stop.", "Both are right.")
    assert row.solution.reference is not None
    reference = row.solution.reference.model_copy(
        update={"fallback": "no answer", "rejected": "I say: first we count all the pairs."}
    )
    row = Row("a", row.solution.model_copy(update={"reference": reference}))
    write_page(tmp_path / "p.html", [row], title="t")
    await tab.open((tmp_path / "p.html").as_uri())
    await tab.until("document.querySelectorAll('mark').length > 0")
    assert await texts(tab, "#reference h3") == [
        "What was set aside",
        "What stands in its place, by synthesis",
    ]
    assert await texts(tab, "pre.reference") == ["I say: first we count all the pairs.", "Both are right."]
    assert await texts(tab, "mark") == ["first we count all the pairs"]
    assert await tab.js("document.querySelectorAll('details.method').length") == 0


async def test_without_decompression_in_the_browser_the_page_unpacks_itself(tab: Tab, page: Path) -> None:
    await tab.call("Page.addScriptToEvaluateOnNewDocument", source="delete window.DecompressionStream")
    await tab.open(f"{page.as_uri()}#row=q7")
    await tab.until("document.querySelector('#row-title')?.textContent === 'q7'")
    assert await tab.js("typeof DecompressionStream") == "undefined"
    assert await count(tab) == "40 rows"
    assert await tab.js("document.querySelector('.card').textContent.length") > 100


@pytest.mark.parametrize("level", [0, 1, 9])
async def test_unpacking_in_plain_script_gives_what_was_packed(tab: Tab, level: int) -> None:
    source = resources.files("catagent.viewing").joinpath("assets", "inflate.js").read_text(encoding="utf-8")
    texts = ["", "a", "ab" * 40_000, "".join(chr(33 + (i * i) % 900) for i in range(30_000))]
    for text in texts:
        packed = list(zlib.compress(text.encode(), level))
        unpacked = f"new TextDecoder().decode(inflate(new Uint8Array({packed})))"
        assert await tab.js(f"(() => {{ {source}; return {unpacked} }})()") == text
    cut = list(zlib.compress(texts[2].encode()))[:20]
    caught = f"try {{ inflate(new Uint8Array({cut})) }} catch (error) {{ return error.message }}"
    assert "cut off" in await tab.js(f"(() => {{ {source}; {caught} }})()")


@pytest.fixture
def damaged(page: Path, tmp_path: Path) -> Path:
    head, data = page.read_text(encoding="utf-8").split('data-kind="lines">', 1)
    (tmp_path / "p.html").write_text(f'{head}data-kind="lines">AAAA{data}', encoding="utf-8")
    return tmp_path / "p.html"


async def test_a_damaged_page_says_so(tab: Tab, damaged: Path) -> None:
    await tab.call("Page.navigate", url=damaged.as_uri())
    await tab.until("document.getElementById('loading')?.textContent.includes('cannot be unpacked')")


async def test_verdicts_give_their_reasons_on_demand(tab: Tab, page: Path) -> None:
    await tab.open(f"{page.as_uri()}#row=open")
    await tab.until("document.querySelector('#rubric')")
    assert await tab.js("document.querySelectorAll('#rubric tbody tr').length") == 8
    await tab.js("document.querySelector('#rubric button.mark').focus()")
    await pressed(tab, "ArrowDown", "ArrowRight", "Enter")
    label = await tab.js("document.activeElement.querySelector('.hide').textContent.trim()")
    assert label.startswith("criterion 2, rollout 2: ")
    reason = await tab.js("document.querySelector('.reason').textContent")
    assert reason.startswith(f"Rollout 2: {label.rsplit(' ', 1)[1]} · judge double/judge")
    assert "say so." in reason
    tab_stops = "[...document.querySelectorAll('#rubric button.mark')].filter((b) => b.tabIndex === 0).length"
    assert await tab.js(tab_stops) == 1


async def test_tokens_are_shaded_by_how_likely_they_were(tab: Tab, page: Path) -> None:
    await tab.open(f"{page.as_uri()}#row=q1")
    await tab.until("document.querySelectorAll('.card [class^=p]').length > 3")
    same = "[...document.querySelectorAll('pre.text')].every((p) => p.textContent.endsWith('}.'))"
    assert await tab.js(same)
    back = "getComputedStyle(document.querySelector('.p2')).backgroundColor"
    assert await tab.js(back) == "rgba(0, 0, 0, 0)"
    await tab.js("document.querySelector('#rollouts input[type=checkbox]').click()")
    assert await tab.js(back) != "rgba(0, 0, 0, 0)"
    assert (await tab.js("document.querySelector('.p2').title")).startswith("probability 0.")


async def test_the_colours_follow_the_system_and_the_switch(tab: Tab, page: Path) -> None:
    back = "getComputedStyle(document.body).backgroundColor"
    await tab.size(1280, 900, dark=True)
    await tab.open(page.as_uri())
    assert await tab.js(back) == "rgb(21, 23, 27)"
    await tab.js("document.getElementById('theme').click()")
    assert await tab.js(back) == "rgb(255, 255, 255)"
    await tab.size(1280, 900, dark=False)
    await tab.js("document.getElementById('theme').click()")
    assert await tab.js(back) == "rgb(21, 23, 27)"
    assert await texts(tab, "#theme") == ["colours: ☾ dark"]
    await tab.open(f"{page.as_uri()}?again")
    assert await tab.js(back) == "rgb(21, 23, 27)"


@pytest.mark.parametrize("width", [320, 390, 700, 1280])
async def test_nothing_is_wider_than_the_window(tab: Tab, page: Path, width: int) -> None:
    await tab.size(width, 844, phone=width < 600)
    await tab.open(page.as_uri())
    wide = "document.documentElement.scrollWidth"
    assert await tab.js(wide) <= width
    for name in ("open", "q1"):
        await tab.js(f"location.hash = '#row={name}'")
        await tab.until(f"document.querySelector('#row-title')?.textContent === '{name}'")
        await tab.until("document.querySelectorAll('mark').length > 0")
        assert await tab.js(wide) <= width
        assert await tab.js(
            "document.getElementById('detail').scrollWidth <= document.getElementById('detail').clientWidth"
        )


async def test_on_a_phone_list_and_row_take_turns(tab: Tab, page: Path) -> None:
    await tab.size(390, 844, phone=True)
    await tab.open(page.as_uri())
    visible = "['side', 'detail', 'back'].filter((id) => document.getElementById(id).offsetHeight > 0)"
    assert await tab.js(visible) == ["side"]
    await tab.js("document.querySelectorAll('.item')[3].click()")
    await tab.until("document.querySelector('#row-title')?.textContent === 'q1'")
    assert await tab.js(visible) == ["detail", "back"]
    await tab.js("document.getElementById('back').click()")
    await tab.until(f"JSON.stringify({visible}) === '[\"side\"]'")
    await tab.js("document.querySelectorAll('.item')[4].click()")
    await tab.until("document.querySelector('#row-title')?.textContent === 'q2'")
    await tab.js("history.back()")
    await tab.until(f"JSON.stringify({visible}) === '[\"side\"]'")


async def test_what_a_screen_reader_is_told(tab: Tab, page: Path) -> None:
    await tab.open(f"{page.as_uri()}#row=q1")
    await tab.until("document.querySelectorAll('mark').length > 0")
    await tab.call("Accessibility.enable")
    tree = (await tab.call("Accessibility.getFullAXTree"))["nodes"]
    said = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in tree
        if not node.get("ignored") and "role" in node
    ]
    roles = {role for role, _ in said}
    assert {"banner", "navigation", "main", "search", "listbox", "option", "region", "article"} <= roles
    nameless = {
        "button",
        "checkbox",
        "combobox",
        "textbox",
        "searchbox",
        "spinbutton",
        "listbox",
        "region",
        "option",
        "article",
        "link",
        "image",
        "meter",
    }
    assert [one for one in said if one[0] in nameless - {"meter"} and not one[1]] == []
    assert ("listbox", "Rows") in said
    headings = [name for role, name in said if role == "heading"]
    assert headings[:4] == ["Forty rows", "q1", "Prompt", "Reference"]
    option = next(name for role, name in said if role == "option" and name.startswith("q1"))
    assert "rollouts:" in option
    assert "cluster A" in option


async def test_a_single_row_needs_no_list_and_prints_whole(tab: Tab, tmp_path: Path) -> None:
    write_page(tmp_path / "p.html", [Row("a", samples.verifiable(3, words=900))], title="t")
    await tab.open((tmp_path / "p.html").as_uri())
    await tab.until("document.querySelector('#row-title')")
    assert await tab.js("document.getElementById('list').offsetHeight") == 0
    assert await tab.js("document.getElementById('detail').getBoundingClientRect().top") < 80
    cut = "[...document.querySelectorAll('.card pre.text')].some((p) => p.scrollHeight > p.clientHeight + 1)"
    assert await tab.js(cut) is True
    await tab.size(1280, 900, dark=True)
    scheme = [{"name": "prefers-color-scheme", "value": "dark"}]
    await tab.call("Emulation.setEmulatedMedia", media="print", features=scheme)
    assert await tab.js(cut) is False
    assert await tab.js("getComputedStyle(document.body).color") == "rgb(27, 29, 33)"  # dark ink on paper
    assert await tab.js("getComputedStyle(document.getElementById('detail')).overflowY") == "visible"


async def test_a_huge_rollout_is_cut_and_the_page_answers(tab: Tab, tmp_path: Path) -> None:
    big = "<a href=x>" * 1_000_000
    task = Task.of("Q")
    rollouts = tuple(Rollout(index=i, text=f"{i}{big}", answer=Answer(text=big)) for i in range(3))
    group = RolloutGroup(task_id=task.id, rollouts=rollouts)
    reference = Reference(text=big, method="synthesis")
    write_page(
        tmp_path / "p.html", [Row("a", Solution(task=task, group=group, reference=reference))], title="t"
    )
    await tab.open((tmp_path / "p.html").as_uri())
    await tab.until("document.querySelectorAll('mark').length > 0")
    assert "characters left out" in await tab.js("document.querySelector('pre.text').textContent")


async def test_notes_stand_above_a_single_row_too(tab: Tab, tmp_path: Path) -> None:
    write_page(
        tmp_path / "p.html", [Row("a", samples.verifiable(3))], title="t", notes=["One line was left out."]
    )
    for width in (390, 1280):
        await tab.size(width, 844, phone=width < 600)
        await tab.call("Page.navigate", url="about:blank")
        await tab.open((tmp_path / "p.html").as_uri())
        await tab.until("document.querySelector('#row-title')")
        assert await tab.js("document.querySelector('#notes li').offsetHeight > 0")
        assert await tab.js("document.getElementById('detail').getBoundingClientRect().top") < 200


async def test_an_empty_page_says_so(tab: Tab, tmp_path: Path) -> None:
    write_page(tmp_path / "p.html", [], title="t")
    await tab.open((tmp_path / "p.html").as_uri())
    assert "There are no rows" in await tab.js("document.getElementById('detail').textContent")


async def test_numbers_and_sizes_beyond_reason_do_not_stop_the_page(tab: Tab, tmp_path: Path) -> None:
    task = Task.of("Q")
    drawn = tuple(Rollout(index=i, text="some text of five words", logprobs=(-1e300,)) for i in range(1_100))
    usage = Usage(
        roles={"sampler": RoleUsage(calls=10**30, usd=1e300, seconds=1e300), "anchor": RoleUsage()},
        seconds=1e300,
        timeline=(
            Call(role="sampler", began=-1e300, seconds=1e300),
            Call(role="sampler", began=0.1, seconds=0.2),
        ),
    )
    criteria = tuple(Criterion(id=f"c{i}", text="a criterion", weight=1e300) for i in range(200))
    solution = Solution(
        task=task,
        group=RolloutGroup(task_id=task.id, rollouts=drawn),
        reference=Reference(text="here is some text of five words", method="m"),
        rubric=Rubric(criteria=criteria),
        rewards=tuple(Reward(rollout_id=r.id, value=-1e300, name="r") for r in drawn),
        usage=usage,
    )
    write_page(tmp_path / "p.html", [Row("a", solution)], title="t")
    await tab.open((tmp_path / "p.html").as_uri())
    await tab.until("document.querySelectorAll('.kept meter').length === 1024")
    assert await tab.js("document.querySelectorAll('.card').length") == 24
    assert await tab.js("document.querySelectorAll('#rubric button.mark').length") == 3_000
    assert "76 more rollouts are in the file" in (await texts(tab, "#rollouts"))[0]
    assert "1009 more rollouts" in (await texts(tab, "#rubric"))[0].replace(",", "")
    assert str(10**30) in (await texts(tab, "#costs table"))[0]
    assert await tab.js("document.querySelectorAll('.timeline .call').length") == 1
    await tab.js("[...document.querySelectorAll('#rollouts > button')].pop().click()")
    assert await tab.js("document.querySelectorAll('.card').length") == 1_024
