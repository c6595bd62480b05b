"""The conversations that the handmade templates are rendered with, and the tools they name."""

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Current weather\nof a place <\"quoted\"> & 'more' ünï",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "City", "default": "Bern"},
                    "unit": {"type": "string", "enum": ["c", "f"], "nullable": True},
                    "days": {"type": "integer", "default": 3},
                    "tags": {"type": "array", "items": {"type": "string"}},
                    "place": {"type": "object", "properties": {"lat": {"type": "number"}}, "required": ["lat"]},
                    "any": {"oneOf": [{"type": "string"}, {"type": "number"}]},
                },
                "required": ["city"],
            },
        },
    },
    {"type": "function", "function": {"name": "noop", "description": "", "parameters": {"type": "object", "properties": {}}}},
]
CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "Bern", "days": 2, "x": None, "y": 1.5, "z": [True, {"a": "é"}]}}}
CALL_TEXT = {"id": "abc123456", "type": "function", "function": {"name": "noop", "arguments": "{\"a\": 1}"}}

CONVERSATIONS = {
    "plain": {"messages": [{"role": "user", "content": "Hi"}]},
    "system": {"messages": [{"role": "system", "content": " Be brief.\n"}, {"role": "user", "content": "Hi 😀 <b>"}, {"role": "assistant", "content": "Yes. "}, {"role": "user", "content": "Go\n\non "}]},
    "thinking": {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "<think>\nhm\n</think>\n\nans", "thinking": "t"}, {"role": "user", "content": "q2"}, {"role": "assistant", "reasoning_content": "\nr\n", "content": "b"}, {"role": "user", "content": "q3"}]},
    "tools": {
        "messages": [
            {"role": "system", "content": "Use tools."},
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "name": "get_weather", "tool_call_id": "call_1", "content": "{\"temp\": 3.5}"},
            {"role": "assistant", "content": "It is cold", "tool_calls": [CALL_TEXT]},
            {"role": "tool", "tool_call_id": "abc123456", "content": "ok"},
            {"role": "assistant", "content": "Done."},
            {"role": "user", "content": "Thanks"},
        ],
        "tools": TOOLS,
    },
    "parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": "What "}, {"type": "image"}, {"type": "text", "text": "is it?"}]}, {"role": "assistant", "content": [{"type": "text", "text": "A cat"}]}, {"role": "user", "content": "ok"}]},
    "documents": {"messages": [{"role": "user", "content": "Find"}], "documents": [{"title": "T1", "text": "first\ntext"}, {"title": "T2", "text": "second", "score": 0.25}]},
    "odd": {"messages": [{"role": "developer", "content": "d"}, {"role": "assistant", "content": ""}, {"role": "assistant", "content": "x"}, {"role": "user", "content": " "}]},
    "thinking off": {"messages": [{"role": "user", "content": "a /no_think"}], "enable_thinking": False, "thinking_budget": 512, "date_string": "1 May 2025", "reasoning_effort": "high"},
}
