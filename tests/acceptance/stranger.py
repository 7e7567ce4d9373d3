"""A machine that has never seen bot-bottle: Debian 12 by debootstrap and an account `me`, entered by pivot_root in a mount namespace
of its own (in a chroot the kernel makes no user namespaces). It shares this machine's kernel, processes and network, nothing else."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from harness import BUILD, SOURCE

sys.path.insert(0, str(SOURCE / "tests" / "docker"))
import engine  # noqa: E402

ENTER = r"""
set -e
mount --make-rprivate /
mount --bind "$ROOT" "$ROOT"
cd "$ROOT"
mount -t proc proc proc
mount --rbind /dev dev
mount --rbind /sys sys
mkdir -p .old
pivot_root . .old
cd /
umount -l /.old
rmdir /.old
exec "$@"
"""


def run_packages():
    """What `./run demo` says a machine needs to run it, from the script itself."""
    return re.search(r"^run_packages=\(([^)]*)\)", (SOURCE / "run").read_text(), re.M)[1].split()


class Machine:
    """`packages` are installed by apt, as README and ./run say; kept as a second archive beside debootstrap's."""

    def __init__(self, packages, room=None):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="bb-stranger-", dir=room or engine.debian(BUILD).parent))
        base = engine.debian(BUILD)
        archive = base.with_name("stranger-12.tar")
        if packages and archive.exists():
            self.untar(archive)
            return
        self.untar(base)
        self.use_this_machines_apt()
        self.as_root("useradd", "--create-home", "--uid", "1000", "--shell", "/bin/bash", "me")
        if packages:
            self.as_root("sh", "-c", "apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends " + " ".join(packages),
                         timeout=600)
            subprocess.run(["tar", "-C", self.root, "--one-file-system", "-cf", f"{archive}.{os.getpid()}", "."], check=True)
            os.rename(f"{archive}.{os.getpid()}", archive)

    def untar(self, archive):
        subprocess.run(["tar", "-C", self.root, "-xf", archive], check=True)
        self.root.chmod(0o755)  # the archive has the mode of the directory that it was made in

    def use_this_machines_apt(self):
        """Where packages come from here: mirrors, proxies, authorities."""
        for name in ("etc/apt", "etc/ssl/certs/ca-certificates.crt", "etc/resolv.conf", "etc/hosts"):
            source, dest = pathlib.Path("/") / name, self.root / name
            if source.is_dir():
                shutil.copytree(source, dest, dirs_exist_ok=True)
            elif source.exists():
                dest.parent.mkdir(parents=True, exist_ok=True)
                dest.unlink(missing_ok=True)
                shutil.copy(source, dest)

    def argv(self, *words, user="me", cwd="/home/me"):
        environment = {"PATH": "/opt/bot-bottle/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8", "TERM": "xterm-256color",
                       "HOME": "/root" if user == "root" else "/home/me", "USER": user, "LOGNAME": user}
        become = [] if user == "root" else ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"]
        return ["env", "-i", f"ROOT={self.root}", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "unshare", "--mount", "sh", "-c", ENTER, "sh",
                "env", "-i", *(f"{name}={value}" for name, value in environment.items()), *become,
                "sh", "-c", 'cd "$0" && exec "$@"', cwd, *map(str, words)]

    def run(self, *words, code=0, user="me", cwd="/home/me", timeout=120, input=""):
        result = subprocess.run(self.argv(*words, user=user, cwd=cwd), capture_output=True, text=True, timeout=timeout, input=input)
        if code is not None and result.returncode != code:
            raise AssertionError(f"{words}: exit {result.returncode}, not {code}\n--- stdout\n{result.stdout[-4000:]}\n--- stderr\n{result.stderr[-4000:]}")
        return result

    def as_root(self, *words, **options):
        return self.run(*words, user="root", cwd="/", **options)

    def install(self, prefix):
        """The built tree at /opt/bot-bottle, with the shared libraries that its packages would bring."""
        dest = self.root / "opt" / "bot-bottle"
        for name in ("bin", "libexec", "lib/bot-bottle", "share"):
            shutil.copytree(prefix / name, dest / name)
        for program in [*dest.rglob("bin/*"), *dest.rglob("libexec/**/*"), *dest.rglob("*.so")]:
            for line in subprocess.run(["ldd", program], capture_output=True, text=True).stdout.splitlines():
                found = re.search(r"=> (/\S+)", line)
                if found and not (self.root / "usr" / found[1].lstrip("/").removeprefix("usr/")).exists():
                    target = self.root / "usr/lib/x86_64-linux-gnu" / pathlib.Path(found[1]).name
                    if not target.exists():
                        shutil.copy(os.path.realpath(found[1]), target)
        self.as_root("ldconfig")

    def write(self, path, text):
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        for one in [file, *file.parents]:
            if one == self.root / "home" / "me":
                break
            os.chown(one, 1000, 1000)
        return file

    def close(self):
        shutil.rmtree(self.root, ignore_errors=True)
