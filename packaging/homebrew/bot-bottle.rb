# A formula for Homebrew, on Linux and macOS. There is no released archive yet: `url` and `sha256` are to be filled in with the first
# one, and until then only `brew install --HEAD` from a tap that names its own repository can work.
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
  depends_on "spdlog" => :build
  depends_on "tl-expected" => :build
  depends_on "tomlplusplus" => :build
  depends_on "boost"
  depends_on "brotli"
  depends_on "curl"
  depends_on "fmt"
  depends_on "libidn2"
  depends_on "libnghttp2"
  depends_on "libuv"
  depends_on "ncurses"
  depends_on "openssl@3"
  depends_on "re2"
  depends_on "vectorscan" # Hyperscan's interface (libhs), also on Apple silicon
  depends_on "yaml-cpp"
  depends_on "zlib"
  depends_on "zstd"

  on_linux do
    depends_on "bubblewrap"
    depends_on "libseccomp"
  end

  def install
    system "cmake", "-S", ".", "-B", "build", "-G", "Ninja", "-DBB_BUILD_TESTS=OFF", "-DCMAKE_BUILD_TYPE=Release", *std_cmake_args
    system "cmake", "--build", "build"
    system "cmake", "--install", "build"
  end

  def caveats
    on_macos do
      <<~EOS
        On macOS nothing of bot-bottle has been run by its authors. It has no wall of its own there:
        the backends `local` and `docker` are for Linux, and the backends for Apple's `container`
        and for smolvm, where this version has them, were written to the documentation of those
        programs and tested on stand-ins. Do not trust a bottle on macOS before `bot-bottle demo`
        says "blocked" for everything. Verbs that start no bottle (config check, routes, scan) need
        no backend.
      EOS
    end
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/bot-bottle --version")
    assert_match "blocked", shell_output("#{bin}/bot-bottle demo") if OS.linux?
  end
end
