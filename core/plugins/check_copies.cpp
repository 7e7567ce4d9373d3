// The copy rules of `plugin check`: what is in a bottle is hostile, and a copy follows no link of it.
#include <sys/stat.h>

#include <cerrno>
#include <vector>

#include "core/base/file.hpp"
#include "core/base/text.hpp"
#include "core/plugins/check_bottle.hpp"

namespace bot_bottle::plugins {
namespace {

namespace fs = std::filesystem;

/// All names and contents below a path of the host, links as they are.
std::string everything_in(const fs::path& root) {
  std::string text;
  const auto add = [&text](const fs::path& path) {
    std::error_code code;
    text += path.string() + "\n";
    if (fs::is_symlink(path, code)) return;
    if (fs::is_regular_file(path, code))
      if (const auto content = read_file(path)) text += *content;
  };
  std::error_code code;
  if (!fs::is_directory(fs::symlink_status(root, code))) {
    add(root);
    return text;
  }
  for (const auto& entry : fs::recursive_directory_iterator(root, code)) add(entry.path());
  return text;
}

/// The first thing below `root` that must not come out of a bottle.
std::string bad_entry(const fs::path& root) {
  std::vector<fs::path> found{root};
  std::error_code code;
  if (fs::is_directory(fs::symlink_status(root, code)))
    for (const auto& entry : fs::recursive_directory_iterator(root, code)) found.push_back(entry.path());
  for (const fs::path& path : found) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) continue;
    const std::string name = path.lexically_relative(root).string();
    if (S_ISLNK(status.st_mode)) {
      const fs::path target = fs::read_symlink(path, code);
      if (target.is_absolute() ||
          (path.parent_path() / target).lexically_normal().lexically_relative(root).string().starts_with(".."))
        return name + " is a link that leaves the destination";
    } else if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) {
      return name + " is a device, pipe or socket";
    } else if ((status.st_mode & (S_ISUID | S_ISGID)) != 0) {
      return name + " has a set-id bit";
    }
  }
  return {};
}

}  // namespace

