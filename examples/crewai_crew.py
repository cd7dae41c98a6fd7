"""CaT as the model of a CrewAI agent: `pip install 'catagent[crewai]'`."""

from crewai import Agent, Crew, Task

from catagent.integrations.crewai import CatLLM

model = CatLLM("cat/openai/gpt-5-mini", rollouts=3)
agent = Agent(role="Mathematician", goal="Add", backstory="Careful.", llm=model)
task = Task(description="What is 2+2?", expected_output="A number", agent=agent)
print(Crew(agents=[agent], tasks=[task]).kickoff().raw)
