"""CaT behind OpenAI's API: chat completions, responses and rewards over HTTP.

    app = create_app(CaT("openai/gpt-5-mini"))      # an ASGI application

`catagent serve` runs it on uvicorn. docs/server.md has the rest.
"""

from __future__ import annotations

from catagent.server.app import Application, create_app
from catagent.server.keys import Keys
from catagent.server.options import ServerOptions

__all__ = ["Application", "Keys", "ServerOptions", "create_app"]
