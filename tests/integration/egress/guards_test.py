"""Each guard switched off lets its attack through: the tests that see them hold would see them go. Test builds only."""
from harness import OTHER_SECRET, TOKEN, World, check, main

ROUTES = [{"host": "api.example.com", "auth": {"scheme": "Bearer", "token_ref": "TOKEN"}, "foreign_credentials": "refuse"},
          {"host": "open.example.com"}, {"host": "localhost"}, {"host": "git.example.com", "git": {"fetch": True}}]
SECRETS = {"TOKEN": TOKEN, "OTHER": OTHER_SECRET}


def world(program, share, guard):
    w = World(program, share, ROUTES, secrets=SECRETS, guards=[guard])
    w.origin = w.tls_origin("api.example.com", "open.example.com", "closed.example.com", "localhost", "git.example.com")
    del w.pins["localhost"]
    return w


@check
def without_routes_an_unknown_host_is_reached(program, share):
    with world(program, share, "routes").start() as w:
        assert w.get("closed.example.com", "/").status == 200


@check
def without_dlp_a_secret_leaves(program, share):
    with world(program, share, "dlp").start() as w:
        assert w.get("open.example.com", "/x", "", "POST", OTHER_SECRET.encode()).status == 200
        assert w.origin.requests[0].body == OTHER_SECRET.encode()


@check
def without_ssrf_loopback_is_dialled(program, share):
    with world(program, share, "ssrf").start() as w:
        assert w.get("localhost", "/").status == 502  # it tried: nothing listens on 443 here, or its certificate is wrong


@check
def without_names_another_host_is_asked(program, share):
    with world(program, share, "names").start() as w:
        assert w.tls("open.example.com").get("/", "evil.example.com").status == 200
        assert w.origin.requests[0].header("host") == "evil.example.com"


@check
def without_binding_a_foreign_key_goes_along(program, share):
    with world(program, share, "binding").start() as w:
        assert w.get("api.example.com", "/", "X-Api-Key: attackers\r\n").status == 200
        assert w.origin.requests[0].header("x-api-key") == "attackers"


@check
def without_scrub_the_token_is_seen(program, share):
    with world(program, share, "scrub").start() as w:
        assert TOKEN.encode() in w.get("api.example.com", "/echo").body


@check
def without_git_push_a_push_goes_out(program, share):
    with world(program, share, "git-push").start() as w:
        assert w.get("git.example.com", "/r.git/git-receive-pack", method="POST").status == 200


@check
def a_guard_that_does_not_exist_is_an_error(program, share):
    w = world(program, share, "nonsense")
    try:
        w.start()
        raise AssertionError("it started")
    except RuntimeError as error:
        assert "nonsense" in str(error)
    finally:
        w.stop()


main()
