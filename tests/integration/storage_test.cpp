// The storage against a real Postgres: migrations, the pool through outages, and the repositories.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <atomic>
#include <chrono>
#include <pqxx/pqxx>
#include <thread>

#include "base/crypto.h"
#include "storage/accounts.h"
#include "storage/blocks.h"
#include "storage/codes.h"
#include "storage/lookups.h"
#include "storage/migrator.h"
#include "storage/pool.h"
#include "storage/projections.h"
#include "storage/stream_marks.h"
#include "storage/throttles.h"
#include "tests/support/servers.h"

namespace barid::storage {
namespace {

using namespace std::chrono_literals;
using test::wait_until;
constexpr WallMs kNow{1'700'000'000'000};
const std::string kPhone = "+4915123456789";

class Storage : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    crypto::init_crypto();
    postgres_ = std::make_unique<test::PrivatePostgres>();
  }
  static void TearDownTestSuite() { postgres_.reset(); }

  void SetUp() override { url_ = postgres_->new_database(); }

  Pool& pool(std::size_t connections = 4) {
    if (!pool_) {
      migrate(url_);
      pool_ = std::make_unique<Pool>(url_, connections);
    }
    return *pool_;
  }
  int count(const std::string& query) {
    int result = 0;
    pool().transact("count", [&](pqxx::transaction_base& work) { result = work.exec1(query)[0].as<int>(); });
    return result;
  }
  Accounts::Claim claim(const std::string& phone, const std::string& mac) {
    CodePolicy policy;
    policy.resend = 0ms;
    EXPECT_TRUE(Codes(pool()).store(phone, mac, policy, kNow));
    return {phone, mac, crypto::make_key_pair().public_key, "phone"};
  }
  UserId new_user(const std::string& phone) {
    return Accounts(pool()).register_device(claim(phone, "mac of " + phone), kNow)->user;
  }

  static std::unique_ptr<test::PrivatePostgres> postgres_;
  std::string url_;
  std::unique_ptr<Pool> pool_;
};
std::unique_ptr<test::PrivatePostgres> Storage::postgres_;

TEST_F(Storage, StreamMarksOfOneIncarnationOnlyGrow) {
  StreamMarks marks(pool());
  EXPECT_FALSE(marks.load().has_value());
  marks.save({7, "boot", R"([{"stream":"A","created":"x","last":10},{"stream":"B","created":"x","last":5}])"});
  marks.save({7, "boot",
              R"([{"stream":"A","created":"x","last":9},{"stream":"C","created":"x","last":100}])"});  // another worker
  auto saved = marks.load();
  ASSERT_TRUE(saved.has_value());
  EXPECT_EQ(saved->incarnation, 7U);
  const auto last = [&](const char* stream) {
    for (const auto& mark : nlohmann::json::parse(saved->marks))
      if (mark.at("stream") == stream) return mark.at("last").get<int>();
    return -1;
  };
  EXPECT_EQ(last("A"), 10);
  EXPECT_EQ(last("B"), 5);
  EXPECT_EQ(last("C"), 100);
  const std::uint64_t big = 0xfedcba9876543210;  // ids of incarnations use all their bits
  marks.save({big, "", R"([{"stream":"A","created":"y","last":1}])"});
  saved = marks.load();
  EXPECT_EQ(saved->incarnation, big);
  EXPECT_EQ(saved->boot, "");
  EXPECT_EQ(last("A"), 1);
  EXPECT_EQ(last("B"), -1);
}

TEST_F(Storage, MigrationsApplyOnceInOrder) {
  const auto applied = migrate(url_);
  ASSERT_EQ(applied.size(), built_in_migrations().size());
  EXPECT_EQ(applied.front(), "0001_accounts");
  EXPECT_TRUE(migrate(url_).empty());
}

TEST_F(Storage, AChangedOldMigrationIsRefusedAndNothingApplied) {
  migrate(url_, {{"0001_a", "CREATE TABLE a (x int)"}});
  const std::vector<Migration> changed = {{"0001_a", "CREATE TABLE a (x text)"}, {"0002_b", "CREATE TABLE b (x int)"}};
  EXPECT_THROW(migrate(url_, changed), MigrationError);
  EXPECT_EQ(migrate(url_, {{"0001_a", "CREATE TABLE a (x int)"}, {"0002_b", "CREATE TABLE b (x int)"}}).size(), 1U);
}

TEST_F(Storage, AFailingMigrationLeavesNothingBehind) {
  const std::vector<Migration> broken = {{"0001_a", "CREATE TABLE a (x int); SELECT nonsense"}};
  EXPECT_THROW(migrate(url_, broken), MigrationError);
  EXPECT_EQ(migrate(url_, {{"0001_a", "CREATE TABLE a (x int)"}}).size(), 1U);
}

