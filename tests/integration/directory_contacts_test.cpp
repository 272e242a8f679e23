// Contacts, blocks and devices of logged-in users.
#include "schemas/token.h"
#include "tests/integration/directory_harness.h"

namespace barid::directory {
namespace {

using storage::Change;
using storage::ProjectionKind;
using wire::Code;

class Contacts : public DirectoryTest {
 protected:
  void SetUp() override {
    DirectoryTest::SetUp();
    alice = register_phone("+4915123456780");
    bob = register_phone("+4915123456781");
    projected.clear();
  }
  control::DirectoryCall by_alice(decltype(wire::Request::body) body) {
    return call(std::move(body), alice.user, alice.device);
  }
  wire::Registered alice, bob;
};

TEST_F(Contacts, EverythingButRegisteringNeedsALogin) {
  EXPECT_EQ(refusal(call(wire::Lookup{{"+4915123456781"}})).code, Code::not_allowed);
  EXPECT_EQ(refusal(call(wire::ListDevices{})).code, Code::not_allowed);
  EXPECT_EQ(refusal(call(wire::RevokeDevice{bob.device})).code, Code::not_allowed);
}

TEST_F(Contacts, AreFoundAsTheyWereAskedForWithAddressesThatTheEdgeBelieves) {
  const auto found =
      ask<wire::Contacts>(by_alice(wire::Lookup{{"+49 1512 345-6781", "nonsense", "+4915123456799"}})).found;
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].phone, "+49 1512 345-6781");
  EXPECT_EQ(found[0].user, bob.user);
  const wire::Address expected{bob.user, bob.device, token::address_tag(bob.user, bob.device, secrets.address)};
  EXPECT_EQ(found[0].devices, std::vector{expected});
  EXPECT_EQ(ask<wire::Contacts>(by_alice(wire::DevicesOf{bob.user})).found[0].devices, std::vector{expected});
}

TEST_F(Contacts, LookupsAreLimitedADayAndSayWhenToComeBack) {
  config.lookups_per_day = 3;
  ask<wire::Contacts>(by_alice(wire::Lookup{{"+4915123456781", "+4915123456782"}}));
  const auto error = refusal(by_alice(wire::Lookup{{"+4915123456783", "+4915123456784"}}));
  EXPECT_EQ(error.code, Code::quota_exceeded);
  EXPECT_EQ(error.retry_after_ms, storage::until_next_day(now).count());
  ask<wire::Contacts>(by_alice(wire::Lookup{{"+4915123456781"}}));
  ask<wire::Contacts>(call(wire::Lookup{{"+4915123456780"}}, bob.user, bob.device));  // his own quota
  now.value += error.retry_after_ms;
  ask<wire::Contacts>(by_alice(wire::Lookup{{"+4915123456783", "+4915123456784"}}));
}

TEST_F(Contacts, BlockingIsListedAndProjected) {
  ask<wire::Done>(by_alice(wire::Block{bob.user}));
  EXPECT_EQ(ask<wire::Users>(by_alice(wire::ListBlocked{})).users, std::vector{bob.user});
  ask<wire::Done>(by_alice(wire::Unblock{bob.user}));
  EXPECT_TRUE(ask<wire::Users>(by_alice(wire::ListBlocked{})).users.empty());
  const Change change{ProjectionKind::blocks, alice.user.value};
  EXPECT_EQ(projected, (std::vector{change, change}));
  EXPECT_EQ(refusal(by_alice(wire::Block{alice.user})).code, Code::invalid_argument);
  EXPECT_EQ(refusal(by_alice(wire::Block{UserId(1)})).code, Code::not_found);
}

TEST_F(Contacts, RevokingWorksForOwnDevicesOnlyAndRemovesTheAddress) {
  EXPECT_EQ(refusal(by_alice(wire::RevokeDevice{bob.device})).code, Code::not_found);
  EXPECT_TRUE(projected.empty());
  ask<wire::Done>(by_alice(wire::RevokeDevice{alice.device}));
  EXPECT_EQ(projected, (std::vector<Change>{{ProjectionKind::revoked, alice.device.value}}));
  EXPECT_TRUE(ask<wire::Devices>(by_alice(wire::ListDevices{})).devices.empty());
  const auto found = ask<wire::Contacts>(call(wire::DevicesOf{alice.user}, bob.user, bob.device)).found;
  ASSERT_EQ(found.size(), 1U);
  EXPECT_TRUE(found[0].devices.empty());
  EXPECT_EQ(refusal(by_alice(wire::DevicesOf{UserId(1)})).code, Code::not_found);
}

}  // namespace
}  // namespace barid::directory
