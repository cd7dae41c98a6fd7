"""Which tasks a 135M model could learn from its own rollouts: what was looked at before the second task.

    python -m benchmarks.training_cpu.survey [NAME …]

For each of these few-shot tasks: how often a rollout, the vote and any of G are right, and what a synthesis
makes of the rollouts when it does not see the question (`blind`), when it does (`aware`), and with another
question's rollouts or none. The worked examples of the synthesis hold rollouts of the model for solved lines
outside the 32 questions. None of the questions is in a split of the experiment.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

from benchmarks.training_cpu.analysis import mean
from benchmarks.training_cpu.exact import right_lines, samples
from benchmarks.training_cpu.run import loaded
from benchmarks.training_cpu.tasks import said

G, QUESTIONS, SOLVED = 8, 32, 6
ONES = [
    *[
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
    ],
    *["thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"],
]
TENS = ["-", "-", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
LETTERS = "abcdefghijklmnopqrstuvwxyz"
Line = tuple[str, str]


def in_words(n: int) -> str:
    """A number below a thousand in words."""
    if n < 20:
        return ONES[n]
    if n < 100:
        return TENS[n // 10] + (f"-{ONES[n % 10]}" if n % 10 else "")
    return f"{ONES[n // 100]} hundred" + (f" {in_words(n % 100)}" if n % 100 else "")


def vocabulary(tokenizer: Any, shortest: int, longest: int, below: int = 16_000) -> list[str]:
    """Lower-case words that are one token, the frequent ones."""
    ranked = sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
    words = [text[1:] for text, rank in ranked if rank < below and text[0] == "Ġ"]
    return [w for w in words if w.isascii() and w.isalpha() and w.islower() and shortest <= len(w) <= longest]


def misspelt(word: str, draw: random.Random) -> str:
    """A letter left out, doubled, or swapped with the next."""
    i, how = draw.randrange(1, len(word) - 1), draw.randrange(3)
    if how == 0:
        return word[:i] + word[i + 1 :]
    if how == 1:
        return word[:i] + word[i] + word[i:]
    return word[:i] + word[i + 1] + word[i] + word[i + 2 :]


def makers(tokenizer: Any, draw: random.Random) -> dict[str, Callable[[], Line]]:
    """By name: a question, with the sign that ends it, and its answer."""
    words, short = vocabulary(tokenizer, 6, 8), vocabulary(tokenizer, 3, 4, 6000)
    small, long = vocabulary(tokenizer, 4, 5, 8000), vocabulary(tokenizer, 9, 11)

    def spaced(left: Any, right: Any) -> Line:
        return f"{' '.join(map(str, left))} ->", " ".join(map(str, right))

    def spell(pool: list[str]) -> Line:
        word = draw.choice(pool)
        return f"{word}:", " ".join(word)

    def scrambled() -> Line:
        word = draw.choice(small)
        return f"{' '.join(draw.sample(word, len(word)))} ->", word

    def lowered(pool: list[str]) -> Line:
        word = draw.choice(pool)
        return f"{word.upper()} ->", word

    def corrected() -> Line:
        word = draw.choice(words)
        return f"{misspelt(word, draw)} ->", word

    def summed(low: int, high: int) -> Line:
        a, b = draw.randrange(low, high), draw.randrange(low, high)
        return f"{a} + {b} =", str(a + b)

    def named() -> Line:
        n = draw.randrange(101, 999)
        return f"{in_words(n)} =", str(n)

    def drawn(pool: Any, count: int, made: Callable[[list[Any]], Any]) -> Line:
        left = draw.sample(pool, count)
        return spaced(left, made(left))

    def counted() -> Line:
        a, k = draw.randrange(1, 40), draw.randrange(2, 7)
        return spaced([a, a + k, a + 2 * k], [a + 3 * k, a + 4 * k, a + 5 * k, a + 6 * k])

    def copied() -> Line:
        left = [draw.choice(LETTERS) for _ in range(8)]
        return spaced(left, left)

    return {
        "letters of a word": lambda: spell(words),
        "letters of a long word": lambda: spell(long),
        "words backwards": lambda: drawn(short, 4, lambda left: left[::-1]),
        "digits backwards": lambda: drawn(range(10), 5, lambda left: left[::-1]),
        "digits sorted": lambda: drawn(range(1, 10), 5, sorted),
        "numbers sorted": lambda: drawn(range(10, 100), 4, sorted),
        "letters sorted": lambda: drawn(LETTERS, 5, sorted),
        "one more": lambda: drawn(range(9), 5, lambda left: [x + 1 for x in left]),
        "doubled": lambda: drawn(range(2, 50), 4, lambda left: [2 * x for x in left]),
        "counting on": counted,
        "first letters": lambda: drawn(short, 5, lambda left: [word[0] for word in left]),
        "anagrams": scrambled,
        "misspellings": corrected,
        "three-digit sums": lambda: summed(100, 500),
        "copying letters": copied,
        "lower case": lambda: lowered(words),
        "number words": named,
    }


def vote(guesses: list[str]) -> str | None:
    """The most frequent one; `None` for a tie."""
    ranks = Counter(guesses).most_common(2)
    return None if len(ranks) > 1 and ranks[0][1] == ranks[1][1] else ranks[0][0]


def shown(form: str, question: str, guesses: list[str]) -> str:
    """A block of the synthesis prompt."""
    listed = ", ".join(g.replace(",", " ")[:20] for g in guesses)
    return f"{listed} =>" if form == "blind" else f"guesses: {listed}\n{question}"


def survey(name: str, model: Any, tokenizer: Any) -> str:
    """One row of the table."""
    draw = random.Random(7)
    make = makers(tokenizer, draw)[name]
    lines: list[Line] = []
    while len(lines) < QUESTIONS + SOLVED:
        line = make()
        if all(line[0] != other[0] for other in lines):
            lines.append(line)
    solved, asked = lines[:SOLVED], lines[SOLVED:]
    tokens = 1 + max(len(tokenizer(f" {a}\n", add_special_tokens=False)["input_ids"]) for _, a in lines)

    def rollouts(questions: list[Line], beside: list[Line], seed: int) -> list[list[str]]:
        prefix = "".join(f"{q} {a}\n" for q, a in beside)
        made = samples(model, tokenizer, [prefix + q for q, _ in questions], G, tokens, seed)
        return [[said(text) for text in texts] for texts in made]

    groups = rollouts(asked, solved[:3], 1)
    answers = [a for _, a in asked]
    pairs = list(zip(groups, answers, strict=True))
    cells = [
        mean([g == a for group, a in pairs for g in group]),
        mean([a in group for group, a in pairs]),
        mean([vote(group) == a for group, a in pairs]),
    ]
    if cells[1] >= 0.25:
        worked = []
        for question, answer in solved[:5]:
            others = [line for line in solved[:4] if line[0] != question]
            wrong = [g for g in rollouts([(question, answer)], others, 5)[0] if g != answer and g][:5]
            worked.append((question, wrong + [answer] * (6 - len(wrong)), answer))
        for form, sources in (
            ("blind", [groups]),
            ("aware", [groups, [*groups[1:], groups[0]], [[]] * len(groups)]),
        ):
            head = "".join(shown(form, q, draw.sample(g, len(g))) + f" {a}\n" for q, g, a in worked)
            for source in sources:
                prompts = [
                    head + shown(form, q, draw.sample(g[:6], len(g[:6])))
                    for (q, _), g in zip(asked, source, strict=True)
                ]
                found = right_lines(model, tokenizer, prompts, answers)
                cells.append(mean([line.p[1.0] for line in found]))
    return f"| {name} | " + " | ".join(f"{100 * c:.0f}" for c in cells) + " | –" * (7 - len(cells)) + " |"


def main() -> None:
    model, tokenizer = loaded()
    print("| task | rollout | any of G | majority | blind | aware | another's rollouts | none |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name in sys.argv[1:] or makers(tokenizer, random.Random(7)):
        print(survey(name, model, tokenizer), flush=True)


if __name__ == "__main__":
    main()
