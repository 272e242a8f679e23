// The promise, on real text and the real stack: every entry of Debian's fortunes and a multilingual text, from Alice to
// Bob, while Bob comes and goes and the worker and the edge are killed (-9) several times.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <sstream>

#include "base/log.h"
#include "tests/faults/device.h"

namespace barid {
namespace {

using namespace std::chrono_literals;
using client::State;

constexpr std::size_t kWrittenTogether = 400;  // messages that Alice writes between two looks at the world
constexpr int kKillsOfEach = 4;

std::vector<std::string> fortunes() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator("/usr/share/games/fortunes"))
    if (entry.is_regular_file() && entry.path().extension().empty()) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::vector<std::string> texts;
  for (const auto& file : files) {
    std::istringstream lines(test::read_file(file));
    std::string text, line;
    while (std::getline(lines, line)) {
      if (line != "%") {
        text += line + "\n";
        continue;
      }
      if (!text.empty()) texts.push_back(std::exchange(text, {}));
    }
    if (!text.empty()) texts.push_back(text);
  }
  return texts;
}

std::vector<std::string> lines_of(const std::string& path) {
  std::istringstream in(test::read_file(path));
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

TEST(Fortunes, ReachBobOnceInOrderByteForByteWhileEverythingIsKilled) {
  crypto::init_crypto();
  auto texts = fortunes();
  ASSERT_GT(texts.size(), 10'000U) << "Debian's fortunes are missing";
  const auto multilingual = lines_of(std::string(BARID_ROOT) + "/tests/data/multilingual.txt");
  ASSERT_GT(multilingual.size(), 40U);
  texts.insert(texts.begin(), multilingual.begin(), multilingual.end());

  test::Stack stack({{"edge", "sends_per_device", "{ per_second = 5000, burst = 2000 }"}});
  const test::TempDir dir;
  test::Device alice(stack, dir.file("alice"), "+4915112340001"), bob(stack, dir.file("bob"), "+4915112340002");
  const auto to_bob = alice.store().ensure_phone("+4915112340002");
  alice.go_online();

  const unsigned seed =
      std::getenv("BARID_SEED") ? static_cast<unsigned>(atoi(std::getenv("BARID_SEED"))) : std::random_device()();
  SCOPED_TRACE("BARID_SEED=" + std::to_string(seed));
  std::mt19937 random(seed);
  const std::size_t rounds = (texts.size() + kWrittenTogether - 1) / kWrittenTogether;
  const std::size_t kill_every = std::max<std::size_t>(1, rounds / (2 * kKillsOfEach));
  std::size_t written = 0;
  int kills_of_worker = 0, kills_of_edge = 0, comings = 0;
  for (std::size_t round = 0; round < rounds; ++round) {
    {
      client::Scope together(alice.store());
      for (std::size_t i = 0; i < kWrittenTogether && written < texts.size(); ++i, ++written)
        alice.store().enqueue(to_bob.id, test::text_content(texts[written]), wall_now());
      together.commit();
    }
    alice.wrote();
    if (random() % 2 == 0) {
      if (bob.online())
        bob.go_offline();
      else
        bob.go_online(), ++comings;
    }
    if (round % kill_every == kill_every - 1) {
      const bool worker = (round / kill_every) % 2 == 0;
      stack.kill(worker ? "worker" : "edge");
      ++(worker ? kills_of_worker : kills_of_edge);
    }
    // Let a random part of what is under way happen: some rounds end in the middle of everything.
    const std::size_t enough = written - std::min<std::size_t>(written, random() % (2 * kWrittenTogether));
    const TimePoint latest = steady_now() + 3s;
    while (steady_now() < latest) {
      alice.turn(2ms);
      bob.turn(2ms);
      const auto outbox = alice.store().outbox(1);
      if (outbox.empty() || static_cast<std::size_t>(outbox.front().seq) > enough || !bob.online()) break;
    }
  }
  EXPECT_GE(kills_of_worker, 3);
  EXPECT_GE(kills_of_edge, 3);
  if (!bob.online()) bob.go_online(), ++comings;
  const TimePoint latest = steady_now() + 240s;
  while (!alice.store().outbox(1).empty() && steady_now() < latest) {
    alice.turn(5ms);
    bob.turn(5ms);
  }
  const auto left = alice.store().outbox(5);
  ASSERT_TRUE(left.empty()) << "no receipt for " << left.front().seq << ", state " << name_of(left.front().state);

  const auto sent = alice.store().history(to_bob.id, texts.size() + 1);
  ASSERT_EQ(sent.size(), texts.size());
  for (const auto& message : sent) ASSERT_EQ(message.state, State::delivered) << message.seq;
  const auto peers = bob.store().peers();
  const auto from_alice = bob.store().find_peer("user:" + hex_id(alice.store().account().user.value));
  ASSERT_TRUE(from_alice.has_value());
  const auto got = bob.store().history(from_alice->id, texts.size() + 1);
  ASSERT_EQ(got.size(), texts.size()) << "lost or doubled";
  for (std::size_t i = 0; i < got.size(); ++i)
    ASSERT_EQ(got[i].content, test::text_content(texts[i])) << "message " << i << " of " << texts.size();
  std::printf("%zu texts, worker killed %d times, edge %d times, Bob came %d times\n", texts.size(), kills_of_worker,
              kills_of_edge, comings);
}

}  // namespace
}  // namespace barid
