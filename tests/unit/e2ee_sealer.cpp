// The sealer against itself: sessions, what may be lost, repeated or out of order, and everything that is forged.
#include <signal/curve.h>

#include <algorithm>
#include <random>

#include "client/crypto/padding.h"
#include "client/crypto/provider.h"
#include "tests/unit/e2ee_fixture.h"

namespace barid::e2ee::test {
namespace {

class SealerTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(alice.sealer.start(bob.self, bob.bundle(1))); }
  // Both have heard of each other: no prekey messages any more.
  void settle() {
    ASSERT_EQ(bob.open(alice, alice.seal(bob, "hello")).value(), "hello");
    ASSERT_EQ(alice.open(bob, bob.seal(alice, "hello back")).value(), "hello back");
  }
  Person alice{1}, bob{2};
  GroupId choir{77};
};

TEST(Library, ItsOwnTestsOfTheCurvePass) { EXPECT_EQ(curve_internal_fast_tests(1), 0); }

TEST_F(SealerTest, AFirstMessageBeginsTheSessionAndUsesUpTheOneTimePrekey) {
  const Ciphertext first = alice.seal(bob, "hello");
  EXPECT_EQ(first.type, CipherType::prekey_message);
  EXPECT_EQ(first.body.find("hello"), std::string::npos);
  EXPECT_EQ(bob.open(alice, first).value(), "hello");
  EXPECT_EQ(bob.keys.prekeys.count(1), 0U);
  EXPECT_EQ(bob.keys.identities.at(alice.self), alice.keys.mine.public_key);
  EXPECT_EQ(alice.keys.identities.at(bob.self), bob.keys.mine.public_key);
  const Ciphertext answer = bob.seal(alice, "hello back");
  EXPECT_EQ(answer.type, CipherType::message);
  EXPECT_EQ(alice.open(bob, answer).value(), "hello back");
  EXPECT_EQ(alice.seal(bob, "x").type, CipherType::message);
}

TEST_F(SealerTest, WithoutAOneTimePrekeyItWorksAllTheSame) {
  Person carol(3);
  ASSERT_TRUE(carol.sealer.start(bob.self, bob.bundle()));
  EXPECT_EQ(bob.open(carol, carol.seal(bob, "hello")).value(), "hello");
}

TEST_F(SealerTest, BothMayBeginAtOnce) {
  ASSERT_TRUE(bob.sealer.start(alice.self, alice.bundle(1)));
  const Ciphertext a = alice.seal(bob, "from alice"), b = bob.seal(alice, "from bob");
  EXPECT_EQ(bob.open(alice, a).value(), "from alice");
  EXPECT_EQ(alice.open(bob, b).value(), "from bob");
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(bob.open(alice, alice.seal(bob, "a" + std::to_string(i))).value(), "a" + std::to_string(i));
    EXPECT_EQ(alice.open(bob, bob.seal(alice, "b" + std::to_string(i))).value(), "b" + std::to_string(i));
  }
}

TEST_F(SealerTest, AReplayedMessageIsADuplicate) {
  settle();
  const Ciphertext c = alice.seal(bob, "once");
  EXPECT_EQ(bob.open(alice, c).value(), "once");
  EXPECT_EQ(bob.open(alice, c).error(), Errc::duplicate);
}

