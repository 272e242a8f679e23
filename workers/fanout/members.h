// Who is in a group at one place of its stream, and where their devices live. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/id.h"
#include "schemas/control.h"
#include "schemas/envelope.h"
#include "schemas/wire.h"

namespace barid::fanout {

using envelope::Recipient;

struct Route {
  Partition to;
  std::vector<Recipient> recipients;
};

class Members {
 public:
  struct Member {
    wire::GroupRole role = wire::GroupRole::member;
    std::vector<DeviceId> devices;
  };

  Members() = default;  // of a group that does not exist: nobody
  explicit Members(const control::GroupSnapshot& snapshot);

  std::uint64_t version() const { return version_; }
  bool contains(UserId user) const { return members_.contains(user); }
  bool may_send(UserId user) const;
  std::optional<UserId> user_of(DeviceId device) const;
  std::size_t devices() const { return devices_; }

  // The change that follows. False: it does not say all that there is to know, and nothing was changed.
  [[nodiscard]] bool apply(const wire::GroupEvent& event);

  // Every device, by the partition of its user. Valid until the next apply().
  const std::vector<Route>& routes(std::uint16_t partitions) const;
  // … and those of the members that only `before` knows, too.
  std::vector<Route> routes_with(const Members& before, std::uint16_t partitions) const;

 private:
  void set_devices(const wire::GroupEvent& event);
  void count();
  void add_routes(std::vector<Route>& routes, const Members* unless_in, std::uint16_t partitions) const;

  std::uint64_t version_ = 0;
  bool only_admins_send_ = false;
  std::unordered_map<UserId, Member> members_;
  std::size_t devices_ = 0;
  mutable std::vector<Route> routes_;  // made when first asked for
  mutable std::vector<std::pair<DeviceId, UserId>> by_device_;
};

}  // namespace barid::fanout
