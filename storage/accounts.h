// Users and their devices. A handle on a Pool, cheap to copy; any thread. Throws Unavailable when Postgres is
// away; a commit whose fate is unknown is looked up before anything is answered.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/id.h"
#include "base/result.h"

namespace barid::storage {

class Pool;

struct Device {
  DeviceId device;
  std::string name;
  WallMs created_at;
};
struct UserDevices {
  UserId user;
  std::string phone;              // E.164
  std::vector<DeviceId> devices;  // live ones
};

class Accounts {
 public:
  enum class Errc { code_spent, not_found };
  static constexpr int kIdAttempts = 5;  // a random 63-bit id that is taken is news; five in a row are a bug

  explicit Accounts(Pool& pool) : pool_(&pool) {}

  struct Claim {  // a code that was found right (Codes::spend_try)
    std::string phone, mac;
    crypto::PublicKey device_key;
    std::string device_name;
  };
  struct Registration {
    UserId user;
    DeviceId device;
    std::vector<DeviceId> revoked;  // earlier devices of the user
  };
  // Spends the code, creates the user if new, revokes the earlier devices and creates the new one: all or
  // nothing. The same claim again (its answer got lost) gives the same device. code_spent: somebody else was
  // faster, or the code has been replaced or has expired.
  Result<Registration, Errc> register_device(const Claim& claim, WallMs now);

  // Those of the numbers that have a live device, in no particular order.
  std::vector<UserDevices> find_by_phone(const std::vector<std::string>& phones);
  Result<UserDevices, Errc> devices_of(UserId user);  // not_found: no such user
  std::vector<Device> live_devices(UserId user);
  // not_found: the user has no such device. Revoking twice is fine.
  Result<void, Errc> revoke_device(UserId user, DeviceId device, WallMs now);

  std::optional<WallMs> revoked_at(DeviceId device);
  // Revoked at or after `since`, at most `most`, ordered by (time, device) and after that pair: for paging.
  struct Revoked {
    WallMs at;
    DeviceId device;
  };
  std::vector<Revoked> revoked_since(Revoked after, std::size_t most);

 private:
  Pool* pool_;
};

}  // namespace barid::storage