TEST_F(SealerTest, ManySeedsOfLossDuplicatesAndReorderingGiveEachMessageAtMostOnceAndUnaltered) {
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    Person a(100 + seed), b(200 + seed);
    ASSERT_TRUE(a.sealer.start(b.self, b.bundle(1)));
    struct Flying {
      Person *from, *to;
      std::string plain;
      Ciphertext sealed;
    };
    std::vector<Flying> air;
    std::map<std::string, int> arrived;
    int sent = 0;
    for (int step = 0; step < 200; ++step) {
      const bool from_a = random() % 2 == 0 || b.keys.sessions.count(a.self) == 0;
      Person &from = from_a ? a : b, &to = from_a ? b : a;
      if (air.size() < 40 && random() % 2 == 0) {
        const std::string plain =
            std::to_string(seed) + "/" + std::to_string(sent++) + std::string(random() % 300, 'x');
        air.push_back({&from, &to, plain, from.seal(to, plain)});
      } else if (!air.empty()) {
        const std::size_t i = random() % std::min<std::size_t>(air.size(), 6);  // a ratchet keeps five chains
        const Flying f = air[i];
        if (random() % 5 != 0) air.erase(air.begin() + static_cast<std::ptrdiff_t>(i));  // else it comes again
        if (random() % 8 == 0) continue;                                                 // lost
        const auto got = f.to->open(*f.from, f.sealed);
        if (!got) {
          EXPECT_EQ(arrived[f.plain], 1) << "seed " << seed;  // a duplicate, perhaps of a chain that is gone
          continue;
        }
        EXPECT_EQ(*got, f.plain) << "seed " << seed;
        EXPECT_EQ(++arrived[f.plain], 1) << "seed " << seed;
      }
    }
    EXPECT_GT(arrived.size(), 20U);
  }
}

TEST_F(SealerTest, ForgedBundlesBeginNothing) {
  Person carol(3);
  const auto refused = [&](auto change) {
    Bundle b = bob.bundle(2);
    change(b);
    const auto done = carol.sealer.start(bob.self, b);
    EXPECT_TRUE(carol.keys.sessions.empty());
    EXPECT_TRUE(carol.keys.identities.empty());
    return done ? Errc::too_large : done.error();
  };
  EXPECT_EQ(refused([](Bundle& b) { b.signature[7] ^= 1; }), Errc::bad_signature);
  EXPECT_EQ(refused([](Bundle& b) { b.signature.clear(); }), Errc::bad_signature);
  EXPECT_EQ(refused([&](Bundle& b) { b.identity = alice.keys.mine.public_key; }), Errc::bad_signature);
  EXPECT_EQ(refused([&](Bundle& b) { b.signed_prekey = alice.signed_prekey.public_key; }), Errc::bad_signature);
  for (const std::string& low :
       {std::string(32, '\0'), '\1' + std::string(31, '\0'), '\xec' + std::string(30, '\xff') + '\x7f'}) {
    EXPECT_EQ(refused([&](Bundle& b) { b.identity = low; }), Errc::bad_key);
    EXPECT_EQ(refused([&](Bundle& b) { b.signed_prekey = low; }), Errc::bad_key);
    EXPECT_EQ(refused([&](Bundle& b) { b.prekey = low; }), Errc::bad_key);
  }
  EXPECT_EQ(refused([](Bundle& b) { b.identity.pop_back(); }), Errc::bad_key);
}

TEST_F(SealerTest, AnyAlteredBitAndAnyCutIsRefusedAndDoesNoHarm) {
  for (const bool first : {true, false}) {
    if (!first) settle();
    const Ciphertext good = alice.seal(bob, "precious");
    const MemoryKeys before = bob.keys;
    std::size_t harmless = 0;
    for (std::size_t i = 0; i < good.body.size(); ++i) {
      Ciphertext bad = good;
      bad.body[i] = static_cast<char>(bad.body[i] ^ (1 << i % 8));
      if (const auto opened = bob.open(alice, bad)) {  // a prekey message says some things that nobody needs
        ++harmless;
        EXPECT_EQ(*opened, "precious") << i;
      }
      bob.keys = before;
      EXPECT_FALSE(bob.open(alice, {good.type, good.body.substr(0, i)})) << i;
      bob.keys = before;
    }
    EXPECT_LE(harmless, first ? 8U : 0U);
    EXPECT_EQ(bob.open(alice, good).value(), "precious");
  }
}

TEST_F(SealerTest, AForgedFirstMessageLeavesNoIdentity) {
  Ciphertext forged = alice.seal(bob, "hello");
  forged.body[forged.body.size() - 16] ^= 1;  // in the MAC or what it covers
  EXPECT_FALSE(bob.open(alice, forged));
  EXPECT_TRUE(bob.keys.identities.empty());
  EXPECT_TRUE(bob.keys.sessions.empty());
  EXPECT_EQ(bob.keys.prekeys.count(1), 1U);
}

