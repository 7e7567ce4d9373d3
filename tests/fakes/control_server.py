"""A fake sidecar's control socket, for tests of the operator's side alone: proposals that a test puts in, answers that it can look at.

It speaks docs/internals.md (`proposals`, `watch`, `answer`, `decisions`, `routes`, `set-routes`, `check`) and keeps a journal in memory. What
it never does is apply anything: `applies` says what happens to an approval. Real sidecars are in the acceptance tests."""
import hashlib
import json
import os
import pathlib
import socket
import threading
import time


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{time.time_ns() // 1_000_000 % 1000:03}Z"


class FakeSidecar:
    """Makes state/<slug> below `home` look like a running bottle and listens there."""

    def __init__(self, home, slug, **metadata):
        self.slug, self.state = slug, pathlib.Path(home) / "state" / slug
        for name in ("control", "logs", "egress", "wire", "provision"):
            (self.state / name).mkdir(parents=True, exist_ok=True)
        document = {"slug": slug, "agent": "fixer", "bottle": "dev", "backend": "local", "status": "running", "label": "",
                    "started_at_ms": int(time.time() * 1000), **metadata}
        (self.state / "metadata.json").write_text(json.dumps(document))
        self.changed = threading.Condition()
        self.proposals, self.journal, self.seq = {}, [], 0
        self.answers, self.calls = [], []
        self.applies = lambda proposal: None  # a text: applying failed, and why
        self.live = "routes:\n  - host: live.example.com\n"
        self.allowed_hosts = set()
        self.mute = False  # accepts and never answers
        self.knows_watch = True
        self.stop_due = False
        self.floods = False  # writes lines that nobody asked for, without end
        path = self.state / "control" / "control.sock"
        path.unlink(missing_ok=True)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        here = os.open(path.parent, os.O_PATH)
        self.listener.bind(f"/proc/self/fd/{here}/control.sock")
        os.close(here)
        self.listener.listen(64)
        self.connections = []
        threading.Thread(target=self._accept, daemon=True).start()

    def propose(self, id, kind="egress-block", host=None, **fields):
        change = fields.pop("change", {"host": host} if host else {"x": 1})
        if kind == "ask-operator":
            fields.setdefault("diff", {"before": "", "after": ""})
        proposal = {"id": id, "kind": kind, "state": "pending", "proposed_at": now(), "justification": "", "change": change,
                    "diff": {"before": self.live, "after": self.live + (f"  - host: {host}\n" if host else "  - more\n")},
                    "facts": [], "choices": [], "reason": "", "by": "", **fields}
        proposal.setdefault("hash", hashlib.sha256(json.dumps([kind, change, self.live]).encode()).hexdigest())
        with self.changed:
            self.proposals[id] = proposal
            self._moved()
        return proposal

    def move(self, id, **fields):
        """The live state moved: another diff, another hash."""
        with self.changed:
            self.proposals[id].update(fields)
            self.proposals[id]["hash"] = hashlib.sha256(os.urandom(8)).hexdigest()
            self._moved()

    def event(self, **fields):
        with open(self.state / "logs" / "events.jsonl", "a", encoding="utf-8", errors="surrogatepass") as log:
            log.write(json.dumps({"time": now(), "kind": "egress", "level": "block", "event": "blocked", **fields}) + "\n")

    def close(self):
        self.listener.close()
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        (self.state / "control" / "control.sock").unlink(missing_ok=True)

    def _moved(self):
        self.seq += 1
        self.changed.notify_all()

    def _record(self, proposal, decision, **fields):
        self.seq += 1
        self.journal.append({"seq": self.seq, "at": now(), "proposal": proposal.get("id", ""), "kind": proposal.get("kind", ""),
                             "decision": decision, "by": "", "reason": "", **proposal.get("diff", {}), **fields})

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            while self.floods:
                connection.sendall(b"x\n" * 65536)
            for line in connection.makefile("rb"):
                if self.mute:
                    continue
                request = json.loads(line)
                reply = {"id": request.get("id")}
                try:
                    reply["ok"] = self._call(request)
                except ValueError as error:
                    kind, message = error.args if len(error.args) == 2 else ("invalid_argument", str(error))
                    reply["error"] = {"kind": kind, "message": message, "hint": ""}
                connection.sendall(json.dumps(reply, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        except OSError:
            pass

    def _call(self, request):
        call = request["call"]
        self.calls.append(call)
        if call == "watch" and self.knows_watch:
            with self.changed:
                self.changed.wait_for(lambda: self.seq > request["seen"], request["timeout_ms"] / 1000)
                return self._all()
        if call == "proposals":
            with self.changed:
                return self._all()
        if call == "answer":
            with self.changed:
                return self._answer(request)
        if call == "decisions":
            with self.changed:
                return {"decisions": [one for one in self.journal if one["seq"] > request["after"]]}
        if call == "routes":
            return {"text": self.live, "hash": hashlib.sha256(self.live.encode()).hexdigest()}
        if call == "set-routes":
            with self.changed:
                if request["hash"] != hashlib.sha256(self.live.encode()).hexdigest():
                    raise ValueError("failed_precondition", "the live routes have moved")
                before, self.live = self.live, request["egress"]
                self._record({}, "edit", by=request["by"], before=before, after=self.live)
                self.changed.notify_all()
                return {"generation": self.seq}
        if call == "check":
            host = request["url"].split("/")[2]
            allowed = host in self.allowed_hosts
            return {"verdict": "allowed" if allowed else "blocked", "reason": "", "hint": "", **({"route": 1} if allowed else {})}
        raise ValueError("unsupported", f"there is no call '{call}'")

    def _all(self):
        return {"seq": self.seq, "stop_due": self.stop_due, "proposals": list(self.proposals.values())}

    def _answer(self, request):
        proposal = self.proposals.get(request["proposal"])
        if proposal is None or proposal["state"] != "pending":
            raise ValueError("not_found" if proposal is None else "failed_precondition", "it is answered already")
        if proposal["hash"] != request["hash"]:
            raise ValueError("failed_precondition", "what it would change has moved since you looked at it")
        self.answers.append(request)
        by = {"by": request.get("by", ""), "reason": request.get("reason", "")}
        narrow = {"narrow": request["narrow"]} if "narrow" in request else {}
        self._record(proposal, request["decision"], **by, **narrow)
        if request["decision"] == "reject":
            proposal.update(state="rejected", **by)
        else:
            fault = self.applies(proposal)
            self._record(proposal, "fail" if fault else "apply", **by)
            proposal.update(state="pending" if fault else "applied", **{**by, "reason": fault or ""})
        self.changed.notify_all()
        return proposal
