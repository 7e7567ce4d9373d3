"""`cmake --install` of the tests' build: everything is there, and the bill of materials is true.  installed_tree_test.py CMAKE BUILD"""
import copy
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import contents
import spdx

CMAKE, BUILD = sys.argv.pop(1), sys.argv.pop(1)


class Tests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.prefix = pathlib.Path(tempfile.mkdtemp(prefix="bb-install-"))
        cls.addClassCleanup(shutil.rmtree, cls.prefix)
        cls.install(cls.prefix)
        cls.document = json.loads((cls.prefix / "share/doc/bot-bottle/bot-bottle.spdx.json").read_text())

    @staticmethod
    def install(prefix):
        done = subprocess.run([CMAKE, "--install", BUILD, "--prefix", prefix], capture_output=True, text=True,
                              env={**os.environ, "SOURCE_DATE_EPOCH": "1000000000"})
        if done.returncode != 0:
            raise AssertionError(f"cmake --install: exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")

    def test_everything_is_there(self):
        self.assertEqual([name for name in contents.expected(self.prefix) if not (self.prefix / name).is_file()], [])
        program = self.prefix / "bin/bot-bottle"
        for page in contents.pages(program):
            self.assertTrue((self.prefix / f"share/man/man1/{page}.1").is_file(), page)
        for name in ("bash-completion/completions/bot-bottle", "zsh/site-functions/_bot-bottle", "fish/vendor_completions.d/bot-bottle.fish"):
            self.assertTrue((self.prefix / "share" / name).is_file(), name)

    def test_nothing_of_the_tests_or_of_this_machine_is_there(self):
        self.assertEqual({path.relative_to(self.prefix).parts[0] for path in self.prefix.rglob("*")}, {"bin", "include", "lib", "libexec", "share"})
        self.assertEqual([path.name for path in self.prefix.glob("bin/*")], ["bot-bottle"])
        self.assertEqual([str(path) for path in self.prefix.rglob("*.py")], [])
        for path in spdx.elf_files(self.prefix):
            self.assertNotRegex(subprocess.run(["readelf", "-d", path], capture_output=True, text=True, check=True).stdout, "RPATH|RUNPATH", path)

    def test_it_runs_from_wherever_it_is(self):
        """Moved after its installation, under a name with a space: from there come plugins, sidecar, rules and SDK, and from nowhere else."""
        place = pathlib.Path(tempfile.mkdtemp(prefix="bb-moved-"))
        self.addCleanup(shutil.rmtree, place)
        prefix, home = place / "some where" / "else", place / "home"
        shutil.copytree(self.prefix, prefix)
        home.mkdir()

        def run(*argv, code=0):
            done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, cwd=home,
                                  env={"HOME": str(home), "PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "PKG_CONFIG_PATH": str(prefix / "lib/pkgconfig")})
            if code is not None and done.returncode != code:
                raise AssertionError(f"{argv}: exit {done.returncode}\n{done.stdout}{done.stderr}")
            return done.stdout
        program, plugins = prefix / "bin/bot-bottle", [file.parent.name for file in (contents.SOURCE / "plugins").glob("*/plugin.toml")]
        listed = json.loads(run(program, "plugin", "list", "--json"))["plugins"]
        self.assertLessEqual(set(plugins), {plugin["name"] for plugin in listed})
        for name in plugins:
            found = json.loads(run(program, "plugin", "info", name, "--json"))
            self.assertEqual((found["directory"], found["state"]), (str(prefix / "lib/bot-bottle/plugins" / name), "ready"))
        self.assertIn(str(prefix / "libexec/bot-bottle/bot-bottle-sidecar"), run(program, "doctor", code=None))  # what the machine lacks is its own affair
        # The SDK, by the example that docs/plugins.md links to.
        script = run("pkg-config", "--variable=version_script", "bot-bottle-plugin-api").strip().replace("\\ ", " ")
        self.assertEqual(pathlib.Path(script).resolve(strict=True), (prefix / "share/bot-bottle/plugin-api/plugin.version").resolve())
        run(CMAKE, "-S", prefix / "share/doc/bot-bottle/plugin-api/examples/provider-gemini", "-B", place / "build", f"-DCMAKE_PREFIX_PATH={prefix}")
        run(CMAKE, "--build", place / "build")
        run(program, "plugin", "check", place / "build/plugins/provider-gemini")

    def test_the_bill_of_materials_is_true(self):
        self.assertEqual([*spdx.faults_of_form(self.document), *spdx.faults_against(self.document, self.prefix)], [])
        names = {package["name"] for package in self.document["packages"]}
        # Libraries that are headers alone leave no trace in a binary; and what is linked statically.
        self.assertLessEqual({"libcli11-dev", "libtomlplusplus-dev", "libexpected-dev", "libssl3", "libc6-dev"}, names)
        self.assertNotIn("libgtest-dev", names, "the tests are not installed")

    def test_the_same_tree_gives_the_same_bill(self):
        other = pathlib.Path(tempfile.mkdtemp(prefix="bb-install-"))
        self.addCleanup(shutil.rmtree, other)
        self.install(other)
        name = "share/doc/bot-bottle/bot-bottle.spdx.json"
        self.assertEqual((self.prefix / name).read_bytes(), (other / name).read_bytes())

    def test_what_is_left_out_or_wrong_is_found(self):
        def broken(change):
            document = copy.deepcopy(self.document)
            change(document)
            return "\n".join([*spdx.faults_of_form(document), *spdx.faults_against(document, self.prefix)])

        def forget_a_library(document):
            crypto = next(package for package in document["packages"] if "libcrypto.so.3" in package.get("comment", ""))
            document["packages"].remove(crypto)
            document["relationships"] = [one for one in document["relationships"] if crypto["SPDXID"] not in one.values()]
        self.assertIn("loads libcrypto.so.3, which is not in it", broken(forget_a_library))
        self.assertIn("nothing is said to be linked into it", broken(lambda document: document.update(
            relationships=[one for one in document["relationships"] if one["relationshipType"] != "STATIC_LINK"])))
        self.assertIn("has another SHA1", broken(lambda document: document["files"][0]["checksums"][0].update(checksumValue="0" * 40)))
        self.assertIn("is not in it", broken(lambda document: document["files"].pop()))
        self.assertIn("its licence is not known", broken(lambda document: document["packages"][1].update(licenseConcluded="NOASSERTION")))
        self.assertIn("no versionInfo", broken(lambda document: document["packages"][1].pop("versionInfo")))
        self.assertIn("which is not in the document", broken(lambda document: document["packages"].pop()))


if __name__ == "__main__":
    unittest.main()
