#!/usr/bin/env python3
"""A deployer for stories: says what it does, keeps every order it was given, and reports a URL."""

import json
import sys
from pathlib import Path

action = sys.argv[1]
order = json.load(sys.stdin)
folder = Path(__file__).resolve().parent / "orders"
folder.mkdir(exist_ok=True)
name = order["environment"]["id"]
with (folder / f"{name}.jsonl").open("a") as record:
    record.write(json.dumps({"action": action, **order}) + "\n")
print(f"{action} of {name}", flush=True)
if action == "build" and (Path(order["tree"]) / "fail").exists():
    print("the build fails because the tree says so", file=sys.stderr)
    sys.exit(3)
if action == "deploy":
    print(json.dumps({"urls": [f"http://{order['environment']['machine_name']}.localhost/"]}))
