// SPDX-License-Identifier: GPL-3.0-or-later
// Ciphertexts, sender keys, bundles and codes as another person's client, or the server, made them, and records as a
// damaged store gives them back. Input: one byte that says which, then the bytes.
#include <map>
#include <memory>

#include "base/crypto.h"
#include "client/crypto/sealer.h"
#include "fuzz.h"

namespace barid::fuzz {
namespace {

using namespace e2ee;

class Keys final : public KeyStore {
 public:
  Identity mine;
  std::map<Device, std::string> sessions;
  std::map<std::uint32_t, std::string> prekeys, signed_prekeys;
  std::map<std::pair<GroupId, Device>, std::string> sender_keys;
  Identity identity() override { return mine; }
  std::optional<std::string> session(Device with) override { return find(sessions, with); }
  void put_session(Device with, std::string_view record) override { sessions[with] = record; }
  std::optional<std::string> prekey(std::uint32_t id) override { return find(prekeys, id); }
  void drop_prekey(std::uint32_t id) override { prekeys.erase(id); }
  std::optional<std::string> signed_prekey(std::uint32_t id) override { return find(signed_prekeys, id); }
  std::optional<std::string> sender_key(GroupId group, Device of) override {
    return find(sender_keys, std::pair(group, of));
  }
  void put_sender_key(GroupId group, Device of, std::string_view record) override { sender_keys[{group, of}] = record; }
  void saw_identity(Device, std::string_view) override {}

 private:
  template <class Map, class Key>
  static std::optional<std::string> find(const Map& map, const Key& key) {
    const auto at = map.find(key);
    return at == map.end() ? std::nullopt : std::optional(at->second);
  }
};

// What there is to attack: Bob with a session with Alice, and valid bytes of each kind.
struct World {
  Keys alice_keys, bob_keys;
  Sealer alice{alice_keys}, bob{bob_keys};
  Device a{UserId(1), DeviceId(11)}, b{UserId(2), DeviceId(21)};
  GroupId group{7};
  std::vector<std::string> valid;
  std::string code;

  World() {
    crypto::init_crypto();
    alice_keys.mine = alice.make_identity(), bob_keys.mine = bob.make_identity();
    const auto signed_prekey = bob.make_signed_prekey(bob_keys.mine, 1, 0);
    const auto prekey = bob.make_prekeys(1, 1).front();
    bob_keys.signed_prekeys[1] = signed_prekey.record, bob_keys.prekeys[1] = prekey.record;
    const auto started = alice.start(
        b, {1, bob_keys.mine.public_key, 1, signed_prekey.public_key, signed_prekey.signature, 1, prekey.public_key});
    require(started.has_value(), "a session begins");
    const Ciphertext first = alice.seal(b, "hello").value();
    add(0, first.body);
    require(bob.open(a, first.type, first.body).has_value(), "the first message is read");
    const Ciphertext back = bob.seal(a, "hello back").value();
    require(alice.open(b, back.type, back.body).has_value(), "and the answer");
    add(1, alice.seal(b, "more").value().body);
    const std::string key = alice.distribution(group, a).value();
    add(3, key);
    require(bob.take_distribution(group, a, key).has_value(), "the sender key is taken");
    add(2, alice.seal_for_group(group, a, "to all").value().body);
    code = bob.safety_number(b.user, bob_keys.mine.public_key, a.user, alice_keys.mine.public_key).code;
    add(4, alice.safety_number(a.user, alice_keys.mine.public_key, b.user, bob_keys.mine.public_key).code);
    add(5, bob_keys.mine.public_key + signed_prekey.public_key + signed_prekey.signature + prekey.public_key);
    add(6, bob_keys.sessions.at(a));
    add(7, bob_keys.sender_keys.at({group, a}));
    add(8, signed_prekey.record);
  }
  void add(char kind, const std::string& bytes) { valid.push_back(std::string(1, kind) + bytes); }
};
World& world() {
  static World one;
  return one;
}

}  // namespace

std::vector<std::string> seeds() { return world().valid; }

void attack(int kind, const std::string& bytes) {
  World& w = world();
  const Keys before = w.bob_keys;
  switch (kind) {
    case 0:
      (void)w.bob.open(w.a, CipherType::prekey_message, bytes).has_value();
      break;
    case 1:
      (void)w.bob.open(w.a, CipherType::message, bytes).has_value();
      break;
    case 2:
      (void)w.bob.open_in_group(w.group, w.a, bytes).has_value();
      break;
    case 3:
      (void)w.bob.take_distribution(w.group, w.a, bytes).has_value();
      break;
    case 4:
      (void)w.bob.compare_code(w.code, bytes);
      break;
    case 5: {
      const auto part = [&](std::size_t from, std::size_t n) {
        return from > bytes.size() ? "" : bytes.substr(from, n);
      };
      (void)w.bob.start({UserId(9), DeviceId(91)}, {1, part(0, 32), 1, part(32, 32), part(64, 64), 1, part(128, 32)})
          .has_value();
      break;
    }
    case 6:
      w.bob_keys.sessions[w.a] = bytes;
      (void)w.bob.seal(w.a, "x").has_value();
      break;
    case 7:
      w.bob_keys.sender_keys[{w.group, w.a}] = bytes;
      (void)w.bob.open_in_group(w.group, w.a, w.valid.at(3).substr(1)).has_value();
      break;
    default:
      w.bob_keys.signed_prekeys[1] = bytes;
      w.bob_keys.sessions.clear();
      (void)w.bob.open(w.a, CipherType::prekey_message, w.valid.front().substr(1)).has_value();
  }
  w.bob_keys = before;
}

}  // namespace barid::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr int kKinds = 9;
  if (size == 0) return 0;
  barid::fuzz::attack(data[0] % kKinds, std::string(reinterpret_cast<const char*>(data) + 1, size - 1));
  return 0;
}