TEST_F(SealerTest, RatchetKeysOfLowOrderAreRefused) {
  settle();
  Ciphertext c = alice.seal(bob, "x");
  // version, then field 1: the ratchet key with its type byte
  ASSERT_EQ(c.body.substr(1, 3), (std::string{'\x0a', '\x21', '\x05'}));
  std::fill_n(c.body.begin() + 4, 32, '\0');
  EXPECT_EQ(bob.open(alice, c).error(), Errc::bad_key);
}

TEST_F(SealerTest, AMessageOfAnotherSessionIsNotOurs) {
  Person carol(3);
  ASSERT_TRUE(carol.sealer.start(bob.self, bob.bundle(2)));
  const Ciphertext c = carol.seal(bob, "hello");
  EXPECT_EQ(bob.open(carol, c).value(), "hello");
  EXPECT_FALSE(alice.open(carol, c));                                               // not for her
  EXPECT_EQ(alice.open(bob, {CipherType::message, "x"}).error(), Errc::malformed);  // not anything
  Person dora(4);
  EXPECT_EQ(dora.sealer.seal(bob.self, "x").error(), Errc::no_session);
}

TEST_F(SealerTest, AFreshSessionReplacesABrokenOneAndTheOldOneStillOpensWhatIsUnderWay) {
  settle();
  const Ciphertext late = alice.seal(bob, "late");
  ASSERT_TRUE(alice.sealer.start(bob.self, bob.bundle(2)));
  EXPECT_EQ(bob.open(alice, alice.seal(bob, "fresh")).value(), "fresh");
  EXPECT_EQ(bob.open(alice, late).value(), "late");
}

TEST_F(SealerTest, AChangedIdentityIsReported) {
  settle();
  Person other(1);  // the same user and device, so it claims
  ASSERT_TRUE(other.sealer.start(bob.self, bob.bundle(2)));
  EXPECT_EQ(bob.open(other, other.seal(bob, "it is me")).value(), "it is me");
  EXPECT_EQ(bob.keys.identities.at(alice.self), other.keys.mine.public_key);
}

TEST_F(SealerTest, AStoreThatFailsIsHeardOf) {
  const Ciphertext c = alice.seal(bob, "hello");
  bob.keys.throws_at = 1;
  EXPECT_THROW(bob.open(alice, c).value(), std::runtime_error);
  EXPECT_EQ(bob.open(alice, c).value(), "hello");
}

TEST_F(SealerTest, AGroupReadsOneCiphertextAndWhoComesLaterReadsFromThereOn) {
  Person carol(3);
  const std::string key = alice.sealer.distribution(choir, alice.self).value();
  ASSERT_TRUE(bob.sealer.take_distribution(choir, alice.self, key));
  const Ciphertext early = alice.sealer.seal_for_group(choir, alice.self, "early").value();
  const std::string later_key = alice.sealer.distribution(choir, alice.self).value();
  ASSERT_TRUE(carol.sealer.take_distribution(choir, alice.self, later_key));
  const Ciphertext late = alice.sealer.seal_for_group(choir, alice.self, "late").value();
  EXPECT_EQ(bob.sealer.open_in_group(choir, alice.self, late.body).value(), "late");  // out of order
  EXPECT_EQ(bob.sealer.open_in_group(choir, alice.self, early.body).value(), "early");
  EXPECT_EQ(bob.sealer.open_in_group(choir, alice.self, early.body).error(), Errc::duplicate);
  EXPECT_EQ(carol.sealer.open_in_group(choir, alice.self, late.body).value(), "late");
  EXPECT_FALSE(carol.sealer.open_in_group(choir, alice.self, early.body));
  EXPECT_EQ(bob.sealer.open_in_group(GroupId(78), alice.self, late.body).error(), Errc::no_session);
  EXPECT_EQ(bob.sealer.open_in_group(choir, carol.self, late.body).error(), Errc::no_session);
}

