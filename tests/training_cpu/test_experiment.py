"""The splits, prompts and statistics of the experiment in benchmarks/training_cpu."""

from __future__ import annotations

import math

import pytest
import torch

from benchmarks.training_cpu.analysis import Measured, against
from benchmarks.training_cpu.exact import right_lines, samples
from benchmarks.training_cpu.tasks import TASKS, anchor_prompt, said
from tests.training import tiny


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_splits_share_no_question_and_no_worked_line(task):
    questions = [q.text for split in task.splits.values() for q in split]
    assert set(task.splits) == {"train", "validation", "test"}
    assert len(questions) == len(set(questions))
    assert not {q for q, _, _ in task.solved} & set(questions)


def test_the_answers_of_the_additions_are_the_sums():
    for split in TASKS["addition"].splits.values():
        for question in split:
            a, b = map(int, question.text.split(" + "))
            assert question.answer == str(a + b)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_the_anchor_knows_no_label_that_the_policy_does_not_know(task):
    question = task.splits["test"][0]
    prompt = anchor_prompt(task, "above", question.text, ["one", "two"])
    for asked, answer, guesses in task.solved:
        assert f"{asked}{task.equals} {answer}\n" in task.prefix
        assert answer in guesses
    assert prompt.count("\n") == 2 * len(task.solved) + 1
    assert prompt.endswith(f"one, two\n{question.text}{task.equals}")


def test_the_blind_form_does_not_show_the_question():
    task = TASKS["past"]
    prompt = anchor_prompt(task, "blind", "swim", ["swam\nwalk", "a, b"])
    assert prompt.endswith("\nswam, a  b =>")
    assert "swim" not in prompt
    assert said(" swam \nwalk -> walked") == "swam"


def test_errors_over_seeds_and_over_questions_are_kept_apart():
    runs = {0: [0.0, 1.0, 1.0], 1: [1.0, 1.0, 1.0]}
    found = Measured.of(runs)
    assert found.mean == pytest.approx(5 / 6)
    assert found.seeds == pytest.approx(1 / 6)  # of the means 2/3 and 1
    assert found.questions == pytest.approx(math.sqrt(((1 / 3) ** 2 + 2 * (1 / 6) ** 2) / 2 / 3))
    assert found.count == 2
    assert Measured.of({0: [0.0, 1.0]}).seeds is None


def test_differences_are_paired_by_seed_and_question():
    runs = {0: [0.2, 0.8], 1: [0.4, 1.0], 2: [0.0, 0.0]}
    lower = {0: [0.1, 0.7], 1: [0.3, 0.9], 7: [0.5, 0.5]}
    found = against(runs, lower)
    assert found.count == 2
    assert found.mean == pytest.approx(0.1)
    assert found.seeds == pytest.approx(0, abs=1e-12)
    assert found.questions == pytest.approx(0, abs=1e-12)
    assert against(runs, {0: [0.0, 0.0]}).count == 3
    with pytest.raises(ValueError, match="no seed in common"):
        against({1: [0.0]}, {2: [0.0], 3: [0.0]})
    with pytest.raises(ValueError, match="same questions"):
        Measured.of({0: [0.0], 1: [0.0, 1.0]})


def test_the_probability_of_a_line_is_the_product_over_its_tokens_whatever_stands_beside_it():
    model, tokenizer = tiny.model(), tiny.tokenizer()
    prompts, answers = ["2 + 3?", "a longer prompt than the other one: 4 + 3?"], ["5", "seven"]
    made = right_lines(model, tokenizer, prompts, answers, (1.0, 0.5))
    for line, prompt, answer in zip(made, prompts, answers, strict=True):
        ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        expected = {1.0: 1.0, 0.5: 1.0}
        likeliest = True
        for token in tokenizer(f" {answer}\n", add_special_tokens=False)["input_ids"]:
            with torch.no_grad():
                logits = model(torch.tensor([ids])).logits[0, -1]
            for t in expected:
                expected[t] *= (logits / t).softmax(-1)[token].item()
            likeliest = likeliest and int(logits.argmax()) == token
            ids = [*ids, token]
        for t, value in expected.items():
            assert line.p[t] == pytest.approx(value, rel=1e-3)
        assert line.greedy == likeliest


def test_samples_come_from_the_distribution_that_is_computed():
    model, tokenizer = tiny.model(), tiny.tokenizer()
    prompts = ["2 + 3?", "2 + 3, and then 4 + 3?"]
    tokens = tokenizer("\n", add_special_tokens=False)["input_ids"]
    assert len(tokens) == 1
    made = samples(model, tokenizer, prompts, count=4000, tokens=1, seed=0)
    for prompt, texts in zip(prompts, made, strict=True):
        ids = torch.tensor([tokenizer(prompt, add_special_tokens=False)["input_ids"]])
        with torch.no_grad():
            p = model(ids).logits[0, -1].softmax(-1)
        best = int(p.argmax())
        share = sum(text == tokenizer.decode([best]) for text in texts) / len(texts)
        error = math.sqrt(p[best].item() * (1 - p[best].item()) / len(texts))
        assert share == pytest.approx(p[best].item(), abs=5 * error)
