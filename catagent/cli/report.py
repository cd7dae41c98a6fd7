"""A solve as a page: the reference, the criteria by rollout, each rollout with its verdicts and reasons."""

from __future__ import annotations

from catagent.cli.page import page, shown, table
from catagent.messages import Judgement, Reward, Rollout, Rubric, Solution, Verdict

__all__ = ["MARKS", "solution_page"]

MARKS = {"met": "✓", "unmet": "✗", "unscored": "?"}


def solution_page(solution: Solution) -> str:
    """The page of a solution, self-contained."""
    parts = [_section("Task", _conversation(solution))]
    if solution.reference is not None:
        reference = solution.reference
        about = [f"by {reference.method}"]
        if reference.agreement is not None:
            about.append(f"{reference.agreement:.0%} of rollouts agree")
        if reference.fallback:
            about.append(reference.fallback)
        parts.append(
            _section("Reference", f'<p class="dim">{shown(" · ".join(about))}</p>{_text(reference.text)}')
        )
    rewards = {r.rollout_id: r for r in solution.rewards}
    judgements = {j.rollout_id: j for j in solution.judgements}
    if solution.rubric is not None:
        parts.append(_section("Criteria", _criteria(solution, judgements, rewards)))
    parts.append(
        _section(
            "Rollouts",
            "\n".join(
                _rollout(r, rewards.get(r.id), judgements.get(r.id), solution.rubric)
                for r in solution.rollouts
            ),
        )
    )
    if solution.notes:
        parts.append(_section("Notes", _listed(solution.notes)))
    parts.append(_section("Usage", _usage(solution)))
    return page("catagent: a solve", "\n".join(parts))


def _section(title: str, body: str) -> str:
    return f"<section>\n<h2>{shown(title)}</h2>\n{body}\n</section>"


def _text(text: str) -> str:
    return f"<pre>{shown(text)}</pre>"


def _listed(lines: tuple[str, ...] | list[str]) -> str:
    return "<ul>" + "".join(f"<li>{shown(line)}</li>" for line in lines) + "</ul>"


def _conversation(solution: Solution) -> str:
    said = []
    for message in solution.task.messages:
        content = message.get("content")
        if isinstance(content, list):
            content = "\n".join(str(part.get("text", f"[{part.get('type')}]")) for part in content)
        said.append(f'<p class="dim">{shown(message.get("role", ""))}</p>{_text(str(content or ""))}')
    return "\n".join(said)


def _criteria(solution: Solution, judgements: dict[str, Judgement], rewards: dict[str, Reward]) -> str:
    assert solution.rubric is not None
    headings = ["criterion", "weight", *(str(r.index + 1) for r in solution.rollouts)]
    columns = [
        {v.criterion_id: v for v in judgements[r.id].verdicts} if r.id in judgements else {}
        for r in solution.rollouts
    ]
    rows = [
        [shown(c.text), f"{c.weight:g}", *(_mark(column.get(c.id)) for column in columns)]
        for c in solution.rubric.criteria
    ]
    values = [rewards[r.id].value if r.id in rewards else None for r in solution.rollouts]
    rows.append(["<b>reward</b>", "", *("–" if v is None else f"<b>{v:.2f}</b>" for v in values)])
    notes = _listed(solution.rubric.notes) if solution.rubric.notes else ""
    legend = '<p class="dim">✓ met, ✗ unmet, ? unscored: nobody knows.</p>'
    return table(headings, rows) + legend + notes


def _mark(verdict: Verdict | None) -> str:
    state = verdict.state if verdict else "unscored"
    chance = (
        f' <span class="dim">{verdict.probability:.2f}</span>'
        if verdict and verdict.probability is not None
        else ""
    )
    return f'<span class="{state}">{MARKS[state]}</span>{chance}'


def _rollout(
    rollout: Rollout, reward: Reward | None, judgement: Judgement | None, rubric: Rubric | None
) -> str:
    value = "–" if reward is None or reward.value is None else f"{reward.value:.2f}"
    answer = f" · answer {shown(rollout.answer)}" if rollout.answer else ""
    parts = [f"<summary>Rollout {rollout.index + 1} · reward {value}{answer}</summary>"]
    if rollout.error:
        parts.append(f"<p>{shown(rollout.error)}</p>")
    if rollout.text:
        parts.append(_text(rollout.text))
    if reward is not None:
        if reward.reason:
            parts.append(f'<p class="dim">{shown(reward.reason)}</p>')
        if reward.name != "rubric" and reward.breakdown:
            made = ", ".join(f"{k} {'–' if v is None else f'{v:g}'}" for k, v in reward.breakdown.items())
            parts.append(f'<p class="dim">{shown(reward.name)}: {shown(made)}</p>')
    if judgement is not None:
        if judgement.findings:
            parts.append("<p>Seems to address the judge:</p>")
            parts.append(_listed([f"{f.kind}: {f.excerpt}" for f in judgement.findings]))
        texts = {c.id: c.text for c in rubric.criteria} if rubric else {}
        parts += [_verdict(v, texts.get(v.criterion_id, v.criterion_id)) for v in judgement.verdicts]
    return "<details>\n" + "\n".join(parts) + "\n</details>"


def _verdict(verdict: Verdict, text: str) -> str:
    votes = f' <span class="dim">({"".join(MARKS[v] for v in verdict.votes)})</span>' if verdict.votes else ""
    quote = f'<br><q class="dim">{shown(verdict.quote)}</q>' if verdict.quote else ""
    reason = f'<br><span class="dim">{shown(verdict.reason)}</span>' if verdict.reason else ""
    return f"<p>{_mark(verdict)}{votes} {shown(text)}{reason}{quote}</p>"


def _usage(solution: Solution) -> str:
    rows = [
        [
            shown(role),
            str(u.calls),
            str(u.failed),
            str(u.prompt_tokens),
            str(u.completion_tokens),
            _dollars(u.usd, u.unpriced),
        ]
        for role, u in (*solution.usage.roles.items(), ("all", solution.usage.total))
    ]
    return table(["role", "calls", "failed", "prompt tokens", "completion tokens", "USD"], rows)


def _dollars(usd: float, unpriced: int) -> str:
    return "unknown" if unpriced else f"{usd:.4f}"
