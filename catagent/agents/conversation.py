"""What an agent that may see the question is shown of the conversation it was asked in."""

from __future__ import annotations

from catagent.messages import ChatMessage, Task

__all__ = ["question_of"]


def question_of(task: Task) -> str:
    """The conversation as plain text, for agents that may see the question.

    What is to be answered stands last and by itself: a weak model solves the first question that it reads,
    which in a conversation with examples is not the one that is asked.
    """
    said = [(str(message.get("role")), _text(message)) for message in task.messages]
    asked = max((i for i, (role, text) in enumerate(said) if role == "user" and text), default=0)
    before = [f"{role}: {text}" for role, text in said[:asked] if text]
    now = [text if i == 0 else f"{role}: {text}" for i, (role, text) in enumerate(said[asked:]) if text]
    if before:
        before.insert(0, "What was said before:")
        now.insert(0, "What is asked now:")
    return "\n\n".join([*before, *now])


def _text(message: ChatMessage) -> str:
    content = message.get("content") or ""
    if isinstance(content, list):
        return "\n".join(str(part.get("text", f"[{part.get('type')}]")) for part in content)
    return str(content)
