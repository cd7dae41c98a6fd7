"""A scoring on the embedded model: the machinery runs; what the model says is noise."""

from __future__ import annotations

import pytest

from catagent.cat import CaT
from catagent.models.catalogue import installed

MODEL = "smollm2-135m"


@pytest.mark.timeout(300)
async def test_a_scoring_by_the_embedded_judge() -> None:
    if installed(MODEL) is None:
        pytest.skip(f"the embedded model {MODEL} is not in the cache (CATAGENT_CACHE)")
    async with CaT(f"embedded/{MODEL}", judging={"format": "json", "probabilities": True}) as cat:
        solution = await cat.score(
            "Name a fruit.",
            ["An apple is a fruit.", None],
            rubric=["Names an apple.", "Names a stone."],
        )
    judged, failed = solution.judgements
    assert [v.criterion_id for v in judged.verdicts] == ["c1", "c2"]
    for verdict in judged.verdicts:
        assert verdict.state in ("met", "unmet") or verdict.reason
        assert verdict.state == "unscored" or 0 <= (verdict.probability or 0) <= 1
    assert {v.state for v in failed.verdicts} == {"unscored"}
    assert solution.rewards[1].value is None
    known = [v.state for v in judged.verdicts if v.state != "unscored"]
    expected = known.count("met") / len(known) if known else None
    assert solution.rewards[0].value == expected
    assert 2 <= solution.usage.roles["judge"].calls <= 4
    assert solution.usage.roles["judge"].completion_tokens > 0
