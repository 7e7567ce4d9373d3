// The gate's one thread and its loop: what is told arrives in order and before the end, and an owner that goes waits
// for the work. Run under ThreadSanitizer too (./run threads).
#include "sidecar/git_gate/job.hpp"

#include <gtest/gtest.h>
#include <poll.h>

#include <optional>
#include <string>
#include <vector>

namespace bot_bottle::git_gate {
namespace {

TEST(Job, tells_its_lines_in_order_and_its_end_last_and_once) {
  net::Loop loop;
  std::vector<std::string> seen;
  const auto work = [](Job::Worker& worker) {
    for (int i = 0; i < 500; ++i) worker.tell(std::to_string(i));
  };
  std::optional<Job> job;
  job.emplace(
      loop, work, [&](const std::string& line) { seen.push_back(line); }, [&] { seen.push_back("done"); });
  while (seen.empty() || seen.back() != "done") loop.run_once();
  job.reset();
  loop.run();
  ASSERT_EQ(seen.size(), 501U);
  for (std::size_t i = 0; i < 500; ++i) EXPECT_EQ(seen[i], std::to_string(i));
}

TEST(Job, an_owner_that_goes_cancels_the_work_and_waits_for_it) {
  net::Loop loop;
  bool ended = false;  // read after the destructor joined: no other order is needed
  int calls = 0;
  {
    const Job job(
        loop,
        [&ended](Job::Worker& worker) {
          worker.tell("begun");
          pollfd wait{.fd = worker.cancel_fd(), .events = POLLIN, .revents = 0};
          while (!worker.is_cancelled()) ::poll(&wait, 1, 60'000);
          worker.tell("too late");
          ended = true;
        },
        [&](const std::string&) { ++calls; }, [&] { ++calls; });
  }
  EXPECT_TRUE(ended);
  loop.run();
  EXPECT_EQ(calls, 0) << "nobody is called after the owner has gone";
}

TEST(Job, many_at_once_end_each_for_itself) {
  net::Loop loop;
  int done = 0;
  std::vector<std::unique_ptr<Job>> jobs;
  for (int i = 0; i < 16; ++i)
    jobs.push_back(std::make_unique<Job>(
        loop, [](Job::Worker& worker) { worker.tell("line"); }, [](const std::string&) {}, [&done] { ++done; }));
  jobs[3]->cancel();
  while (done < 16) loop.run_once();
  jobs.clear();
  loop.run();
  EXPECT_EQ(done, 16);
}

}  // namespace
}  // namespace bot_bottle::git_gate
