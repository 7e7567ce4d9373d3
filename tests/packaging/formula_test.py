"""The Homebrew formula names what the tree needs: every dependency of cmake/Dependencies.cmake, the programs that bottles are made with,
and nothing else. Homebrew itself has not run it; where ruby is, it reads it."""
import pathlib
import re
import shutil
import subprocess
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
# CMake's or pkg-config's name → the formula's.
NAMES = {"Boost": "boost", "CLI11": "cli11", "OpenSSL": "openssl@3", "PkgConfig": "pkgconf", "fmt": "fmt", "libbrotlidec": "brotli", "libcurl": "curl",
         "libhs": "vectorscan", "libidn2": "libidn2", "libnghttp2": "libnghttp2", "libseccomp": "libseccomp", "libuv": "libuv", "libzstd": "zstd",
         "ncursesw": "ncurses", "re2": "re2", "spdlog": "spdlog", "tomlplusplus": "tomlplusplus", "yaml-cpp": "yaml-cpp", "zlib": "zlib"}
# Found without CMake's help: a header alone; and what builds or is started.
OTHERS = {"tl-expected", "cmake", "ninja", "bubblewrap", "git"}


class Tests(unittest.TestCase):
    def setUp(self):
        self.formula = SOURCE / "packaging/homebrew/bot-bottle.rb"
        self.text = self.formula.read_text()

    def test_it_names_what_the_tree_needs(self):
        cmake = (SOURCE / "cmake/Dependencies.cmake").read_text()
        cmake = cmake[:cmake.index("if(BB_BUILD_TESTS)")]
        needed = set(re.findall(r"find_package\((\S+)", cmake)) - {"Threads"}
        needed |= set(re.findall(r"pkg_check_modules\(\S+ REQUIRED(?: IMPORTED_TARGET)? (\S+)\)", cmake))
        self.assertGreater(len(needed), 15)
        self.assertEqual(needed - set(NAMES), set(), "name it here, and its formula in packaging/homebrew")
        self.assertEqual(set(re.findall(r'^  depends_on "([^"]+)"', self.text, re.M)), {NAMES[name] for name in needed} | OTHERS)

    def test_its_version_and_options_are_the_trees(self):
        cmake = (SOURCE / "CMakeLists.txt").read_text()
        self.assertIn(f"bot-bottle-{re.search(r'project.bot-bottle VERSION ([0-9.]+)', cmake)[1]}.tar.gz", self.text)
        options = set(re.findall(r"-D(BB_\w+)=", self.text))
        self.assertTrue(options)
        everywhere = cmake + (SOURCE / "cmake/Packaging.cmake").read_text()
        self.assertEqual({option for option in options if f"option({option} " not in everywhere}, set())

    def test_it_is_ruby(self):
        ruby = shutil.which("ruby")
        if ruby is None:
            self.skipTest("no ruby here")
        done = subprocess.run([ruby, "-c", self.formula], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
