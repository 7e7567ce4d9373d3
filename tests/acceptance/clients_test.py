"""Real clients through the proxy of a real bottle, with nothing but the variables that a bottle sets.

Each test runs one client inside: the answer comes; the credential that the sidecar injected arrives at the origin and is
never in what the client prints, not even where the origin repeats it; a host without a route is refused and the client
says so. A client that is not installed skips its test by name; with BB_MUST_WORK=1 those that ./run installs fail instead.
"""
import base64
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import unittest

from harness import FAKES, AcceptanceTest

sys.path.insert(0, str(FAKES))
from certificates import make_ca, make_leaf  # noqa: E402
from origin import Origin  # noqa: E402
from web_host import WebHost  # noqa: E402

GUEST_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BROUGHT_BY_RUN = {"curl", "git", "node", "npm", "python3", "pip", "requests", "httpx", "aiohttp"}
API, CLOSED = "api.example.com", "closed.example.com"
FILES = {"git": "git.example.com", "npm": "npm.example.com", "index": "index.example.com"}

PYTHON = """
import sys
def get(url):
{body}
print(get("https://api.example.com/echo?first"))
try:
    print("NOT REFUSED", get("https://closed.example.com/"))
except Exception as error:
    print("refused:", type(error).__name__, error)
"""

NODE = """
{prelude}
async function get(url) {{
{body}
}}
get('https://api.example.com/echo?first').then(text => console.log(text))
  .then(() => get('https://closed.example.com/').then(text => console.log('NOT REFUSED', text)))
  .catch(error => {{
    for (let at = error; at; at = at.cause) console.log('refused:', at.code ?? '', at.message);
  }});
"""

# What a program does that knows no proxy variables: the tunnel by hand, TLS by Node.
NODE_TUNNEL = """
const http = require('http'), tls = require('tls');
const proxy = new URL(process.env.HTTPS_PROXY);
const tunnel = host => new Promise((resolve, reject) => http
  .request({host: proxy.hostname, port: proxy.port, method: 'CONNECT', path: host + ':443', headers: {host: host + ':443'}})
  .on('connect', (answer, socket) => answer.statusCode === 200 ? resolve(tls.connect({socket, servername: host}))
    : reject(new Error('CONNECT answered ' + answer.statusCode)))
  .on('error', reject).end());
"""

NODE_HTTPS = """
  const https = require('https'), options = {};
  if (typeof tunnel === 'function') {
    const connection = await tunnel(new URL(url).hostname);
    options.agent = new https.Agent();
    options.agent.createConnection = () => connection;
  }
  return await new Promise((resolve, reject) => https.get(url, options, answer => {
    let text = '';
    answer.on('data', data => text += data).on('end', () => answer.statusCode === 200 ? resolve(text)
      : reject(new Error('answered ' + answer.statusCode)));
  }).on('error', reject));
"""

GO = """
package main

import ("fmt"; "io"; "net/http")

func main() {
	answer, err := http.Get("https://api.example.com/echo?first")
	if err != nil { panic(err) }
	text, _ := io.ReadAll(answer.Body)
	fmt.Println(answer.Proto, string(text))
	_, err = http.Get("https://closed.example.com/")
	fmt.Println("refused:", err)
}
"""

JAVA = """
import java.net.*;
import java.net.http.*;

class Probe {
  static String old(String url) throws Exception {
    return new String(new URL(url).openConnection().getInputStream().readAllBytes());
  }
  static String modern(String url) throws Exception {
    return HttpClient.newHttpClient().send(HttpRequest.newBuilder(URI.create(url)).build(),
                                           HttpResponse.BodyHandlers.ofString()).body();
  }
  public static void main(String[] arguments) throws Exception {
    System.out.println(old("https://api.example.com/echo?first"));
    System.out.println(modern("https://api.example.com/echo?second"));
    try { System.out.println("NOT REFUSED " + old("https://closed.example.com/")); }
    catch (Exception error) { System.out.println("refused: " + error.getMessage()); }
    try { System.out.println("NOT REFUSED " + modern("https://closed.example.com/")); }
    catch (Exception error) { System.out.println("refused again: " + error.getMessage()); }
  }
}
"""


