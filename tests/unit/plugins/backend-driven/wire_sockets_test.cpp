// The sidecar's sockets as a tool is given them, with a sidecar that was taken over.
#include "plugins/backend-driven/wire_sockets.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "bot_bottle/plugin.hpp"
#include "core/base/file.hpp"
#include "core/base/random.hpp"
#include "core/base/unique_fd.hpp"

namespace bot_bottle::driven {
namespace {

class WireSockets : public testing::Test {
 protected:
  void SetUp() override { or_throw(make_directories(state_ + "/wire")); }
  void TearDown() override { static_cast<void>(remove_tree(state_)); }
  static UniqueFd listen_at(const std::string& path) {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0) << path;
    EXPECT_EQ(::listen(fd.get(), 1), 0);
    return fd;
  }
  std::string state_ = "/tmp/bb-wire-" + random_base36(8);
  bb_call raw_{
      .struct_size = sizeof(bb_call), .cancel_fd = -1, .host_data = nullptr, .fail = nullptr, .progress = nullptr};
  sdk::Call call_{&raw_};
};

TEST_F(WireSockets, what_is_mounted_is_a_name_of_the_very_socket_in_a_directory_of_ours) {
  const UniqueFd socket = listen_at(state_ + "/wire/egress.sock");
  link_sockets(call_, state_, {"egress"});
  struct stat theirs {};
  struct stat ours {};
  ASSERT_EQ(::lstat((state_ + "/wire/egress.sock").c_str(), &theirs), 0);
  ASSERT_EQ(::lstat((socket_directory(state_) + "/egress.sock").c_str(), &ours), 0);
  EXPECT_EQ(ours.st_ino, theirs.st_ino);
  EXPECT_TRUE(S_ISSOCK(ours.st_mode));
  EXPECT_EQ(ours.st_mode & 0777, 0666U);
  ASSERT_EQ(::stat(socket_directory(state_).c_str(), &ours), 0);
  EXPECT_EQ(ours.st_mode & 0777, 0700U);
}

TEST_F(WireSockets, a_link_on_the_wire_is_not_followed) {
  // The socket of an engine, say: whoever reaches it has the machine.
  const UniqueFd other = listen_at(state_ + "/engine.sock");
  ASSERT_EQ(::chmod((state_ + "/engine.sock").c_str(), 0600), 0);
  ASSERT_EQ(::symlink((state_ + "/engine.sock").c_str(), (state_ + "/wire/egress.sock").c_str()), 0);
  EXPECT_THROW(link_sockets(call_, state_, {"egress"}), sdk::Error);
  struct stat status {};
  EXPECT_NE(::lstat((socket_directory(state_) + "/egress.sock").c_str(), &status), 0) << "it is not left to be mounted";
  ASSERT_EQ(::lstat((state_ + "/engine.sock").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U) << "nor opened";
}

}  // namespace
}  // namespace bot_bottle::driven
