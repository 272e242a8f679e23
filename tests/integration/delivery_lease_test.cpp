// Who owns a partition, against a real nats-server. The other worker is played by what it would write.
#include <gtest/gtest.h>

#include <map>
#include <mutex>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "broker/topology.h"
#include "tests/support/servers.h"
#include "workers/delivery/lease.h"

namespace barid::delivery {
namespace {

using nlohmann::json;

TEST(Leases, AWorkerThatWasFrozenTakesBackWhatAnotherOneHadMeanwhile) {
  test::PrivateNats nats;
  nats.start();
  Config config;
  config.nats.url = nats.url();
  config.worker.name = "worker-1";
  broker::Control control(config.nats, "test");
  broker::apply_topology(control, config.nats, MessagesConfig{});
  std::mutex mutex;
  std::map<Partition, Epoch> owned;  // as the owner knows it
  Lease lease(control, config, Incarnation(1), broker::Stage::delivery,
              {[](Partition partition, Epoch epoch) {
                 return "test.deliver." + std::to_string(partition.value) + "." + std::to_string(epoch.value);
               },
               [&](Partition partition, Epoch epoch) {
                 const std::lock_guard lock(mutex);
                 owned[partition] = epoch;
               },
               [&](Partition partition, Epoch epoch) {
                 const std::lock_guard lock(mutex);
                 if (const auto found = owned.find(partition); found != owned.end() && found->second == epoch)
                   owned.erase(found);
               }});
  const auto epoch_of = [&](Partition partition) {
    const std::lock_guard lock(mutex);
    return owned.contains(partition) ? owned[partition].value : 0;
  };
  const Partition partition(1);
  ASSERT_TRUE(test::wait_until([&] { return epoch_of(partition) != 0; }));
  const std::uint64_t before = epoch_of(partition);
  // While this one stood still, worker-2 took the partition over, and gave it back when this one was seen again.
  const json taken{{"worker", "worker-2"}, {"incarnation", hex_id(2)}, {"epoch", before + 1}, {"released", true}};
  control.put(broker::kOwnersBucket, broker::owner_key(partition), taken.dump());
  EXPECT_TRUE(test::wait_until([&] { return epoch_of(partition) == before + 2; })) << epoch_of(partition);
  const auto entry = control.get(broker::kOwnersBucket, broker::owner_key(partition));
  ASSERT_TRUE(entry.has_value());
  EXPECT_EQ(json::parse(entry->value).value("worker", ""), "worker-1");
}

}  // namespace
}  // namespace barid::delivery