def refused(command):
    return f"if {command}; then echo NOT REFUSED; fi\n"


class Tests(AcceptanceTest):
    def setUp(self):
        self.world = self.home()
        self.token = "tok-" + secrets.token_urlsafe(30)
        top = str(self.world.top)
        ca = make_ca(top)
        leaf = make_leaf(top, [API, CLOSED, *FILES.values()])
        self.origin, self.files = Origin(*leaf), WebHost(*leaf)
        self.addCleanup(self.origin.close)
        self.addCleanup(self.files.close)
        # The closed host is pinned like the others: only the missing route keeps a client from it.
        pins = {API: self.origin.port, CLOSED: self.origin.port, **{host: self.files.port for host in FILES.values()}}
        self.egress = {"upstream_ca": ca, "hosts": {host: f"127.0.0.1:{port}" for host, port in pins.items()}, "routes": [
            {"host": API, "auth": {"scheme": "Bearer", "token_ref": "TEST_TOKEN"}},
            {"host": FILES["git"], "auth": {"scheme": "Basic", "token_ref": "TEST_TOKEN"}, "git": {"fetch": True}},
            {"host": FILES["npm"], "auth": {"scheme": "Bearer", "token_ref": "TEST_TOKEN"}},
            {"host": FILES["index"], "auth": {"scheme": "Basic", "token_ref": "TEST_TOKEN"}}]}

    def need(self, client, there=None):
        """Skips when the client is not installed where a bottle has its programs."""
        if shutil.which(client, path=GUEST_PATH) if there is None else there:
            return
        if os.environ.get("BB_MUST_WORK") and client in BROUGHT_BY_RUN:
            self.fail(f"{client} is not installed: ./run test does that")
        print(f"SKIPPED: {client} is not installed", file=sys.stderr)
        self.skipTest(f"{client} is not installed")

    def need_module(self, name):
        self.need("python3")
        self.need(name, subprocess.run(["/usr/bin/python3", "-c", f"import {name}"], capture_output=True).returncode == 0)

    def inside(self, script, **files):
        """What a shell script in a bottle prints, both streams; `files` are its workspace."""
        for name, text in {"main.sh": script, **{key.replace("_", "."): value for key, value in files.items()}}.items():
            (self.world.workspace / name).write_text(text)
        self.world.command_agent("client", ["sh", "-e", "/workspace/main.sh"], f"egress: {json.dumps(self.egress)}\n")
        result = self.world.run("run", "client", env={"TEST_TOKEN": self.token}, check=0, timeout=200)
        output = result.stdout + result.stderr
        for form in (self.token, base64.b64encode(f"x-access-token:{self.token}".encode()).decode()):
            self.assertNotIn(form, output, "the credential is in the bottle")
        self.assertNotIn("NOT REFUSED", output)
        return output

    def assert_arrived(self, output, refusal, count=1):
        """The echo of `count` requests, with the credential that the sidecar put on them scrubbed; and the refusal."""
        self.assertEqual([request.header("authorization") for request in self.origin.requests], ["Bearer " + self.token] * count)
        self.assertNotIn(CLOSED, [request.header("host") for request in self.origin.requests])
        self.assertIn("GET /echo?first", output)
        self.assertEqual(len(re.findall(r"(?i)authorization: Bearer \*{8}", output)), count, output)
        self.assertRegex(output, refusal)

    def assert_files_served(self, scheme):
        self.assertTrue(self.files.requests)
        expected = self.token if scheme == "Bearer" else base64.b64encode(f"x-access-token:{self.token}".encode()).decode()
        self.assertEqual({fields.get("authorization") for _, _, fields in self.files.requests}, {f"{scheme} {expected}"})
        self.assertEqual(self.origin.requests, [], "a closed host was reached")

    def curl(self, option, version):
        self.need("curl")
        output = self.inside(f"curl -sS {option} -w '\\nversion %{{http_version}}\\n' 'https://{API}/echo?first'\n"
                             + refused(f"curl -sS {option} https://{CLOSED}/"))
        self.assertIn(f"version {version}", output)
        self.assert_arrived(output, "response 403|HTTP code 403")

    def test_curl_http1(self):
        self.curl("--http1.1", "1.1")

    def test_curl_http2(self):
        self.curl("--http2", "2")

    def repository(self):
        """A bare repository on the git host with one commit; returns how to add another."""
        self.need("git")
        root = self.world.top / "git"
        root.mkdir()
        self.files.git_root = root
        run = lambda *arguments: subprocess.run(  # noqa: E731
            ["git", "-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "init.defaultBranch=main", *arguments],
            check=True, capture_output=True)
        run("init", "-q", "--bare", root / "tool.git")
        run("-C", root / "tool.git", "config", "http.receivepack", "true")
        run("clone", "-q", root / "tool.git", root / "work")

        def commit(text):
            (root / "work" / "file").write_text(text)
            run("-C", root / "work", "add", "file")
            run("-C", root / "work", "commit", "-q", "-m", text)
            run("-C", root / "work", "push", "-q", "origin", "HEAD:main")
        commit("first " * 1000)
        return commit

    def test_git_clone_and_a_closed_host(self):
        self.repository()
        output = self.inside(f"git clone -q https://{FILES['git']}/tool.git tool\nwc -c tool/file\n"
                             + refused(f"git clone -q https://{CLOSED}/tool.git other"))
        self.assertIn("6000 tool/file", output)
        self.assertRegex(output, "403")
        self.assert_files_served("Basic")

    def test_git_fetch_of_what_is_new(self):
        commit = self.repository()
        (self.world.workspace / "tool").mkdir()
        subprocess.run(["git", "clone", "-q", self.files.git_root / "tool.git", self.world.workspace / "tool"], check=True)
        commit("second")
        output = self.inside(f"cd tool\ngit remote set-url origin https://{FILES['git']}/tool.git\ngit fetch -q\n"
                             "git show origin/main:file")
        self.assertIn("second", output)
        self.assert_files_served("Basic")

    def test_git_push_is_refused_and_the_repository_stays(self):
        self.repository()
        head = subprocess.run(["git", "-C", self.files.git_root / "tool.git", "rev-parse", "main"], check=True,
                              capture_output=True).stdout
        output = self.inside(f"git clone -q https://{FILES['git']}/tool.git tool\ncd tool\n"
                             "git -c user.name=x -c user.email=x@example.com commit -q --allow-empty -m theirs\n"
                             + refused("git push -q origin HEAD:main") + refused("git push -q origin HEAD:new"))
        self.assertRegex(output, "403")
        self.assertFalse([path for _, path, _ in self.files.requests if "receive-pack" in path])
        self.assertEqual(subprocess.run(["git", "-C", self.files.git_root / "tool.git", "rev-parse", "--all"], check=True,
                                        capture_output=True).stdout, head)

    def test_npm_install(self):
        self.need("npm")
        base = f"https://{FILES['npm']}"
        self.files.add_npm_package(base, "tiny", "I am tiny")
        quiet = "--no-audit --no-fund --no-update-notifier --fetch-retries=0"
        output = self.inside(f"npm install {quiet} --registry={base}/ tiny\nnode -p 'require(\"tiny\")'\n"
                             + refused(f"npm install {quiet} --registry=https://{CLOSED}/ other"), package_json="{}")
        self.assertIn("I am tiny", output)
        self.assertRegex(output, "E403|403 Forbidden")
        self.assert_files_served("Bearer")

    def test_pip_install_and_download(self):
        self.need("python3")
        self.need("pip", subprocess.run(["/usr/bin/python3", "-m", "pip", "--version"], capture_output=True).returncode == 0)
        self.files.add_python_package("tiny", "I am tiny")
        pip = "/usr/bin/python3 -m pip --disable-pip-version-check --retries 1"  # only a retry says why
        output = self.inside(f"{pip} install --target site --index-url https://{FILES['index']}/simple/ tiny\n"
                             "PYTHONPATH=site /usr/bin/python3 -c 'import tiny; print(tiny.says)'\n"
                             f"{pip} download --dest got --index-url https://{FILES['index']}/simple/ tiny\nls got\n"
                             + refused(f"{pip} download --index-url https://{CLOSED}/simple/ tiny"))
        self.assertIn("I am tiny", output)
        self.assertIn("tiny-1.0-py3-none-any.whl", output)
        self.assertRegex(output, "403 Forbidden")
        self.assert_files_served("Basic")

    def python(self, body):
        return self.inside("/usr/bin/python3 main.py", main_py=PYTHON.format(body=body))

    def test_python_urllib(self):
        self.need("python3")
        output = self.python("    import urllib.request\n    return urllib.request.urlopen(url).read().decode()")
        self.assert_arrived(output, "refused: URLError .*403")

    def test_python_requests(self):
        self.need_module("requests")
        self.assert_arrived(self.python("    import requests\n    return requests.get(url).text"), "refused: ProxyError .*403")

    def test_python_httpx(self):
        self.need_module("httpx")
        self.assert_arrived(self.python("    import httpx\n    return httpx.get(url).text"), "refused: ProxyError .*403")

    def test_python_aiohttp_that_trusts_its_environment(self):
        self.need_module("aiohttp")
        body = ("    import aiohttp, asyncio\n    async def run():\n"
                "        async with aiohttp.ClientSession(trust_env=True) as session, session.get(url) as answer:\n"
                "            return await answer.text()\n    return asyncio.run(run())")
        self.assert_arrived(self.python(body), "refused: ClientHttpProxyError .*403")

    def knows_proxies(self):
        """NODE_USE_ENV_PROXY came with Node 22.21 and 24; before, no variable makes Node's own clients use a proxy."""
        self.need("node")
        flags = "process.allowedNodeEnvironmentFlags.has('--use-env-proxy')"
        return subprocess.run(["node", "-p", flags], check=True, capture_output=True, text=True).stdout.strip() == "true"

    def test_node_https(self):
        prelude = "" if self.knows_proxies() else NODE_TUNNEL
        output = self.inside("node main.js", main_js=NODE.format(prelude=prelude, body=NODE_HTTPS))
        self.assert_arrived(output, "refused:.*403")

    def test_node_fetch_uses_the_proxy_or_reaches_nothing(self):
        known = self.knows_proxies()
        output = self.inside("node main.js", main_js=NODE.format(prelude="", body="  return await (await fetch(url)).text();"))
        if known:
            self.assert_arrived(output, "refused:.*403")
        else:
            self.assertRegex(output, "EAI_AGAIN|ENOTFOUND")
            self.assertEqual(self.origin.requests, [])

    def test_go(self):
        go = shutil.which("go", path=GUEST_PATH + ":/usr/local/go/bin")
        self.need("go", go)
        (self.world.top / "main.go").write_text(GO)
        environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GO111MODULE": "off", "GOTOOLCHAIN": "local",
                       "GOPROXY": "off"}
        subprocess.run([go, "build", "-o", self.world.workspace / "probe", self.world.top / "main.go"], check=True,
                       env=environment, cwd=self.world.top)
        # Go shows the refusal's reason phrase alone.
        self.assert_arrived(self.inside("./probe"), "refused:.*Forbidden")

    def test_java(self):
        self.need("javac")
        self.assert_arrived(self.inside("java Probe.java", Probe_java=JAVA), "(?s)refused: .*403.*refused again: .*403", 2)


if __name__ == "__main__":
    unittest.main()