TEST_F(Storage, ManyMigratorsAtOnceTakeTurns) {
  std::atomic<std::size_t> applied = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) threads.emplace_back([&] { applied += migrate(url_).size(); });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(applied, built_in_migrations().size());
}

TEST_F(Storage, EveryForeignKeyAndLookupIsIndexed) {
  Pool& p = pool();
  p.transact("explain", [&](pqxx::transaction_base& work) {
    work.exec0("SET LOCAL enable_seqscan = off");
    for (const char* query :
         {"SELECT 1 FROM users WHERE phone_e164 = ANY('{+1}'::text[])",
          "SELECT 1 FROM devices WHERE user_id = 1 AND revoked_at_ms IS NULL",
          "SELECT 1 FROM devices WHERE revoked_at_ms IS NOT NULL AND (revoked_at_ms, device_id) > (0, 0) ORDER BY "
          "revoked_at_ms, device_id LIMIT 5",
          "DELETE FROM codes WHERE sent_at_ms < 1", "DELETE FROM throttles WHERE at_ms < 1",
          "DELETE FROM lookup_counts WHERE day < 1", "SELECT DISTINCT user_id FROM blocks WHERE user_id > 1 ORDER BY 1",
          "SELECT 1 FROM blocks WHERE blocked_id = 1", "SELECT kind, id FROM projections ORDER BY kind, id LIMIT 3"}) {
      std::string plan;
      for (const auto& row : work.exec(std::string("EXPLAIN ") + query)) plan += row[0].as<std::string>() + "\n";
      EXPECT_EQ(plan.find("Seq Scan"), std::string::npos) << query << "\n" << plan;
    }
  });
}

TEST_F(Storage, PoolNeverOpensMoreConnectionsThanItMay) {
  Pool& p = pool(2);
  std::atomic<int> at_once = 0, most = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      for (int n = 0; n < 5; ++n)
        p.transact("sleep", [&](pqxx::transaction_base& work) {
          const int now = ++at_once;
          for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) continue;
          work.exec("SELECT pg_sleep(0.005)");
          --at_once;
        });
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(most, 2);
  EXPECT_EQ(p.stats().connects, 2U);
  EXPECT_EQ(p.stats().in_use, 0U);
}

TEST_F(Storage, PoolSurvivesARestartWithoutAnError) {
  Pool& p = pool(3);
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&] { p.transact("warm", [](auto& work) { work.exec("SELECT pg_sleep(0.05)"); }); });
  for (auto& thread : threads) thread.join();
  postgres_->stop();
  postgres_->start();
  EXPECT_EQ(count("SELECT 1"), 1);  // the broken connections are noticed and replaced inside the call
}

TEST_F(Storage, PoolFailsFastWhileAwayAndRecoversByItself) {
  Pool& p = pool();
  EXPECT_EQ(count("SELECT 1"), 1);
  postgres_->kill();
  for (int i = 0; i < 20; ++i) {
    const auto since = std::chrono::steady_clock::now();
    EXPECT_THROW(p.transact("ask", [](auto& work) { work.exec("SELECT 1"); }), Unavailable);
    EXPECT_LT(std::chrono::steady_clock::now() - since, 3s);
  }
  EXPECT_LT(p.stats().failures, 20U);  // backing off: most calls did not even try
  postgres_->start();
  EXPECT_TRUE(wait_until([&] {
    try {
      return count("SELECT 1") == 1;
    } catch (const Unavailable&) {
      return false;
    }
  }));
}

TEST_F(Storage, AFrozenPostgresIsCutOffInBoundedTime) {
  Pool& p = pool(1);
  EXPECT_EQ(count("SELECT 1"), 1);
  postgres_->freeze();
  const auto since = std::chrono::steady_clock::now();
  EXPECT_THROW(p.transact("ask", [](auto& work) { work.exec("SELECT 1"); }), Unavailable);
  const auto took = std::chrono::steady_clock::now() - since;
  postgres_->thaw();
  EXPECT_LT(took, Pool::kTransactionMax + 2s);
  EXPECT_EQ(p.stats().cut, 1U);
  EXPECT_TRUE(wait_until([&] {
    try {
      return count("SELECT 1") == 1;
    } catch (const Unavailable&) {
      return false;
    }
  }));
}

TEST_F(Storage, ASlowStatementIsRefusedAsUnavailable) {
  EXPECT_THROW(pool().transact("crawl", [](auto& work) { work.exec("SELECT pg_sleep(60)"); }), Unavailable);
}

