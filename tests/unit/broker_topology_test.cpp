#include "broker/topology.h"

#include <gtest/gtest.h>

#include "broker/ack_subject.h"
#include "broker/control.h"

namespace barid::broker {
namespace {

TEST(Topology, TheStagesShareBucketsAndNeverTakeEachOthersKeys) {
  EXPECT_EQ(owner_key(Partition(3)), "p3");
  EXPECT_EQ(owner_key(Partition(3), Stage::fanout), "g3");
  EXPECT_TRUE(is_owner_key("g3", Stage::fanout));
  EXPECT_FALSE(is_owner_key("g3", Stage::delivery));
  EXPECT_EQ(partition_of_owner_key("p3"), Partition(3));
  EXPECT_EQ(partition_of_owner_key("g12"), Partition(12));
  for (const char* wrong : {"", "p", "x3", "p3x", "g-1"}) EXPECT_THROW(partition_of_owner_key(wrong), Error) << wrong;
  EXPECT_EQ(consumer_name(Partition(3), Epoch(17)), "p3-e17");
  EXPECT_EQ(consumer_name(Partition(3), Epoch(17), Stage::fanout), "g3-e17");
  EXPECT_FALSE(consumer_name(Partition(31), Epoch(1)).starts_with(consumer_prefix(Partition(3), Stage::delivery)));
  EXPECT_EQ(source_subject(Partition(3), Stage::delivery), ingress_subject(Partition(3)));
  EXPECT_EQ(source_subject(Partition(3), Stage::fanout), fanout_subject(Partition(3)));
}

TEST(Topology, AWorkersSignOfLifeCountsForItsStageOnly) {
  for (const Stage stage : {Stage::delivery, Stage::fanout}) {
    const std::string key = worker_key("worker-1", stage);
    const Stage other = stage == Stage::fanout ? Stage::delivery : Stage::fanout;
    EXPECT_EQ(worker_of_key(key, stage), "worker-1");
    EXPECT_FALSE(worker_of_key(key, other).has_value());
  }
}

TEST(AckSubject, SaysWhichMessageItIsWithAndWithoutADomain) {
  for (const char* subject : {"$JS.ACK.FANOUT.g1-e2.1.75.12.1700000000000000000.3",
                              "$JS.ACK.hub.account.FANOUT.g1-e2.1.75.12.1700000000000000000.3.token"}) {
    const AckMeta meta = read_ack_subject(subject);
    EXPECT_EQ(meta.delivered, 1U);
    EXPECT_EQ(meta.stream_seq, 75U);
    EXPECT_EQ(meta.consumer_seq, 12U);
    EXPECT_EQ(meta.stored_ns, 1'700'000'000'000'000'000U);
  }
  EXPECT_EQ(read_ack_subject("").stream_seq, 0U);
}

}  // namespace
}  // namespace barid::broker
