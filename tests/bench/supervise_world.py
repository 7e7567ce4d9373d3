"""Bottles whose agents ask, and a script that answers: shared by tests/acceptance/operator_test.py and tests/bench/supervise.py."""
import base64
import concurrent.futures
import json
import os
import pathlib
import subprocess
import threading
import time

# In front of an agent's script: a small MCP client and a request as its proxy sees it. Standard library only.
AGENT = r'''
import http.client, itertools, json, subprocess, sys, threading
numbers = itertools.count(1)
def post(message, session=None, timeout=600):
    connection = http.client.HTTPConnection("supervise", 9100, timeout=timeout)
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-06-18"}
    if session: headers["Mcp-Session-Id"] = session
    connection.request("POST", "/mcp", json.dumps(message), headers)
    response = connection.getresponse()
    text = response.read().decode()
    answers = [json.loads(line[5:]) for line in text.split("\n") if line.startswith("data:") and line[5:].strip()]
    if not answers and text.strip(): answers = [json.loads(text)]
    answers = [one for one in answers if "id" in one and "method" not in one]
    return response.getheader("Mcp-Session-Id"), answers[-1] if answers else None
def open_session():
    session, answer = post({"jsonrpc": "2.0", "id": next(numbers), "method": "initialize", "params": {"protocolVersion": "2025-06-18",
        "capabilities": {}, "clientInfo": {"name": "agent", "version": "1"}}})
    post({"jsonrpc": "2.0", "method": "notifications/initialized"}, session)
    return session
session = None
def ask(tool, arguments):
    global session
    session = session or open_session()
    _, answer = post({"jsonrpc": "2.0", "id": next(numbers), "method": "tools/call", "params": {"name": tool, "arguments": arguments}}, session)
    return json.dumps(answer)
def get(url):
    out = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %{http_connect}", url], capture_output=True, text=True).stdout
    code, connect = out.split()
    return code if code != "000" else connect
'''

# Asks for `count` hosts of its own, ten at a time, and says how many answers came. Nothing before a line comes in.
MANY = r'''
count = COUNT
told = []
def work(first):
    for number in range(first, count, 10):
        answer = ask("egress-block", {"host": f"h{number}.NAME.example.com", "justification": f"number {number}"})
        told.append("error" not in answer and '"isError": true' not in answer)
session = open_session()
workers = [threading.Thread(target=work, args=(first,)) for first in range(10)]
for one in workers: one.start()
for one in workers: one.join()
print("told", sum(told), flush=True)
'''


def python_argv(script):
    """An argument of a manifest has one line."""
    return ["python3", "-u", "-c", f"import base64; exec(base64.b64decode('{base64.b64encode(script.encode()).decode()}').decode())"]


def resident_kib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def screen_pid(home):
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                argv = (entry / "cmdline").read_bytes().split(b"\0")
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if argv[0] == str(home.program).encode() and argv[1:2] == [b"supervise"] and argv[2:3] == [b""] and \
                    f"BOT_BOTTLE_HOME={home.root}".encode() in environment:
                return int(entry.name)
    raise AssertionError("the screen does not run")


def load_run(home, bottles, each, terminal_class, workers=4):
    """`bottles` real bottles ask `each` times; a script answers all, four at a time, with the screen open."""
    processes = []
    for number in range(bottles):
        script = AGENT + MANY.replace("NAME", f"b{number}").replace("COUNT", str(each))
        home.command_agent(f"asker{number}", python_argv(script))
    terminal = terminal_class(["env", "-u", "TMUX", *home.argv("supervise")], home.top, home.environment, 120, 40,
                              cwd=home.workspace)
    try:
        terminal.wait_for("nothing is asked")
        pid = screen_pid(home)
        for number in range(bottles):
            processes.append(home.popen("run", f"asker{number}", "-p", "x", "--label", f"load-{number}", stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True))
        answered, failures, lock, memory = set(), [], threading.Lock(), []
        began = time.monotonic()

        def answer(one):
            result = home.run("supervise", "approve", one["id"], "--bottle", one["slug"], timeout=120)
            if result.returncode != 0:
                with lock:
                    failures.append(result.stderr)
                    answered.discard((one["slug"], one["id"]))

        deadline = time.monotonic() + 540
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            while any(process.poll() is None for process in processes) and time.monotonic() < deadline:
                shown = home.run("supervise", "--once", "--json", timeout=60)
                proposals = json.loads(shown.stdout)["proposals"] if shown.stdout else []
                with lock:
                    fresh = [one for one in proposals if (one["slug"], one["id"]) not in answered]
                    answered.update((one["slug"], one["id"]) for one in fresh)
                list(pool.map(answer, fresh))
                memory.append((len(answered), resident_kib(pid)))
        seconds = time.monotonic() - began
        told = 0
        for process in processes:
            if process.poll() is None:
                process.kill()
            out, err = process.communicate(timeout=60)
            told += sum(int(line.split()[1]) for line in out.splitlines() if line.startswith("told "))
            if process.returncode != 0:
                failures.append(err[-500:])
        end = resident_kib(pid)
        terminal.type("q")
        terminal.wait_for("EXIT=0")
    finally:
        terminal.close()
        for process in processes:
            if process.poll() is None:
                process.kill()
    entries = json.loads(home.run("audit", "--json", check=0, timeout=60).stdout)["entries"]
    approve, applied = {}, 0
    for entry in entries:
        if entry["decision"] == "approve":
            key = entry["slug"] + "/" + entry["proposal"]
            approve[key] = approve.get(key, 0) + 1
        applied += entry["decision"] == "apply"
    half = next((kib for count, kib in memory if count >= bottles * each / 2), end)
    return {"told": told, "approve": approve, "applied": applied, "seconds": round(seconds, 1), "failures": failures[:5],
            "whole": home.run("audit", "verify").returncode == 0, "screen_kib_half": half, "screen_kib_end": end}