TEST_F(Storage, DoesNotRetryAnInDoubtCommit) {
  Pool& p = pool(1);
  p.transact("make", [](auto& work) { work.exec0("CREATE TABLE t (x int)"); });
  // A deferred trigger that ends its own backend: the connection breaks inside the commit.
  p.transact("trap", [](auto& work) {
    work.exec0(
        "CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$");
    work.exec0(
        "CREATE CONSTRAINT TRIGGER trap AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE "
        "FUNCTION trap()");
  });
  int runs = 0;
  EXPECT_THROW(p.transact("insert",
                          [&](auto& work) {
                            ++runs;
                            work.exec0("INSERT INTO t VALUES (1)");
                          }),
               InDoubt);
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(count("SELECT count(*) FROM t"), 0);
}

// Breaks the connection in the commit of the first `times` registrations, then lets them pass.
void trap_commits(Pool& pool, const std::string& table, int times) {
  pool.transact("trap", [&](pqxx::transaction_base& work) {
    work.exec0("CREATE SEQUENCE trapped");
    work.exec0("CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF nextval('trapped') <= " +
               std::to_string(times) +
               " THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NULL; END $$");
    work.exec0("CREATE CONSTRAINT TRIGGER trap AFTER INSERT OR UPDATE ON " + table +
               " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION trap()");
  });
}

TEST_F(Storage, ARegistrationInDoubtIsLookedUpAndMadeOnce) {
  const auto c = claim(kPhone, "mac");
  trap_commits(pool(), "devices", 2);
  const auto registered = Accounts(pool()).register_device(c, kNow);
  ASSERT_TRUE(registered);
  EXPECT_EQ(count("SELECT count(*) FROM devices"), 1);
  EXPECT_EQ(count("SELECT count(*) FROM users"), 1);
  EXPECT_EQ(Accounts(pool()).devices_of(registered->user)->devices, std::vector{registered->device});
}

TEST_F(Storage, ACodeInDoubtThatWasNotStoredIsNotReportedAsStored) {
  trap_commits(pool(), "codes", 1'000);
  EXPECT_THROW((void)Codes(pool()).store(kPhone, "mac", {}, kNow), Unavailable);
}

TEST_F(Storage, RegisteringAgainKeepsTheUserAndRevokesTheDevice) {
  Accounts accounts(pool());
  const auto first = accounts.register_device(claim(kPhone, "1"), kNow);
  const auto second = accounts.register_device(claim(kPhone, "2"), kNow);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->user, second->user);
  EXPECT_NE(first->device, second->device);
  EXPECT_EQ(second->revoked, std::vector{first->device});
  EXPECT_EQ(accounts.revoked_at(first->device), kNow);
  EXPECT_EQ(accounts.live_devices(first->user).size(), 1U);
  EXPECT_EQ(Projections(pool()).pending(10), (std::vector<Change>{{ProjectionKind::revoked, first->device.value}}));
  EXPECT_EQ(first->user.value >> 63, 0U);
  EXPECT_EQ(accounts.revoked_since({WallMs{0}, DeviceId{}}, 10).size(), 1U);
  EXPECT_TRUE(accounts.revoked_since({kNow, first->device}, 10).empty());
}

