"""What `codex login` leaves behind, with tokens of nobody's, and a FAKE of the server that renews them. Codex 0.169.0 asks that server
where CODEX_REFRESH_TOKEN_URL_OVERRIDE says (its own tests do so), by POST of {"refresh_token": …}."""
import base64
import http.server
import json
import secrets
import threading
import time


def _part(document):
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


class Login:
    """A person's ChatGPT login: tokens as long as real ones, an account, an address."""

    def __init__(self, seconds=864000):
        self.account, self.email = "acc-" + secrets.token_hex(12), secrets.token_hex(8) + "@example.com"
        self.user, self.refresh_token = "user-" + secrets.token_hex(8), "rt_" + secrets.token_urlsafe(40)
        self.renew(seconds)

    def renew(self, seconds=864000):
        self.expires_at = int(time.time()) + seconds
        claims = {"exp": self.expires_at, "iss": "https://auth.openai.com", "email": self.email,
                  "https://api.openai.com/auth": {"chatgpt_account_id": self.account, "chatgpt_user_id": self.user,
                                                  "chatgpt_plan_type": "plus"},
                  "scp": ["openid", "profile", "email", "offline_access"], "pad": secrets.token_urlsafe(600)}
        self.access_token, self.id_token = self._jwt(claims), self._jwt(claims)

    @staticmethod
    def _jwt(claims):
        return ".".join((_part({"alg": "RS256", "typ": "JWT", "kid": secrets.token_hex(8)}), _part(claims), secrets.token_urlsafe(256)))

    def document(self):
        return {"auth_mode": "chatgpt", "OPENAI_API_KEY": None, "last_refresh": "2026-01-01T00:00:00.000000Z",
                "tokens": {"id_token": self.id_token, "access_token": self.access_token, "refresh_token": self.refresh_token,
                           "account_id": self.account}}

    def write(self, directory):
        directory.mkdir(parents=True, exist_ok=True)
        file = directory / "auth.json"
        file.write_text(json.dumps(self.document()))
        file.chmod(0o600)
        return file

    def private(self):
        """What may be nowhere but on the operator's side and in the sidecar, by name."""
        return {"access token": self.access_token, "identity token": self.id_token, "refresh token": self.refresh_token,
                "account": self.account, "user": self.user, "address": self.email}


class RefreshServer:
    """Renews `login`, once a request. `asked` counts; with `refuses` every answer is 401."""

    def __init__(self, login, refuses=False):
        self.asked = 0
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                server.asked += 1
                if refuses or body.get("refresh_token") != login.refresh_token:
                    self.answer(401, {"error": {"code": "refresh_token_expired", "message": "expired"}})
                    return
                login.renew()
                login.refresh_token = "rt_" + secrets.token_urlsafe(40)
                self.answer(200, {"id_token": login.id_token, "access_token": login.access_token, "refresh_token": login.refresh_token})

            def answer(self, status, document):
                text = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/oauth/token"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
