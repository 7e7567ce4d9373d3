"""What `plugin check --json` says, judged: what was not run has passed nothing. What honestly cannot run on a wall, its driver allows by name."""
import re

ATTACKS = "the attacks on isolation are refused"
# The numbers of the first namespaces are the same in every kernel: in one of its own a bottle is in them.
OWN_KERNEL = {"the attack 5.21.3 is refused": "the first namespaces: the backend says that a bottle has a kernel of its own"}


def faults(document, backend=None, cannot_run=()):
    """Lines, none when all is well. `backend`: of this one the attacker has to have been refused. `cannot_run`: a check's name without the
    backend's, and a pattern of the only reason that is one. What is listed there and was run after all is a fault, too: the list says what is so."""
    allowed = {f"backend:{backend}: {name}": reason for name, reason in dict(cannot_run).items()}
    checks = [(line["check"], line["outcome"], line["detail"]) for line in document["checks"]]
    bad = [f"{name}: {outcome}: {detail}" for name, outcome, detail in checks
           if outcome != "passed" and not (outcome == "not_run" and name in allowed and re.search(allowed[name], detail))]
    not_run = {name for name, outcome, _ in checks if outcome == "not_run"}
    bad += [f"{name}: it was run, though it is listed as what cannot be" for name in sorted(allowed.keys() - not_run)]
    attacks = f"backend:{backend}: {ATTACKS}"
    if backend is not None and attacks not in allowed and (attacks, "passed", "") not in checks:
        bad.append(f"backend:{backend}: the attacker was not seen to be refused")
    return bad
