// OpenAI's JavaScript client against a server: prints what it saw as JSON, for test_javascript.py.
import OpenAI from "openai";

const [base, slow] = process.argv.slice(2);
const open = (baseURL, more = {}) => new OpenAI({ baseURL, apiKey: "none", maxRetries: 0, ...more });
const messages = [{ role: "user", content: "What is 2 + 2?" }];
const ai = open(base);
const seen = {};

const made = await ai.chat.completions.create({ model: "cat", messages, catagent: { n: 3 } });
seen.chat = [made.choices[0].message.content, made.usage.total_tokens > 0, made.catagent.rollouts.length];

let text = "", reasons = [], usage = null;
const stream = await ai.chat.completions.create({
  model: "cat", messages, stream: true, stream_options: { include_usage: true },
});
for await (const chunk of stream) {
  text += chunk.choices[0]?.delta?.content ?? "";
  if (chunk.choices[0]?.finish_reason) reasons.push(chunk.choices[0].finish_reason);
  usage = chunk.usage ?? usage;
}
seen.stream = [text, reasons, usage.total_tokens > 0];

const runner = ai.chat.completions.stream({ model: "cat", messages });
seen.helper = await runner.finalContent();

const response = await ai.responses.create({ model: "cat", input: "What is 2 + 2?" });
seen.responses = [response.output_text, response.status];

const events = [];
let delta = "";
for await (const event of await ai.responses.create({ model: "cat", input: "2 + 2?", stream: true })) {
  if (events.at(-1) !== event.type) events.push(event.type);
  if (event.type === "response.output_text.delta") delta += event.delta;
}
seen.events = [delta, events];

const kinds = {};
for (const [name, ask] of Object.entries({
  model: () => ai.chat.completions.create({ model: "dog", messages }),
  body: () => ai.chat.completions.create({ model: "cat", messages: [] }),
  memory: () => ai.responses.create({ model: "cat", input: "x", previous_response_id: "resp_1" }),
  timeout: () => open(slow, { timeout: 300 }).chat.completions.create({ model: "cat", messages }),
})) {
  try {
    await ask();
    kinds[name] = "nothing was raised";
  } catch (error) {
    kinds[name] = [error.constructor.name, error.status ?? null, error.code ?? null];
  }
}
seen.errors = kinds;

const left = await open(slow).chat.completions.create({ model: "cat", messages, stream: true });
left.controller.abort();
seen.models = (await ai.models.list()).data.map((model) => model.id);

console.log(JSON.stringify(seen));
