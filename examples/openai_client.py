"""OpenAI's client with CaT in the process: `pip install 'catagent[openai]'`."""

from catagent.integrations.openai import client

with client() as ask:
    reply = ask.chat.completions.create(
        model="cat/openai/gpt-5-mini",
        messages=[{"role": "user", "content": "What is 2+2?"}],
        extra_body={"catagent": {"n": 3}},
    )
print(reply.choices[0].message.content, reply.model_extra["catagent"]["agreement"])
