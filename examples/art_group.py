"""CaT as the judge of a group in OpenPipe ART: `pip install 'catagent[art]'`."""

import asyncio

import art

from catagent.integrations.art import score_group

asked = {"role": "user", "content": "What is 2+2?"}
answers = ["\\boxed{4}", "\\boxed{5}", "\\boxed{4.0}"]
group = art.TrajectoryGroup(
    art.Trajectory(messages_and_choices=[asked, {"role": "assistant", "content": answer}])
    for answer in answers
)
scored = asyncio.run(score_group(group, model="openai/gpt-5-mini"))
print([trajectory.reward for trajectory in scored])
