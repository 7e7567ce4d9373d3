"""Real upstreams on loopback: sshd with a host key of its own, and nginx with git http-backend behind TLS."""
import base64
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "fakes"))
from certificates import make_ca, make_leaf  # noqa: E402


def free_port(address="127.0.0.1"):
    with socket.socket() as one:
        one.bind((address, 0))
        return one.getsockname()[1]


def wait_for_port(port, process=None, seconds=20, address="127.0.0.1"):
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError), socket.create_connection((address, port), 1):
            return
        if time.monotonic() > deadline or (process is not None and process.poll() is not None):
            raise AssertionError(f"nothing listens on {port}")
        time.sleep(0.01)


def keygen(path, kind="ed25519"):
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "test", "-f", str(path)], check=True)
    return pathlib.Path(path).read_text(), pathlib.Path(f"{path}.pub").read_text().strip()


def git(*arguments, cwd=None, env=None, check=True, input=None, text=True, timeout=120):
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "LANG": "C.UTF-8",
                   "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.com", "GIT_COMMITTER_NAME": "A",
                   "GIT_COMMITTER_EMAIL": "a@example.com", "GIT_TERMINAL_PROMPT": "0", **(env or {})}
    result = subprocess.run(["git", *map(str, arguments)], cwd=cwd, env=environment, capture_output=True, text=text,
                            input=input, timeout=timeout)
    if check and result.returncode != 0:
        raise AssertionError(f"git {arguments} ended with {result.returncode}\n{result.stdout}\n{result.stderr}")
    return result


class Repositories:
    """Bare repositories in a directory, and a look into their object stores."""

    def __init__(self, directory):
        self.root = pathlib.Path(directory)
        self.root.mkdir(parents=True, exist_ok=True)

    def make(self, name, branch="main", commit=True, **options):
        path = self.root / f"{name}.git"
        git("init", "-q", "--bare", "-b", branch, *[f"--{k.replace('_', '-')}={v}" for k, v in options.items()], path)
        git("-C", path, "config", "http.receivepack", "true")
        if commit:
            work = self.root / f"{name}.seed"
            git("clone", "-q", path, work, env={"GIT_DEFAULT_HASH": options.get("object_format", "sha1")})
            git("checkout", "-q", "-b", branch, cwd=work, check=False)
            (work / "README").write_text("hello\n")
            git("add", "README", cwd=work)
            git("commit", "-q", "-m", "first", cwd=work)
            git("push", "-q", "origin", branch, cwd=work)
        return path

    def seed(self, name):
        return self.root / f"{name}.seed"

    def refs(self, name):
        out = git("for-each-ref", "--format=%(refname) %(objectname)", cwd=self.root / f"{name}.git").stdout
        return dict(line.split() for line in out.splitlines())

    def every_object(self, name):
        """All that the object store holds, reachable or not, in quarantine directories or not, unpacked."""
        path = self.root / f"{name}.git"
        listing = git("cat-file", "--batch-check", "--batch-all-objects", "--unordered", cwd=path).stdout
        oids = [line.split()[0] for line in listing.splitlines()]
        data = subprocess.run(["git", "cat-file", "--batch"], cwd=path, input="\n".join(oids).encode(),
                              capture_output=True, check=True).stdout
        data += "\n".join(self.refs(name)).encode()
        for leftover in path.glob("objects/**/tmp_*"):
            data += leftover.read_bytes() if leftover.is_file() else b""
        return data


