// Public keys of devices, to begin end-to-end encrypted sessions with. A handle on a Pool, cheap to copy; any thread.
// Promises: a one-time prekey is given out at most once, whatever is repeated or in doubt. Keys are bytes here; whoever
// calls has checked them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"

namespace barid::storage {

class Pool;

class Keys {
 public:
  static constexpr std::int64_t kPrekeysPerDeviceMax = 1'000;  // what is beyond is not taken

  enum class Errc { not_live, other_identity };
  struct Prekey {
    std::uint32_t id = 0;
    std::string key;
  };
  struct Bundle {
    std::uint8_t version = 0;
    std::uint32_t registration = 0;
    std::string identity;
    std::uint32_t signed_prekey_id = 0;
    std::string signed_prekey, signature;
    std::optional<Prekey> prekey;
  };
  struct Status {
    std::uint32_t prekeys = 0, signed_prekey_id = 0;  // id 0: no keys
  };
  explicit Keys(Pool& pool) : pool_(&pool) {}

  // Repeating it changes nothing. A signed prekey older than the one here is not taken. other_identity: a device has
  // one identity for all its life. bundle.prekey is not looked at.
  Result<Status, Errc> upload(DeviceId device, const Bundle& bundle, const std::vector<Prekey>& prekeys, WallMs now);
  Status status(DeviceId device);

  struct Wanted {
    UserId user;
    std::vector<DeviceId> known;  // whose keys are not wanted
    bool prekey = true;           // with a one-time prekey, if one is left
  };
  struct Device {
    UserId user;
    DeviceId device;
    std::optional<Bundle> bundle;
  };
  // The live devices of those of the users who exist, grouped by user, at most `devices_max`.
  std::vector<Device> take(const std::vector<Wanted>& wanted, std::size_t devices_max);

  void forget_revoked();  // housekeeping

 private:
  Pool* pool_;
};

}  // namespace barid::storage
