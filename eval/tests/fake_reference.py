#!/usr/bin/env python3
"""Speaks the protocol of the reference without a model: a token a byte, each with the log probability -id/256.

What it is asked to encode makes it fail in other ways: "crash", "nonsense", "error".
"""

import json
import sys


def answer(request: dict) -> dict:
    if texts := request.get("encode"):
        if "crash" in texts:
            sys.exit("out of memory, perhaps")
        if "nonsense" in texts:
            return {"something": "else"}
        if "error" in texts:
            return {"error": {"code": "invalid-argument", "message": "It cannot be.", "hint": "Do otherwise."}}
        return {"ids": [list(text.encode()) for text in texts]}
    if items := request.get("score"):
        return {"scores": [{"logprobs": [-i / 256 for i in item["text"]], "isGreedy": True} for item in items]}
    completion = request["complete"]
    return {"text": f"{bytes(completion['prompt']).decode()}, {completion['maxTokens']}, {completion.get('seed')}"}


print(json.dumps({"ready": {"id": sys.argv[1], "contextLength": 64, "vocab": 256, "quantization": "f32"}}), flush=True)
for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
