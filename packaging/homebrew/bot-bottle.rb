# A formula for Homebrew on Linux. Of what macOS would need, the two backends for its machines are written and checked in syntax alone
# (`./run ci macos`); the command and the sidecar use Linux's own calls, so that macOS is refused here instead of in the middle of a build.
# There is no released archive yet: `url` and `sha256` are to be filled in with the first one, and until then only
# `brew install --HEAD` from a tap that names its own repository can work.
class BotBottle < Formula
  desc "Runs coding agents as if they were already compromised"
  homepage "https://example.com/bot-bottle"
  url "https://example.com/bot-bottle-0.1.0.tar.gz"
  sha256 "0000000000000000000000000000000000000000000000000000000000000000"
  license "Apache-2.0"
  head "https://example.com/bot-bottle.git", branch: "main"

  depends_on "cli11" => :build
  depends_on "cmake" => :build
  depends_on "ninja" => :build
  depends_on "pkgconf" => :build
  depends_on "spdlog" => :build # looked for, not linked
  depends_on "tl-expected" => :build
  depends_on "boost"
  depends_on "brotli"
  depends_on "bubblewrap"
  depends_on "curl"
  depends_on "fmt"
  depends_on "git"
  depends_on "libidn2"
  depends_on "libnghttp2"
  depends_on "libseccomp"
  depends_on "libuv"
  depends_on "ncurses"
  depends_on :linux
  depends_on "openssl@3"
  depends_on "re2"
  depends_on "tomlplusplus"
  depends_on "vectorscan" # Hyperscan's interface (libhs), also on ARM
  depends_on "yaml-cpp"
  depends_on "zlib"
  depends_on "zstd"

  def install
    system "cmake", "-S", ".", "-B", "build", "-G", "Ninja", "-DBB_BUILD_TESTS=OFF", "-DBB_BILL_OF_MATERIALS=OFF", *std_cmake_args
    system "cmake", "--build", "build"
    system "cmake", "--install", "build"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/bot-bottle --version")
    assert_match "blocked", shell_output("#{bin}/bot-bottle demo")
  end
end