class Sshd:
    """OpenSSH's server as whoever runs the tests: one host key, one authorized key. On loopback, or where a container reaches it."""

    def __init__(self, directory, name="sshd", address="127.0.0.1"):
        self.directory = pathlib.Path(directory) / name
        self.directory.mkdir(parents=True)
        self.address = address
        self.port = free_port(address)
        self.private_key, self.public_key = keygen(self.directory / "client")
        self.log = self.directory / "log"
        self.new_host_key()
        self.authorized = self.directory / "authorized_keys"
        self.authorize(self.public_key)
        self.process = None
        self.start()

    def new_host_key(self):
        for path in (self.directory / "host", self.directory / "host.pub"):
            path.unlink(missing_ok=True)
        _, public = keygen(self.directory / "host")
        self.host_key = " ".join(public.split()[:2])

    def authorize(self, *keys):
        self.authorized.write_text("".join(f"restrict {key}\n" for key in keys))

    def start(self):
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)
        config = self.directory / "config"
        config.write_text(
            f"Port {self.port}\nListenAddress {self.address}\nHostKey {self.directory}/host\nPidFile none\n"
            f"AuthorizedKeysFile {self.authorized}\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nPubkeyAuthentication yes\n"
            "X11Forwarding no\nAllowAgentForwarding no\nLogLevel VERBOSE\nMaxStartups 100\nUseDNS no\n"
            "PrintMotd no\nPrintLastLog no\n")
        self.output = open(self.log, "a")
        self.process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", str(config)], stdout=self.output,
                                        stderr=self.output, start_new_session=True)
        wait_for_port(self.port, self.process, address=self.address)

    def stop(self):
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGTERM)
        self.process.wait(10)
        self.output.close()
        self.process = None

    def url(self, path, user=None):
        user = user or ("root" if os.geteuid() == 0 else os.environ.get("USER", "nobody"))
        return f"ssh://{user}@{self.address}:{self.port}{path}"


class HttpsGit:
    """nginx and git http-backend behind TLS, with basic authentication (the password is the token)."""

    def __init__(self, directory, root, token):
        self.directory = pathlib.Path(directory) / "https"
        self.directory.mkdir(parents=True)
        self.directory.chmod(0o755)
        self.port = free_port()
        self.ca = make_ca(str(self.directory))
        certificate, key = make_leaf(str(self.directory), ["git.example.com"], "leaf")
        wanted = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        socket_path = self.directory / "fcgi.sock"
        self.access_log = self.directory / "access.log"
        (self.directory / "nginx.conf").write_text(f"""
daemon off; master_process off; pid {self.directory}/pid; error_log {self.directory}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log {self.access_log};
  client_body_temp_path {self.directory}/body; fastcgi_temp_path {self.directory}/fastcgi;
  proxy_temp_path {self.directory}/proxy; uwsgi_temp_path {self.directory}/uwsgi; scgi_temp_path {self.directory}/scgi;
  client_max_body_size 0; map_hash_bucket_size 256;
  map $http_authorization $allowed {{ default 0; "Basic {wanted}" 1; }}
  server {{
    listen 127.0.0.1:{self.port} ssl;
    ssl_certificate {certificate}; ssl_certificate_key {key};
    location / {{
      if ($allowed = 0) {{ add_header WWW-Authenticate 'Basic realm="git"' always; return 401; }}
      fastcgi_pass unix:{socket_path};
      fastcgi_param SCRIPT_FILENAME /usr/lib/git-core/git-http-backend;
      fastcgi_param GIT_PROJECT_ROOT {root}; fastcgi_param GIT_HTTP_EXPORT_ALL 1;
      fastcgi_param PATH_INFO $uri; fastcgi_param QUERY_STRING $query_string;
      fastcgi_param REQUEST_METHOD $request_method; fastcgi_param CONTENT_TYPE $content_type;
      fastcgi_param CONTENT_LENGTH $content_length; fastcgi_param REMOTE_USER agent;
      fastcgi_param HTTP_CONTENT_ENCODING $http_content_encoding; fastcgi_param GIT_PROTOCOL $http_git_protocol;
      fastcgi_param GIT_CONFIG_COUNT 1; fastcgi_param GIT_CONFIG_KEY_0 safe.directory; fastcgi_param GIT_CONFIG_VALUE_0 *;
    }}
  }}
}}
""")
        self.fcgi = subprocess.Popen(["/usr/sbin/fcgiwrap", "-c", "4", "-s", f"unix:{socket_path}"],
                                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                     start_new_session=True)
        self.nginx = None
        deadline = time.monotonic() + 10
        while not socket_path.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        socket_path.chmod(0o777)
        self.nginx = subprocess.Popen(["/usr/sbin/nginx", "-c", str(self.directory / "nginx.conf"), "-p", str(self.directory),
                                       "-e", str(self.directory / "error.log")], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.DEVNULL, start_new_session=True)
        try:
            wait_for_port(self.port, self.nginx)
        except AssertionError:
            self.stop()
            raise

    def url(self, name):
        return f"https://git.example.com:{self.port}/{name}.git"

    def stop(self):
        for process in filter(None, (self.nginx, self.fcgi)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(10)
        shutil.rmtree(self.directory / "body", ignore_errors=True)
