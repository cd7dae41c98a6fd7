"""The OpenAPI document, made from the models that read the requests."""

from __future__ import annotations

import functools
from importlib.metadata import version
from typing import Any

from pydantic.json_schema import models_json_schema

from catagent.completions import Body, ChatRequest
from catagent.server.responses import ResponsesRequest
from catagent.server.scoring import ScoreRequest

__all__ = ["document"]

_ANY = {"type": "object", "additionalProperties": True}
_NULLABLE = {"type": ["object", "null"], "additionalProperties": True}
_JSON = "application/json"

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
_USAGE = {
    "type": ["object", "null"],
    "description": "The true total of all rollouts and roles; null where the endpoints do not say.",
    "additionalProperties": True,
}
_COMPLETION = {
    "type": "object",
    "required": ["id", "object", "created", "model", "choices", "usage", "catagent"],
    "properties": {
        "id": {"type": "string"},
        "object": {"const": "chat.completion"},
        "created": {"type": "integer"},
        "model": {"type": "string"},
        "choices": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["index", "message", "logprobs", "finish_reason"],
                "properties": {
                    "index": {"type": "integer"},
                    "message": _ANY,
                    "logprobs": _NULLABLE,
                    "finish_reason": {"type": "string"},
                },
            },
        },
        "usage": _USAGE,
        "catagent": {**_ANY, "description": "How the reference came about."},
    },
}
_RESPONSE = {
    "type": "object",
    "required": ["id", "object", "created_at", "status", "model", "output", "usage", "catagent"],
    "properties": {
        "id": {"type": "string"},
        "object": {"const": "response"},
        "created_at": {"type": "integer"},
        "status": {"enum": ["completed", "incomplete"]},
        "model": {"type": "string"},
        "output": {"type": "array", "items": _ANY},
        "usage": _USAGE,
        "catagent": _ANY,
    },
    "additionalProperties": True,
}
_SCORE = {
    "type": "object",
    "required": ["rewards"],
    "properties": {
        "rewards": {"type": "array", "items": {"type": ["number", "null"]}},
        "scores": {"type": "array", "items": {"type": "number"}},
        "usage": _USAGE,
    },
    "additionalProperties": True,
}
_MODEL = {
    "type": "object",
    "required": ["id", "object", "created", "owned_by"],
    "properties": {
        "id": {"type": "string"},
        "object": {"const": "model"},
        "created": {"type": "integer"},
        "owned_by": {"type": "string"},
        "description": {"type": "string"},
    },
}
_MODELS = {
    "type": "object",
    "required": ["object", "data"],
    "properties": {"object": {"const": "list"}, "data": {"type": "array", "items": _MODEL}},
}
_HEALTH = {
    "type": "object",
    "required": ["status", "version", "working", "waiting"],
    "properties": {
        "status": {"enum": ["ok", "stopping"]},
        "version": {"type": "string"},
        "working": {"type": "integer"},
        "waiting": {"type": "integer"},
    },
}
_STATUSES = {
    400: "The request is wrong; the error names the field.",
    401: "No key, or one that is not known here.",
    402: "The budget of a request is used up.",
    403: "The model or the host is not allowed.",
    404: "There is no such model.",
    408: "The body took too long to come.",
    413: "The body is too large.",
    415: "The body is not application/json.",
    429: "Too many requests of this key, or a provider's rate limit. Retry-After says when to come again.",
    500: "The server failed.",
    502: "A model did not give what was asked.",
    503: "The server is full or stopping. Retry-After says when to come again.",
    504: "A model took too long.",
}


def document(*, keys: bool) -> Body:
    """The document. `keys` says whether the server asks for bearer keys."""
    made = dict(_document())
    if keys:
        made["components"] = {
            **made["components"],
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        }
        made["security"] = [{"key": []}]
    return made


@functools.cache
def _document() -> Body:
    _, schemas = models_json_schema(
        [(model, "validation") for model in (ChatRequest, ResponsesRequest, ScoreRequest)],
        ref_template="#/components/schemas/{model}",
    )
    parts = schemas["$defs"]
    _tell_messages(parts)
    stream: dict[str, Any] = {"text/event-stream": {}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "catagent",
            "version": version("catagent"),
            "description": "Compute as Teacher behind OpenAI's API: answers are references made of rollouts.",
        },
        "components": {"schemas": {**parts, "Error": _ERROR}},
        "paths": {
            "/v1/chat/completions": {
                "post": _post(
                    "ChatRequest", "A chat completion.", _COMPLETION, stream, "createChatCompletion"
                )
            },
            "/v1/responses": {
                "post": _post("ResponsesRequest", "A response.", _RESPONSE, stream, "createResponse")
            },
            "/v1/score": {"post": _post("ScoreRequest", "Rewards for completions.", _SCORE, {}, "score")},
            "/v1/models": {"get": _get("The models.", _MODELS, "listModels", (401, 403))},
            "/v1/models/{name}": {
                "get": {
                    **_get("A model.", _MODEL, "getModel", (401, 403, 404)),
                    "parameters": [
                        {
                            "name": "name",
                            "in": "path",
                            "required": True,
                            "schema": {"type": "string", "minLength": 1},
                        }
                    ],
                }
            },
            "/healthz": {
                "get": {
                    **_get("Whether the server takes requests.", _HEALTH, "health", (403,)),
                    "security": [],
                }
            },
            "/metrics": {
                "get": {
                    **_get(
                        "Counters for Prometheus.", {"type": "string"}, "metrics", (401, 403), "text/plain"
                    )
                }
            },
            "/openapi.json": {
                "get": {**_get("This document.", _ANY, "openapi", (403,)), "security": []},
            },
        },
    }


def _tell_messages(parts: Body) -> None:
    """What the models check beyond their fields."""
    message = {**_ANY, "required": ["role"], "properties": {"role": {"type": "string"}}}
    parts["ChatRequest"]["properties"]["messages"]["items"] = message


def _errors(statuses: Any) -> Body:
    schema = {_JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {str(s): {"description": _STATUSES[s], "content": schema} for s in statuses}


def _post(model: str, said: str, schema: Body, more: Body, name: str) -> Body:
    return {
        "operationId": name,
        "summary": said,
        "requestBody": {
            "required": True,
            "content": {_JSON: {"schema": {"$ref": f"#/components/schemas/{model}"}}},
        },
        "responses": {
            "200": {"description": said, "content": {_JSON: {"schema": schema}, **more}},
            **_errors(_STATUSES),
        },
    }


def _get(said: str, schema: Body, name: str, statuses: Any, kind: str = _JSON) -> Body:
    return {
        "operationId": name,
        "summary": said,
        "responses": {
            "200": {"description": said, "content": {kind: {"schema": schema}}},
            **_errors(statuses),
            **(
                {"503": {"description": "It is stopping.", "content": {_JSON: {"schema": schema}}}}
                if name == "health"
                else {}
            ),
        },
    }
