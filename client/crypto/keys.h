// SPDX-License-Identifier: GPL-3.0-or-later
// The words of end-to-end encryption, and what it needs to remember. Plain data; a KeyStore is owned by the client's
// store and used on its thread. Keys are 32 bytes without a type byte; records are opaque bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/id.h"

namespace barid::e2ee {

struct Device {
  UserId user;
  DeviceId device;
  auto operator<=>(const Device&) const = default;
};

struct Identity {
  std::string public_key, private_key;
  std::uint32_t registration = 0;
};

// A key pair that others begin sessions with. The record holds both halves.
struct Prekey {
  std::uint32_t id = 0;
  std::string public_key, record;
};
struct SignedPrekey {
  std::uint32_t id = 0;
  std::string public_key, signature, record;
};

// What the directory gives out of another device. Hostile until Sealer::start has looked at it.
struct Bundle {
  std::uint32_t registration = 0;
  std::string identity;
  std::uint32_t signed_prekey_id = 0;
  std::string signed_prekey, signature;
  std::uint32_t prekey_id = 0;
  std::string prekey;  // empty: none
};

enum class CipherType : std::uint8_t { prekey_message = 1, message = 2, sender_key_message = 3 };
struct Ciphertext {
  CipherType type = CipherType::message;
  std::string body;
};

// Every verb runs inside a transaction of the caller, and is undone with it. Implementations may throw: it passes
// through the Sealer.
class KeyStore {
 public:
  virtual ~KeyStore() = default;
  virtual Identity identity() = 0;  // our own
  virtual std::optional<std::string> session(Device with) = 0;
  virtual void put_session(Device with, std::string_view record) = 0;
  virtual std::optional<std::string> prekey(std::uint32_t id) = 0;
  virtual void drop_prekey(std::uint32_t id) = 0;
  virtual std::optional<std::string> signed_prekey(std::uint32_t id) = 0;
  virtual std::optional<std::string> sender_key(GroupId group, Device of) = 0;
  virtual void put_sender_key(GroupId group, Device of, std::string_view record) = 0;
  // A session with that device exists now, or something that it wrote was proved genuine.
  virtual void saw_identity(Device of, std::string_view key) = 0;
};

}  // namespace barid::e2ee
