"""CaT in a LangChain chain: `pip install 'catagent[langchain]'`."""

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from catagent.integrations.langchain import ChatCaT

model = ChatCaT(model="cat/openai/gpt-5-mini", n=3)
chain = ChatPromptTemplate.from_template("What is {a}+{b}?") | model | StrOutputParser()
print(chain.invoke({"a": 2, "b": 2}))