TEST_F(Storage, OneCodeRegistersOneDevice) {
  const auto c = claim(kPhone, "mac");
  std::vector<std::thread> threads;
  std::atomic<int> registered = 0, refused = 0;
  for (int i = 0; i < 6; ++i)
    threads.emplace_back([&, mine = c]() mutable {
      mine.device_key = crypto::make_key_pair().public_key;
      const auto result = Accounts(pool()).register_device(mine, kNow);
      ++(result ? registered : refused);
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(registered, 1);
  EXPECT_EQ(refused, 5);
  EXPECT_EQ(count("SELECT count(*) FROM devices"), 1);
}

TEST_F(Storage, TheSameClaimAgainGivesTheSameDevice) {
  Accounts accounts(pool());
  const auto c = claim(kPhone, "mac");
  const auto first = accounts.register_device(c, kNow);
  const auto again = accounts.register_device(c, kNow);
  ASSERT_TRUE(first && again);
  EXPECT_EQ(first->device, again->device);
  EXPECT_FALSE(accounts.register_device(c, WallMs{kNow.value + 601'000}));
}

TEST_F(Storage, OnlyOwnDevicesCanBeRevoked) {
  Accounts accounts(pool());
  const auto mine = accounts.register_device(claim(kPhone, "1"), kNow);
  const UserId other = new_user("+4915123456780");
  EXPECT_FALSE(accounts.revoke_device(other, mine->device, kNow));
  EXPECT_FALSE(accounts.revoke_device(mine->user, DeviceId(~0ULL), kNow));
  EXPECT_TRUE(accounts.revoke_device(mine->user, mine->device, kNow));
  EXPECT_TRUE(accounts.revoke_device(mine->user, mine->device, kNow));
  EXPECT_TRUE(accounts.find_by_phone({kPhone}).empty());
  EXPECT_EQ(accounts.find_by_phone({kPhone, "+4915123456780", "odd\"\\,{}"}).size(), 1U);
}

TEST_F(Storage, EveryTryIsCountedAlsoWhenManyComeAtOnce) {
  ASSERT_TRUE(Codes(pool()).store(kPhone, "mac", {}, kNow));
  std::atomic<int> allowed = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 12; ++i) threads.emplace_back([&] { allowed += Codes(pool()).spend_try(kPhone, kNow) ? 1 : 0; });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(allowed, 5);
  EXPECT_EQ(Codes(pool()).spend_try(kPhone, kNow).error(), Codes::Errc::tries_exhausted);
}

TEST_F(Storage, CodesExpireAndUnknownNumbersHaveNone) {
  Codes codes(pool());
  ASSERT_TRUE(codes.store(kPhone, std::string("m\0c", 3), {}, kNow));
  EXPECT_EQ(*codes.spend_try(kPhone, WallMs{kNow.value + 599'999}), std::string("m\0c", 3));
  EXPECT_EQ(codes.spend_try(kPhone, WallMs{kNow.value + 600'000}).error(), Codes::Errc::expired);
  EXPECT_EQ(codes.spend_try("+1", kNow).error(), Codes::Errc::none);
  codes.forget_before(WallMs{kNow.value + 1});
  EXPECT_EQ(codes.spend_try(kPhone, kNow).error(), Codes::Errc::none);
}

TEST_F(Storage, OnlyOneOfManyRequestsAtOnceGetsACode) {
  Pool& p = pool();
  std::atomic<int> stored = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i)
    threads.emplace_back([&, i] { stored += Codes(p).store(kPhone, std::to_string(i), {}, kNow) ? 1 : 0; });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(stored, 1);
  EXPECT_EQ(Codes(pool()).store(kPhone, "x", {}, kNow).error().retry_after, 60s);
}

TEST_F(Storage, BlocksAreASetWithAnOutboxEntry) {
  Blocks blocks(pool());
  const UserId a = new_user("+4915123456781"), b = new_user("+4915123456782"), c = new_user("+4915123456783");
  EXPECT_TRUE(blocks.block(a, b, kNow));
  EXPECT_TRUE(blocks.block(a, b, kNow));
  EXPECT_TRUE(blocks.block(a, c, kNow));
  EXPECT_EQ(blocks.blocked_by(a).size(), 2U);
  EXPECT_EQ(blocks.block(a, UserId(12345), kNow).error(), Blocks::Errc::no_such_user);
  EXPECT_EQ(blocks.block(a, UserId(~0ULL), kNow).error(), Blocks::Errc::no_such_user);
  blocks.unblock(a, b);
  blocks.unblock(a, UserId(777));
  EXPECT_EQ(blocks.blocked_by(a), std::vector{c});
  EXPECT_EQ(blocks.blockers(UserId{}, 10), std::vector{a});

  Projections projections(pool());
  const Change change{ProjectionKind::blocks, a.value};
  ASSERT_EQ(projections.pending(10), std::vector{change});
  const auto stale = projections.version(change);
  blocks.unblock(a, c);
  projections.settle(change, *stale);  // the state has changed since: it stays
  EXPECT_EQ(projections.pending(10).size(), 1U);
  projections.settle(change, *projections.version(change));
  EXPECT_TRUE(projections.pending(10).empty());
}

TEST_F(Storage, LookupsStopAtTheQuotaAndStartAgainNextDay) {
  Lookups lookups(pool());
  const DeviceId device(7);
  EXPECT_TRUE(lookups.take(device, 6, 10, kNow));
  EXPECT_FALSE(lookups.take(device, 5, 10, kNow));
  EXPECT_TRUE(lookups.take(device, 4, 10, kNow));
  EXPECT_FALSE(lookups.take(device, 1, 10, kNow));
  EXPECT_TRUE(lookups.take(DeviceId(8), 10, 10, kNow));
  EXPECT_FALSE(lookups.take(DeviceId(9), 11, 10, kNow));
  EXPECT_TRUE(lookups.take(device, 10, 10, WallMs{kNow.value + kDayMs}));
}

TEST_F(Storage, ThrottlesAreSharedAndExact) {
  const RateConfig rate{1, 5};
  Pool& p = pool();
  std::atomic<int> taken = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 12; ++i) threads.emplace_back([&] { taken += Throttles(p).take("key", rate, kNow) ? 1 : 0; });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(taken, 5);
  Throttles throttles(pool());
  EXPECT_EQ(throttles.take("key", rate, kNow).error().retry_after, 1s);
  throttles.refund("key", rate);
  EXPECT_TRUE(throttles.take("key", rate, kNow));
  EXPECT_TRUE(throttles.take("other", rate, kNow));
  EXPECT_TRUE(throttles.take("key", RateConfig{0, 0}, kNow));  // switched off
}

}  // namespace
}  // namespace barid::storage
