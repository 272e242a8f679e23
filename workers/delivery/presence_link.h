// The Presence of one partition with its way to edges and to the directory. Belongs to its Owned, on the owner's loop.
#pragma once

#include <memory>

#include "base/config.h"
#include "broker/nats_link.h"
#include "workers/delivery/edges.h"
#include "workers/delivery/presence.h"

namespace barid::delivery {

class PresenceLink final : public PresencePort {
 public:
  PresenceLink(Partition partition, Epoch epoch, const Config& config, const Directory& directory,
               broker::NatsLink& link, Edges& edges);
  ~PresenceLink() override;  // what users were last seen is reported
  PresenceLink(const PresenceLink&) = delete;
  PresenceLink& operator=(const PresenceLink&) = delete;

  Presence& core() { return core_; }
  const Presence& core() const { return core_; }

 private:
  void tell(EdgeRef edge, ConnId conn, const wire::PresenceEntry& entry) override;
  void ask_rights(std::uint64_t ask, const std::vector<control::PresencePair>& pairs) override;
  void ask_members(GroupId group) override;
  void write_last_seen(const std::vector<control::LastSeen>& seen) override;

  Partition partition_;
  Epoch epoch_;
  broker::NatsLink& link_;
  Edges& edges_;
  Presence core_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // replies that come after our end are dropped
};

}  // namespace barid::delivery