TEST_F(SealerTest, AfterANewSenderKeyWhoHasTheOldOneReadsNothing) {
  Person carol(3);
  for (Person* p : {&bob, &carol})
    ASSERT_TRUE(p->sealer.take_distribution(choir, alice.self, alice.sealer.distribution(choir, alice.self).value()));
  alice.keys.sender_keys.clear();  // carol has left
  const std::string key = alice.sealer.distribution(choir, alice.self).value();
  ASSERT_TRUE(bob.sealer.take_distribution(choir, alice.self, key));
  const Ciphertext c = alice.sealer.seal_for_group(choir, alice.self, "without carol").value();
  EXPECT_EQ(bob.sealer.open_in_group(choir, alice.self, c.body).value(), "without carol");
  EXPECT_FALSE(carol.sealer.open_in_group(choir, alice.self, c.body));
}

TEST_F(SealerTest, AMemberCannotWriteInAnothersName) {
  ASSERT_TRUE(bob.sealer.take_distribution(choir, alice.self, alice.sealer.distribution(choir, alice.self).value()));
  const Ciphertext c = alice.sealer.seal_for_group(choir, alice.self, "I, Alice").value();
  std::string forged = c.body;
  forged[forged.size() / 2] ^= 1;
  EXPECT_FALSE(bob.sealer.open_in_group(choir, alice.self, forged));
  for (std::size_t i = 0; i < c.body.size(); i += 5)
    EXPECT_FALSE(bob.sealer.open_in_group(choir, alice.self, c.body.substr(0, i)));
  EXPECT_EQ(bob.sealer.open_in_group(choir, alice.self, c.body).value(), "I, Alice");
}

TEST_F(SealerTest, SafetyNumbersAgreeAndChangeWithAKey) {
  const auto a =
      alice.sealer.safety_number(alice.self.user, alice.keys.mine.public_key, bob.self.user, bob.keys.mine.public_key);
  const auto b =
      bob.sealer.safety_number(bob.self.user, bob.keys.mine.public_key, alice.self.user, alice.keys.mine.public_key);
  EXPECT_EQ(a.digits, b.digits);
  EXPECT_EQ(a.digits.size(), 60U);
  EXPECT_TRUE(std::all_of(a.digits.begin(), a.digits.end(), [](char c) { return c >= '0' && c <= '9'; }));
  EXPECT_TRUE(alice.sealer.compare_code(a.code, b.code));
  EXPECT_FALSE(alice.sealer.compare_code(a.code, a.code));  // that is ours, not theirs
  EXPECT_FALSE(alice.sealer.compare_code(a.code, "nonsense"));
  Person eve(9);
  const auto e =
      bob.sealer.safety_number(bob.self.user, bob.keys.mine.public_key, alice.self.user, eve.keys.mine.public_key);
  EXPECT_NE(a.digits, e.digits);
  EXPECT_FALSE(alice.sealer.compare_code(a.code, e.code));
}

TEST_F(SealerTest, LengthsSayLittle) {
  settle();
  const auto length = [&](std::size_t n) { return alice.seal(bob, std::string(n, 'x')).body.size(); };
  EXPECT_EQ(length(0), length(63));
  EXPECT_EQ(length(64), length(127));
  EXPECT_NE(length(63), length(64));
  EXPECT_EQ(alice.sealer.seal(bob.self, std::string(Sealer::kPlainBytesMax, 'x')).value().body.size() > 0, true);
  EXPECT_EQ(alice.sealer.seal(bob.self, std::string(Sealer::kPlainBytesMax + 1, 'x')).error(), Errc::too_large);
}

TEST(Padding, GivesBackWhatItWasGiven) {
  for (std::size_t n : {0, 1, 62, 63, 64, 1'022, 1'023, 1'024, 4'095, 4'096, 50'000}) {
    for (const char fill : {'x', '\0', '\x80'}) {
      const std::string plain(n, fill), padded = pad(plain);
      EXPECT_EQ(unpad(padded).value(), plain);
      EXPECT_EQ(padded.size() % 64, 0U);
    }
  }
  EXPECT_FALSE(unpad(""));
  EXPECT_FALSE(unpad(std::string(64, '\0')));
  EXPECT_FALSE(unpad("no mark"));
}

}  // namespace
}  // namespace barid::e2ee::test