void check_copies(BottleUnderTest& bottle) {
  const fs::path source = bottle.scratch() / "in.txt";
  bottle.check("copy_in and copy_out keep content and mode", [&]() -> std::string {
    const fs::path back = bottle.scratch() / "out.txt";
    or_throw(write_file_fast(source, "carried\n", 0640));
    bottle.copy_in(source, "/workspace/in.txt", false, 0640);
    if (auto problem = expect(bottle.shell("cat in.txt && find in.txt -perm 640"), 0, "carried\nin.txt\n");
        !problem.empty())
      return problem;
    bottle.copy_out("/workspace/in.txt", back);
    return or_throw(read_file(back)) == "carried\n" ? "" : "the content changed";
  });
  bottle.check("copy_in of a tree merges into what is there, and the agent owns it", [&]() -> std::string {
    const fs::path tree = bottle.scratch() / "tree";
    or_throw(make_directories(tree / "deep" / "er", 0755));
    or_throw(write_file_fast(tree / "deep" / "er" / "new.txt", "new\n", 0644));
    static_cast<void>(bottle.shell("mkdir -p /home/agent/deep; echo kept > /home/agent/deep/old.txt"));
    bottle.copy_in(tree, "/home/agent", true);
    return expect(bottle.shell("cd /home/agent/deep && cat old.txt er/new.txt && echo more >> er/new.txt && echo may"),
                  0, "kept\nnew\nmay\n");
  });
  bottle.check("copy_in leaves out sockets and pipes", [&]() -> std::string {
    // As git's file monitor leaves in a repository.
    const fs::path tree = bottle.scratch() / "odd-in";
    or_throw(make_directories(tree, 0755));
    or_throw(write_file_fast(tree / "file", "x\n", 0644));
    bool made = ::mkfifo((tree / "pipe").c_str(), 0644) == 0;
#if defined(__linux__)  // elsewhere for root alone
    made = made && ::mknod((tree / "socket").c_str(), S_IFSOCK | 0644, 0) == 0;
#endif
    if (!made) throw Failure(error_from_errno("cannot make a pipe and a socket", errno));
    bottle.copy_in(tree, "/workspace/odd-in", true);
    return expect(bottle.shell("cd odd-in && cat file && echo *"), 0, "x\nfile\n");
  });
  bottle.check("copy_in writes through no link of the agent's", [&]() -> std::string {
    const fs::path outside = bottle.scratch() / "outside";
    or_throw(make_directories(outside));
    or_throw(write_file_fast(outside / "file", "untouched", 0644));
    static_cast<void>(
        bottle.shell("ln -sfn " + (outside / "file").string() + " trap; ln -sfn " + outside.string() + " traps"));
    for (const char* dest : {"/workspace/trap", "/workspace/traps/file", "/workspace/traps/another"}) {
      try {
        bottle.copy_in(source, dest);
      } catch (const Failure&) {  // refusing is right, too
      }
    }
    return everything_in(outside) == (outside / "file").string() + "\nuntouched" ? ""
                                                                                 : "a file of the host was changed";
  });
  bottle.check("copy_out follows no link", [&]() -> std::string {
    const fs::path secret = bottle.scratch() / "of-the-host";
    const std::string content = "content of the host, " + bottle.slug;
    or_throw(write_file_fast(secret, content, 0644));
    static_cast<void>(bottle.shell("mkdir -p out/in; echo inside > out/in/file; ln -s " + secret.string() +
                                   " out/leak; ln -s " + bottle.scratch().string() +
                                   " out/dir; ln -s ../../../../../etc/passwd out/up; ln -s " + secret.string() +
                                   " leak"));
    const fs::path one = bottle.scratch() / "link-out";
    const fs::path tree = bottle.scratch() / "tree-out";
    try {
      bottle.copy_out("/workspace/leak", one, true);
    } catch (const Failure&) {  // refusing is right, too
    }
    bottle.copy_out("/workspace/out", tree, true);
    for (const fs::path& made : {one, tree}) {
      if (everything_in(made).find(content) != std::string::npos) return "a link was followed to a file of the host";
      if (auto bad = bad_entry(made); !bad.empty()) return bad;
    }
    return everything_in(tree).find("inside\n") != std::string::npos ? "" : "an ordinary file was left out";
  });
  bottle.check("a directory that may not be written comes out, and again", [&]() -> std::string {
    // It stays where it is: `remove` has to end with it, too.
    static_cast<void>(bottle.shell("mkdir -p shut/in; echo kept > shut/in/file; chmod 500 shut/in shut"));
    for (const char* name : {"shut-out", "shut-again"}) {
      const fs::path tree = bottle.scratch() / name;
      bottle.copy_out("/workspace/shut", tree, true);
      const auto content = read_file(tree / "in" / "file");
      if (!content || *content != "kept\n") return std::string(name) + ": the file in it did not come out";
    }
    return {};
  });
  bottle.check("copy_out makes no pipe, device or set-id file", [&]() -> std::string {
    const fs::path tree = bottle.scratch() / "odd-out";
    static_cast<void>(
        bottle.shell("mkdir -p odd; echo x > odd/file; cp odd/file odd/suid; chmod 6755 odd/suid; mkfifo odd/pipe"));
    bottle.copy_out("/workspace/odd", tree, true);
    if (auto bad = bad_entry(tree); !bad.empty()) return bad;
    return everything_in(tree).find("x\n") != std::string::npos ? "" : "an ordinary file was left out";
  });
  bottle.check("copy_out fills no disk with holes", [&]() -> std::string {
    // No bottle's limit of its disk counts what is not written: an agent's file may be of any size.
    constexpr std::int64_t most_held = std::int64_t{32} << 20;
    const fs::path made = bottle.scratch() / "sparse-out";
    if (auto problem = expect(bottle.shell("truncate -s 256M sparse"), 0, ""); !problem.empty()) return problem;
    try {
      bottle.copy_out("/workspace/sparse", made);
    } catch (const Failure&) {  // refusing is right, too
    }
    static_cast<void>(bottle.shell("rm sparse"));
    struct stat status {};
    const bool came = ::lstat(made.c_str(), &status) == 0;
    static_cast<void>(remove_tree(made));
    if (!came) return {};
    return std::int64_t{status.st_blocks} * 512 <= most_held
               ? ""
               : "a file of nothing but a hole takes " + std::to_string(status.st_blocks / 2048) + " MiB";
  });
}

}  // namespace bot_bottle::plugins
