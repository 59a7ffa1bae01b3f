"""Holds JSON lines against the types of OpenAI's own package: a chat request's messages and tools.

    openai_format.py FILE   prints how many lines are right; ends with 1 and the reasons if any is not

Beyond the types: roles are OpenAI's, and each answer to a tool call names a call that was made before it.
"""
import json
import sys

from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolUnionParam
from pydantic import ConfigDict, TypeAdapter

STRICT = ConfigDict(extra="forbid")
MESSAGE = TypeAdapter(ChatCompletionMessageParam)
TOOLS = TypeAdapter(list[ChatCompletionToolUnionParam])
KEYS = {"role", "content", "name", "tool_call_id", "tool_calls"}


def faults(example):
    called = set()
    for place, message in enumerate(example["messages"]):
        # Lists are checked lazily where the type says Iterable: walk through them.
        for key, value in MESSAGE.validate_python(message).items():
            if key in ("content", "tool_calls") and not isinstance(value, str) and value is not None:
                list(value)
        if set(message) - KEYS:
            yield f"message {place} has foreign keys: {set(message) - KEYS}"
        called.update(call["id"] for call in message.get("tool_calls", []))
        if message["role"] == "tool" and message["tool_call_id"] not in called:
            yield f"message {place} answers no call"
    if "tools" in example:
        TOOLS.validate_python(example["tools"])


def main():
    right, wrong = 0, []
    with open(sys.argv[1], encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                found = list(faults(json.loads(line)))
            except Exception as error:
                found = [f"{type(error).__name__}: {error}"]
            wrong += [f"line {number}: {fault}\n  {line[:2000]}" for fault in found]
            right += not found
    print(right)
    if wrong:
        sys.exit("\n".join(wrong[:5]))


main()
