"""The two tasks, their splits, and the prompts of policy and anchor.

A question is the left side of a line, its answer the right side: the prompt of the policy is a few solved
lines and the question. The worked examples of the anchor's prompt are those same solved lines, with guesses
written by hand, so that it knows no label that the policy does not know.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["TASKS", "Question", "Task", "anchor_prompt", "said"]

_LONGEST = 16  # characters of a guess that the anchor is shown


@dataclass(frozen=True)
class Question:
    """A question with its gold answer, which no agent sees."""

    text: str
    answer: str


@dataclass(frozen=True)
class Task:
    """Questions in three splits. `equals` stands between question and answer on a line."""

    name: str
    equals: str
    solved: tuple[tuple[str, str, tuple[str, ...]], ...]
    """Question, answer, and hand-written guesses for the anchor's prompt."""
    tokens: int
    """New tokens of a response, its line break included."""
    splits: Mapping[str, tuple[Question, ...]] = field(repr=False)

    @property
    def prefix(self) -> str:
        """The solved lines that stand before every question."""
        return "".join(f"{q}{self.equals} {a}\n" for q, a, _ in self.solved)

    def prompt(self, question: str) -> str:
        """What the policy is given."""
        return f"{self.prefix}{question}{self.equals}"


def said(text: str) -> str:
    """The response: the first line of what a model wrote."""
    return text.strip("\n").split("\n")[0].strip()


def anchor_prompt(task: Task, form: str, question: str, guesses: Sequence[str]) -> str:
    """The synthesis prompt in one of three forms, for guesses in the order given.

    `above`: the guesses on a line above the policy's own line; `within`: both on one line; `blind`: the
    guesses alone, the question is not shown.
    """
    blocks = [
        *(_block(task, form, q, g) + f" {a}\n" for q, a, g in task.solved),
        _block(task, form, question, guesses),
    ]
    return "".join(blocks)


def _block(task: Task, form: str, question: str, guesses: Sequence[str]) -> str:
    shown = ", ".join(said(g).replace(",", " ")[:_LONGEST] for g in guesses)
    if form == "above":
        return f"{shown}\n{question}{task.equals}"
    if form == "within":
        return f"{question} | guesses: {shown} | answer: {question}{task.equals}"
    if form == "blind":
        return f"{shown} =>"
    raise ValueError(f"there is no form {form!r}")


def _addition() -> Task:
    pool = [(a, b) for a in range(2, 31) for b in range(1, 10) if (a, b) != (12, 5)]
    random.Random(0).shuffle(pool)
    questions = tuple(Question(f"{a} + {b}", str(a + b)) for a, b in pool)
    solved = (
        ("12 + 5", "17", ("17", "16", "17", "7", "27", "17", "18", "15")),
        ("6 + 20", "26", ("26", "16", "26", "24", "8", "26", "20", "26")),
    )
    splits = {"train": questions[:130], "validation": questions[130:180], "test": questions[180:]}
    return Task("addition", " =", solved, 4, splits)


_VERBS = """become became|begin began|bend bent|bite bit|bleed bled|blow blew|break broke|breed bred|
bring brought|build built|buy bought|catch caught|choose chose|cling clung|come came|creep crept|
deal dealt|dig dug|draw drew|drink drank|drive drove|eat ate|fall fell|feed fed|feel felt|fight fought|
find found|flee fled|fling flung|fly flew|forbid forbade|forget forgot|forgive forgave|freeze froze|
get got|give gave|go went|grind ground|grow grew|hear heard|hide hid|hold held|keep kept|know knew|
lead led|leave left|lend lent|lose lost|make made|mean meant|meet met|mistake mistook|overcome overcame|
pay paid|ride rode|ring rang|rise rose|run ran|say said|see saw|seek sought|sell sold|send sent|
shake shook|shoot shot|shrink shrank|sing sang|sink sank|sit sat|sleep slept|slide slid|speak spoke|
spend spent|spin spun|stand stood|steal stole|stick stuck|sting stung|strike struck|swear swore|
sweep swept|swim swam|swing swung|take took|teach taught|tear tore|tell told|think thought|throw threw|
understand understood|wake woke|wear wore|weave wove|weep wept|win won|wind wound|withdraw withdrew|
write wrote|arise arose|awake awoke|behold beheld|bind bound|foresee foresaw|mislead misled|
outgrow outgrew|overtake overtook|oversee oversaw|rebuild rebuilt|retell retold|rewrite rewrote|
undergo underwent|undertake undertook|undo undid|uphold upheld|withhold withheld|withstand withstood|
misunderstand misunderstood|outrun outran|overthrow overthrew|overhear overheard|foretell foretold|
repay repaid|remake remade|resell resold|retake retook|rethink rethought|unwind unwound|shine shone|
tread trod|strive strove|stride strode|swell swelled|slay slew|spring sprang|stink stank|string strung|
wring wrung|bear bore|beget begot|do did|have had|hang hung|lie lay|overeat overate|oversleep overslept"""


def _verbs() -> Task:
    pairs = [tuple(pair.split()) for pair in _VERBS.replace("\n", "").split("|")]
    random.Random(1).shuffle(pairs)
    questions = tuple(Question(verb, past) for verb, past in pairs)
    solved = (
        ("walk", "walked", ("walking", "walked", "strolled", "walked", "ran", "walks")),
        ("play", "played", ("played", "game", "playing", "played", "enjoyed", "playd")),
        ("help", "helped", ("assisted", "helped", "help", "aided", "helped", "helpd")),
        ("clean", "cleaned", ("cleaned", "washed", "clean", "cleaned", "tidied", "clear")),
    )
    splits = {"validation": questions[:40], "test": questions[40:90], "train": questions[90:]}
    return Task("past", " ->", solved, 5, splits)


TASKS: Mapping[str, Task] = {task.name: task for task in (_addition(), _verbs())}
"""`addition`: two-digit plus one-digit numbers. `past`: past tenses of irregular verbs, while every solved
line shows a regular one."""
