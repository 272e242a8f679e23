// The public keys of devices: what is checked, and that each one-time prekey goes to one asker only.
#include <atomic>
#include <set>
#include <thread>

#include "tests/integration/directory_harness.h"

namespace barid::directory {
namespace {

using wire::Code;

std::string unhex(const std::string& hex) {
  std::string raw;
  if (!crypto::from_hex(hex, raw)) throw std::runtime_error("not hex");
  return raw;
}

// Made by libsignal: an identity key, and a signature by it of a signed prekey with its type byte.
const std::string kIdentity = unhex("0faafc77c48f31aa971bd7b4a5bff2751c9776431e57036d5efb1d2006dee115");
const std::string kSignedPrekey = unhex("8cbecbd3e8ce86bdb494db793c92f85267ab0208d6181eac17f2034b64b3b559");
const std::string kSignature = unhex(
    "017f8f444c2268e8746d2895d7205825a48887aaad6c746d1058a3ababcfcd52"
    "36c002301a13c9c6f0eef56da8d456c3621acf62f98fe76597a8b230b4e96f8a");

std::string sound_key(int n) {
  return std::string(1, static_cast<char>(9 + n % 100)) + std::string(30, '\x21') + '\x11';
}

class KeysTest : public DirectoryTest {
 protected:
  void SetUp() override {
    DirectoryTest::SetUp();
    alice = register_phone("+4915123456780");
    bob = register_phone("+4915123456781");
  }
  static wire::UploadKeys keys(std::uint32_t first, std::uint32_t count) {
    wire::UploadKeys k{wire::kKeysVersion, 77, kIdentity, 1, kSignedPrekey, kSignature, {}};
    for (std::uint32_t i = 0; i < count; ++i) k.prekeys.push_back({first + i, sound_key(static_cast<int>(first + i))});
    return k;
  }
  control::DirectoryCall by(const wire::Registered& who, decltype(wire::Request::body) body) {
    return call(std::move(body), who.user, who.device);
  }
  wire::DeviceKeys bundle_of(const wire::Registered& whose, const wire::Registered& asker) {
    const auto found = ask<wire::Keys>(by(asker, wire::KeysOf{{{whose.user, {}}}})).users;
    return found.at(0).devices.at(0);
  }
  wire::Registered alice, bob;
};

TEST_F(KeysTest, AreGivenOutAsTheyWereUploadedAndEachOneTimeKeyOnce) {
  const auto status = ask<wire::KeyStatus>(by(bob, keys(1, 2)));
  EXPECT_EQ(status.prekeys, 2U);
  EXPECT_EQ(status.signed_prekey_id, 1U);
  const auto first = bundle_of(bob, alice), second = bundle_of(bob, alice), last = bundle_of(bob, alice);
  EXPECT_EQ(first.address.device, bob.device);
  EXPECT_EQ(first.identity, kIdentity);
  EXPECT_EQ(first.signature, kSignature);
  EXPECT_EQ(first.prekey_id, 1U);
  EXPECT_EQ(second.prekey_id, 2U);
  EXPECT_EQ(last.prekey, "");  // none is left: a bundle all the same
  EXPECT_EQ(last.signed_prekey, kSignedPrekey);
  EXPECT_EQ(ask<wire::KeyStatus>(by(bob, wire::GetKeyStatus{})).prekeys, 0U);
}

TEST_F(KeysTest, ARepeatedUploadBringsNoKeyBackThatWasGivenOut) {
  ask<wire::KeyStatus>(by(bob, keys(1, 3)));
  EXPECT_EQ(bundle_of(bob, alice).prekey_id, 1U);
  EXPECT_EQ(ask<wire::KeyStatus>(by(bob, keys(1, 3))).prekeys, 2U);
  EXPECT_EQ(bundle_of(bob, alice).prekey_id, 2U);
  EXPECT_EQ(ask<wire::KeyStatus>(by(bob, keys(3, 3))).prekeys, 3U);  // 3 is there, 4 and 5 are new
}

TEST_F(KeysTest, ManyAskersAtOnceNeverGetTheSameOneTimeKey) {
  constexpr int kThreads = 8, kEach = 20;
  ask<wire::KeyStatus>(by(bob, keys(1, 100)));
  std::vector<wire::Registered> askers;
  for (int i = 0; i < kThreads; ++i) askers.push_back(register_phone("+49151300000" + std::to_string(10 + i)));
  std::mutex mutex;
  std::multiset<std::uint32_t> given;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        const auto answer = directory->answer(by(askers[static_cast<std::size_t>(t)], wire::KeysOf{{{bob.user, {}}}}));
        const auto* found = std::get_if<wire::Keys>(&answer.body);
        ASSERT_NE(found, nullptr);
        const auto& device = found->users.at(0).devices.at(0);
        const std::lock_guard lock(mutex);
        if (!device.prekey.empty()) given.insert(device.prekey_id);
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(std::set<std::uint32_t>(given.begin(), given.end()).size(), given.size());
  EXPECT_EQ(given.size(), static_cast<std::size_t>(kThreads * kPrekeysPerPair.burst));  // and each got his share
}

TEST_F(KeysTest, OneAskerCannotUseUpAnothersKeysButIsNotKeptFromWriting) {
  ask<wire::KeyStatus>(by(bob, keys(1, 100)));
  for (int i = 0; i < kPrekeysPerPair.burst; ++i) EXPECT_NE(bundle_of(bob, alice).prekey, "") << i;
  EXPECT_EQ(bundle_of(bob, alice).prekey, "");
  EXPECT_EQ(bundle_of(bob, alice).signed_prekey, kSignedPrekey);
  EXPECT_EQ(ask<wire::KeyStatus>(by(bob, wire::GetKeyStatus{})).prekeys, 100U - 10U);
  now.value += 3'600'000;
  EXPECT_NE(bundle_of(bob, alice).prekey, "");
}

TEST_F(KeysTest, WhoAsksWithoutEndIsTurnedAway) {
  for (int i = 0; i < kKeyCallsPerDevice.burst; ++i) bundle_of(bob, alice);
  const auto error = refusal(by(alice, wire::KeysOf{{{bob.user, {}}}}));
  EXPECT_EQ(error.code, Code::rate_limited);
  EXPECT_GT(error.retry_after_ms, 0U);
}

TEST_F(KeysTest, ForgedSignaturesAndKeysOfLowOrderAreRefused) {
  const auto refused = [&](auto change) {
    wire::UploadKeys k = keys(1, 1);
    change(k);
    return refusal(by(bob, k)).code;
  };
  EXPECT_EQ(refused([](auto& k) { k.signature[5] ^= 1; }), Code::invalid_argument);
  EXPECT_EQ(refused([](auto& k) { k.signed_prekey = sound_key(1); }), Code::invalid_argument);
  EXPECT_EQ(refused([](auto& k) { k.identity = sound_key(1); }), Code::invalid_argument);
  EXPECT_EQ(refused([](auto& k) { k.version = 2; }), Code::invalid_argument);
  EXPECT_EQ(refused([](auto& k) { k.prekeys[0].id = 0; }), Code::invalid_argument);
  const std::string zero(32, '\0'), one = '\1' + std::string(31, '\0');
  for (const std::string& low : {zero, one}) {
    EXPECT_EQ(refused([&](auto& k) { k.identity = low; }), Code::invalid_argument);
    EXPECT_EQ(refused([&](auto& k) { k.signed_prekey = low; }), Code::invalid_argument);
    EXPECT_EQ(refused([&](auto& k) { k.prekeys[0].key = low; }), Code::invalid_argument);
  }
  EXPECT_EQ(ask<wire::KeyStatus>(by(bob, wire::GetKeyStatus{})).signed_prekey_id, 0U);
}

TEST_F(KeysTest, KnownDevicesCostNoKeyAndDevicesWithoutKeysAreListed) {
  const auto none = bundle_of(bob, alice);
  EXPECT_EQ(none.version, 0U);
  EXPECT_EQ(none.address.device, bob.device);
  ask<wire::KeyStatus>(by(bob, keys(1, 2)));
  const auto known = ask<wire::Keys>(by(alice, wire::KeysOf{{{bob.user, {bob.device}}}})).users.at(0).devices.at(0);
  EXPECT_EQ(known.version, 0U);
  EXPECT_EQ(ask<wire::KeyStatus>(by(bob, wire::GetKeyStatus{})).prekeys, 2U);
  EXPECT_TRUE(ask<wire::Keys>(by(alice, wire::KeysOf{{{UserId(404), {}}}})).users.at(0).devices.empty());
}

TEST_F(KeysTest, ANewDeviceStartsWithoutKeysAndTheOldOneIsGone) {
  ask<wire::KeyStatus>(by(bob, keys(1, 2)));
  now.value += 120'000;  // another code may be sent
  const auto again = register_phone("+4915123456781");
  EXPECT_EQ(refusal(by(bob, keys(3, 1))).code, Code::not_found);
  const auto found = bundle_of(again, alice);
  EXPECT_EQ(found.address.device, again.device);
  EXPECT_EQ(found.version, 0U);
}

}  // namespace
}  // namespace barid::directory
