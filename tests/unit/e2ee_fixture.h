// Two devices' keys in memory, for tests of the sealer alone.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>

#include "base/crypto.h"
#include "client/crypto/sealer.h"

namespace barid::e2ee::test {

class MemoryKeys final : public KeyStore {
 public:
  Identity mine;
  std::map<Device, std::string> sessions, identities;
  std::map<std::uint32_t, std::string> prekeys, signed_prekeys;
  std::map<std::pair<GroupId, Device>, std::string> sender_keys;
  int throws_at = 0;  // the n-th write from now throws

  Identity identity() override { return mine; }
  std::optional<std::string> session(Device with) override { return find(sessions, with); }
  void put_session(Device with, std::string_view record) override { write(), sessions[with] = record; }
  std::optional<std::string> prekey(std::uint32_t id) override { return find(prekeys, id); }
  void drop_prekey(std::uint32_t id) override { write(), prekeys.erase(id); }
  std::optional<std::string> signed_prekey(std::uint32_t id) override { return find(signed_prekeys, id); }
  std::optional<std::string> sender_key(GroupId group, Device of) override {
    return find(sender_keys, std::pair(group, of));
  }
  void put_sender_key(GroupId group, Device of, std::string_view record) override {
    write(), sender_keys[{group, of}] = record;
  }
  void saw_identity(Device of, std::string_view key) override { write(), identities[of] = key; }

 private:
  template <class Map, class Key>
  static std::optional<std::string> find(const Map& map, const Key& key) {
    const auto at = map.find(key);
    return at == map.end() ? std::nullopt : std::optional(at->second);
  }
  void write() {
    if (throws_at > 0 && --throws_at == 0) throw std::runtime_error("disk full");
  }
};

// A device with an identity, a signed prekey and one-time prekeys 1 to 5.
struct Person {
  explicit Person(std::uint64_t n) : self{UserId(n), DeviceId(n * 10)} {
    keys.mine = sealer.make_identity();
    signed_prekey = sealer.make_signed_prekey(keys.mine, 1, 0);
    keys.signed_prekeys[1] = signed_prekey.record;
    for (auto& key : sealer.make_prekeys(1, 5)) keys.prekeys[key.id] = key.record, prekeys.push_back(key);
  }
  Bundle bundle(std::size_t prekey = 0) const {
    Bundle b{keys.mine.registration, keys.mine.public_key, 1, signed_prekey.public_key, signed_prekey.signature, 0, ""};
    if (prekey != 0) b.prekey_id = prekeys[prekey - 1].id, b.prekey = prekeys[prekey - 1].public_key;
    return b;
  }
  Ciphertext seal(const Person& to, std::string_view plain) { return sealer.seal(to.self, plain).value(); }
  Result<std::string, Errc> open(const Person& from, const Ciphertext& c) {
    return sealer.open(from.self, c.type, c.body);
  }
  MemoryKeys keys;
  Sealer sealer{keys};
  Device self;
  SignedPrekey signed_prekey;
  std::vector<Prekey> prekeys;
};

}  // namespace barid::e2ee::test
