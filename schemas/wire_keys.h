// Requests and responses about the public keys of end-to-end encryption. Part of wire.h; plain data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/id.h"
#include "schemas/wire_group.h"

namespace barid::wire {

inline constexpr std::uint8_t kKeysVersion = 1;  // X3DH and Double Ratchet, Curve25519

struct Prekey {
  std::uint32_t id = 0;
  std::string key;  // 32 bytes, as all keys here
};
struct UploadKeys {
  std::uint8_t version = kKeysVersion;
  std::uint32_t registration = 0;
  std::string identity;
  std::uint32_t signed_prekey_id = 0;
  std::string signed_prekey, signature;  // XEdDSA by the identity key, of the key with its type byte (5) before it
  std::vector<Prekey> prekeys;           // one-time; ids that are not above all before are ignored
};
struct KeysWanted {
  UserId user;
  std::vector<DeviceId> known;  // whose keys are not wanted
};
struct KeysOf {
  std::vector<KeysWanted> users;
};
struct GetKeyStatus {};

struct DeviceKeys {
  Address address;
  std::uint8_t version = 0;  // 0: no keys, as the device is known or has none
  std::uint32_t registration = 0;
  std::string identity;
  std::uint32_t signed_prekey_id = 0;
  std::string signed_prekey, signature;
  std::uint32_t prekey_id = 0;
  std::string prekey;  // empty: none is left
};
struct UserKeys {
  UserId user;
  std::vector<DeviceKeys> devices;  // all live ones
};
struct Keys {
  std::vector<UserKeys> users;
};
struct KeyStatus {
  std::uint32_t prekeys = 0;           // one-time ones that are left
  std::uint32_t signed_prekey_id = 0;  // 0: the server has no keys of this device
};

}  // namespace barid::wire
