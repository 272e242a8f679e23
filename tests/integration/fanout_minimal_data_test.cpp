// What the broker's files still hold of messages that are settled: a real edge, a real delivery worker, and a search
// through JetStream's block files. A device that stays away keeps its own letters, and so the block, there all the
// time.
#include <filesystem>

#include "tests/integration/edge_fixture.h"
#include "tests/support/process.h"

namespace barid::edge {
namespace {

using namespace std::chrono_literals;

constexpr UserId kAway{2}, kBack{4}, kSender{1};
constexpr DeviceId kAwayDevice{22}, kBackDevice{44}, kSenderDevice{11};

// Long enough that Cap'n Proto's packing leaves whole copies of it.
std::string marked(const std::string& marker) {
  std::string text;
  for (int i = 0; i < 40; ++i) text += marker;
  return text;
}

EdgeOptions options() {
  EdgeOptions options;
  options.worker_lines = "ack_deadline_s = 5";
  options.worker_roles = "delivery";
  return options;
}

class MinimalData : public testing::Test {
 protected:
  MinimalData() : edge_(options()), sender_(edge_.port()) { edge_.log_in(sender_, kSender, kSenderDevice); }
  void send(const std::string& text, UserId to, DeviceId device, std::uint32_t ttl_s = 0) {
    wire::Send message = edge_.message(++seq_, text, to, device);
    message.ttl_s = ttl_s;
    sender_.send(message);
    while (const auto frame = sender_.next()) {
      if (std::holds_alternative<wire::Accepted>(*frame)) return;
      if (!std::holds_alternative<wire::Receipt>(*frame)) break;
      sender_.send(wire::Ack{++receipts_});
    }
    ADD_FAILURE() << "not accepted";
  }
  // In streams whose name begins so.
  bool on_disk(const std::string& marker, const std::string& streams = "") {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(edge_.nats.store())) {
      if (entry.path().extension() != ".blk" || entry.path().string().find("/streams/" + streams) == std::string::npos)
        continue;
      if (test::read_file(entry.path()).find(marker) != std::string::npos) return true;
    }
    return false;
  }
  bool gone(const std::string& marker) {
    return test::wait_until([&] { return !on_disk(marker); }, 60s);
  }
  bool parked(const std::string& marker) {
    return test::wait_until([&] { return on_disk(marker, "INBOX_") && !on_disk(marker, "INGRESS_"); }, 30s);
  }

  EdgeProcess edge_;
  TestClient sender_;
  std::uint64_t seq_ = 0, receipts_ = 0;
};

TEST_F(MinimalData, ADrainedInboxLeavesNothingOfItsLettersInTheFiles) {
  send(marked("AwayMark"), kAway, kAwayDevice);
  send(marked("BackMark"), kBack, kBackDevice);
  ASSERT_TRUE(parked("AwayMark"));
  ASSERT_TRUE(parked("BackMark"));
  TestClient back(edge_.port());
  edge_.log_in(back, kBack, kBackDevice);
  EXPECT_EQ(back.expect<wire::Deliver>().content, marked("BackMark"));
  back.send(wire::Ack{1});
  EXPECT_TRUE(gone("BackMark"));
  EXPECT_TRUE(on_disk("AwayMark", "INBOX_"));
}

TEST_F(MinimalData, AnExpiredLetterLeavesNothingInTheFiles) {
  send(marked("AwayMark"), kAway, kAwayDevice);
  send(marked("OldsMark"), kBack, kBackDevice, 2);
  ASSERT_TRUE(parked("AwayMark"));
  // Its device never comes: the sweep finds it, and its sender is told.
  EXPECT_TRUE(gone("OldsMark"));
  EXPECT_TRUE(on_disk("AwayMark", "INBOX_"));
}

TEST_F(MinimalData, ALetterDeliveredAtOnceIsInNoFileSoonAfter) {
  send(marked("AwayMark"), kAway, kAwayDevice);
  TestClient back(edge_.port());
  edge_.log_in(back, kBack, kBackDevice);
  send(marked("LiveMark"), kBack, kBackDevice);
  EXPECT_EQ(back.expect<wire::Deliver>().content, marked("LiveMark"));
  back.send(wire::Ack{1});
  EXPECT_TRUE(gone("LiveMark"));
}

}  // namespace
}  // namespace barid::edge
