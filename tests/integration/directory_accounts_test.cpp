// Registration by one-time code, and every way in which it may be refused.
#include <pqxx/pqxx>

#include "schemas/token.h"
#include "tests/integration/directory_harness.h"

namespace barid::directory {
namespace {

using wire::Code;
using Registration = DirectoryTest;
const std::string kPhone = "+4915123456789";

TEST_F(Registration, GivesATokenThatTheEdgeCanCheck) {
  const auto sent = ask<wire::CodeSent>(call(wire::RequestCode{"+49 1512 3456789"}));
  EXPECT_EQ(sent.expires_in_s, 600U);
  EXPECT_EQ(sent.resend_in_s, 60U);
  ASSERT_EQ(sender.sent().size(), 1U);
  EXPECT_EQ(sender.sent()[0].phone, kPhone);

  const auto request = verification(kPhone, sender.last_code());
  const auto registered = ask<wire::Registered>(call(request));
  EXPECT_EQ(registered.phone, kPhone);
  const auto token = token::open(registered.token, secrets.signing.public_key);
  ASSERT_TRUE(token);
  EXPECT_EQ(token->user, registered.user);
  EXPECT_EQ(token->device, registered.device);
  EXPECT_EQ(crypto::view(token->device_key), request.device_key);
  EXPECT_EQ(token->issued_at_s, now.value / 1000);
  EXPECT_EQ(token->expires_at_s - token->issued_at_s, 365LL * 24 * 3600);
}

TEST_F(Registration, TheCodeItselfIsStoredNowhere) {
  ask<wire::CodeSent>(call(wire::RequestCode{kPhone}));
  std::string dump;
  pool->transact("dump", [&](pqxx::transaction_base& work) {
    dump = work.exec1("SELECT c::text || encode(c.mac, 'escape') FROM codes c")[0].as<std::string>();
  });
  EXPECT_NE(dump.find(kPhone), std::string::npos);
  EXPECT_EQ(dump.find(sender.last_code()), std::string::npos);
}

TEST_F(Registration, AnInvalidNumberIsExplainedAndCostsNothing) {
  const auto error = refusal(call(wire::RequestCode{"0151"}));
  EXPECT_EQ(error.code, Code::invalid_phone);
  EXPECT_NE(error.text.find("country code"), std::string::npos);
  EXPECT_TRUE(sender.sent().empty());
}

TEST_F(Registration, ASecondCodeMustWaitAndTheWaitDoubles) {
  ask<wire::CodeSent>(call(wire::RequestCode{kPhone}));
  now.value += 10'000;
  const auto error = refusal(call(wire::RequestCode{kPhone}));
  EXPECT_EQ(error.code, Code::code_throttled);
  EXPECT_EQ(error.retry_after_ms, 50'000U);
  now.value += 50'000;
  EXPECT_EQ(ask<wire::CodeSent>(call(wire::RequestCode{kPhone})).resend_in_s, 120U);
  now.value += 60'000;
  EXPECT_EQ(refusal(call(wire::RequestCode{kPhone})).retry_after_ms, 60'000U);
  EXPECT_EQ(sender.sent().size(), 2U);
}

TEST_F(Registration, ANewCodeReplacesTheOld) {
  ask<wire::CodeSent>(call(wire::RequestCode{kPhone}));
  const std::string old = sender.last_code();
  now.value += 60'000;
  ask<wire::CodeSent>(call(wire::RequestCode{kPhone}));
  if (sender.last_code() != old) {
    EXPECT_EQ(refusal(call(verification(kPhone, old))).code, Code::code_wrong);
  }
  ask<wire::Registered>(call(verification(kPhone, sender.last_code())));
}

TEST_F(Registration, FiveWrongTriesSpendTheCode) {
  ask<wire::CodeSent>(call(wire::RequestCode{kPhone}));
  const std::string wrong = another(sender.last_code());
  for (int i = 0; i < 5; ++i) EXPECT_EQ(refusal(call(verification(kPhone, wrong))).code, Code::code_wrong);
  EXPECT_EQ(refusal(call(verification(kPhone, sender.last_code()))).code, Code::code_tries_exhausted);
}

TEST_F(Registration, AnExpiredCodeIsRefused) {
  ask<wire::CodeSent>(call(wire::RequestCode{kPhone}));
  now.value += 600'000;
  EXPECT_EQ(refusal(call(verification(kPhone, sender.last_code()))).code, Code::code_expired);
}

TEST_F(Registration, ANumberWithoutACodeIsRefusedAsIfItHadExpired) {
  EXPECT_EQ(refusal(call(verification(kPhone, "123456"))).code, Code::code_expired);
}

TEST_F(Registration, ACodeWorksOnceButItsOwnRepetitionIsAnsweredAgain) {
  ask<wire::CodeSent>(call(wire::RequestCode{kPhone}));
  const auto request = verification(kPhone, sender.last_code());
  const auto first = ask<wire::Registered>(call(request));
  const auto again = ask<wire::Registered>(call(request));  // its answer had been lost on the way
  EXPECT_EQ(first.device, again.device);
  EXPECT_EQ(refusal(call(verification(kPhone, sender.last_code()))).code, Code::code_expired);  // another device's key
}

TEST_F(Registration, AgainRevokesTheEarlierDevice) {
  const auto first = register_phone(kPhone);
  now.value += 3'600'000;
  const auto second = register_phone(kPhone);
  EXPECT_EQ(first.user, second.user);
  EXPECT_NE(first.device, second.device);
  EXPECT_EQ(projected, (std::vector<storage::Change>{{storage::ProjectionKind::revoked, first.device.value}}));
  const auto devices = ask<wire::Devices>(call(wire::ListDevices{}, second.user, second.device)).devices;
  ASSERT_EQ(devices.size(), 1U);
  EXPECT_EQ(devices[0].device, second.device);
  EXPECT_EQ(devices[0].name, "Alice's phone");
  EXPECT_EQ(devices[0].created_at_ms, now.value);
  EXPECT_TRUE(devices[0].current);
}

TEST_F(Registration, OddKeysAndCodesAreRefusedWithoutSpendingATry) {
  ask<wire::CodeSent>(call(wire::RequestCode{kPhone}));
  auto request = verification(kPhone, sender.last_code());
  const std::string good_key = request.device_key;
  for (const auto& key : {std::string(), good_key.substr(1), std::string(32, '\0'), std::string(32, '\xff')}) {
    request.device_key = key;
    for (int i = 0; i < 3; ++i) EXPECT_EQ(refusal(call(request)).code, Code::invalid_argument);
  }
  request.device_key = good_key;
  request.code = "12345";
  EXPECT_EQ(refusal(call(request)).code, Code::invalid_argument);
  request.code = sender.last_code().substr(0, 3) + " " + sender.last_code().substr(3);
  ask<wire::Registered>(call(request));
}

TEST_F(Registration, WrongCodesAcrossManyNumbersFromOneNetworkAreThrottled) {
  config.failures_per_address = {0.1, 4};
  std::vector<std::string> phones;
  for (int i = 0; i < 5; ++i) phones.push_back("+491512345678" + std::to_string(i));
  for (const auto& phone : phones) ask<wire::CodeSent>(call(wire::RequestCode{phone}, {}, {}, "198.51.100.9"));
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(refusal(call(verification(phones[i], another(sender.sent()[i].code)))).code, Code::code_wrong);
  const auto error = refusal(call(verification(phones[4], sender.sent()[4].code)));
  EXPECT_EQ(error.code, Code::code_throttled);
  EXPECT_EQ(error.retry_after_ms, 10'000U);
  // Others are not affected, and time heals.
  ask<wire::Registered>(call(verification(phones[4], sender.sent()[4].code), {}, {}, "192.0.2.200"));
  now.value += 10'000;
  ask<wire::Registered>(call(verification(phones[3], sender.sent()[3].code)));
}

TEST_F(Registration, RightCodesAreNotHeldAgainstANetwork) {
  config.failures_per_address = {0.001, 2};
  for (int i = 0; i < 6; ++i) register_phone("+491512345678" + std::to_string(i));
}

TEST_F(Registration, CodesForManyNumbersFromOneNetworkAreThrottled) {
  config.codes_per_address = {0.1, 3};
  for (int i = 0; i < 3; ++i) ask<wire::CodeSent>(call(wire::RequestCode{"+491512345678" + std::to_string(i)}));
  const auto error = refusal(call(wire::RequestCode{"+4915123456785"}));
  EXPECT_EQ(error.code, Code::code_throttled);
  EXPECT_EQ(error.retry_after_ms, 10'000U);
  EXPECT_EQ(sender.sent().size(), 3U);
}

TEST_F(Registration, GuessingANumbersCodesOverDaysIsCapped) {
  config.code_resend = std::chrono::seconds(0);
  directory = std::make_unique<Directory>(
      *pool, config, secrets, sender, [](storage::Change) {}, [](GroupId) {}, [this] { return now; });
  int tries = 0;
  Code last = Code::code_wrong;
  for (int i = 0; i < 40 && last != Code::code_throttled; ++i) {
    if (i % 5 == 0) ask<wire::CodeSent>(call(wire::RequestCode{kPhone}));
    last =
        refusal(call(verification(kPhone, another(sender.last_code())), {}, {}, "192.0.2." + std::to_string(i))).code;
    tries += last == Code::code_wrong ? 1 : 0;
  }
  EXPECT_EQ(last, Code::code_throttled);
  EXPECT_EQ(tries, 30);
}

TEST_F(Registration, NoCodeIsMadeThatCannotBeSent) {
  sender.room = false;
  EXPECT_EQ(refusal(call(wire::RequestCode{kPhone})).code, Code::unavailable);
  sender.room = true;
  ask<wire::CodeSent>(call(wire::RequestCode{kPhone}));  // not throttled by the failure
}

TEST_F(Registration, IsRefusedInBoundedTimeWhilePostgresIsAwayAndWorksAfter) {
  postgres->kill();
  const auto since = steady_now();
  const auto error = refusal(call(wire::RequestCode{kPhone}));
  EXPECT_EQ(error.code, Code::unavailable);
  EXPECT_EQ(error.retry_after_ms, 2'000U);
  EXPECT_LT(steady_now() - since, std::chrono::seconds(5));
  postgres->start();
  EXPECT_TRUE(test::wait_until(
      [&] { return std::holds_alternative<wire::CodeSent>(directory->answer(call(wire::RequestCode{kPhone})).body); }));
  ask<wire::Registered>(call(verification(kPhone, sender.last_code())));
}

TEST_F(Registration, TriesAreCountedOverARestartOfPostgres) {
  ask<wire::CodeSent>(call(wire::RequestCode{kPhone}));
  const std::string wrong = another(sender.last_code());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(refusal(call(verification(kPhone, wrong))).code, Code::code_wrong);
  postgres->kill();
  postgres->start();
  for (int i = 0; i < 2; ++i) EXPECT_EQ(refusal(call(verification(kPhone, wrong))).code, Code::code_wrong);
  EXPECT_EQ(refusal(call(verification(kPhone, wrong))).code, Code::code_tries_exhausted);
}

}  // namespace
}  // namespace barid::directory
