"""The MCP server as an assistant uses it: `pip install 'catagent[mcp]'`."""

import asyncio
import os
import sys

from mcp import Client, StdioServerParameters

server = StdioServerParameters(
    command=sys.executable,
    args=["-m", "catagent", "mcp", "--model", "openai/gpt-5-mini"],
    env=dict(os.environ),
)


async def main() -> None:
    async with Client(server) as client:
        result = await client.call_tool("solve", {"prompt": "What is 2+2?", "n": 3})
        print(result.structured_content["answer"], result.structured_content["agreement"])


asyncio.run(main())
