#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <stdlib.h>

#include <filesystem>
#include <set>

#include "client/core/process_link.h"
#include "client/core/server_url.h"
#include "client_fixture.h"

namespace barid::client::test {
namespace {

class Directory {
 public:
  Directory() {
    char name[] = "/tmp/barid-test-XXXXXX";
    path = ::mkdtemp(name);
  }
  ~Directory() { std::filesystem::remove_all(path); }
  std::string path;
};

TEST(ClientStore, TakesEachMessageExactlyOnceInWhateverOrder) {
  EXPECT_TRUE(rc::check([](const std::vector<std::uint8_t>& numbers, bool far) {
    SqliteStore db(":memory:", SqliteStore::Sealing::off);
    std::set<std::uint64_t> taken;
    Transaction transaction(db, Store::Durability::durable);
    for (const std::uint8_t n : numbers) {
      const std::uint64_t seq = (far ? (1ULL << 63) - 100 : 1) + n % 50;  // across the sign of SQLite's integers
      RC_ASSERT(db.take({kBob, kBobDevice, seq, 1, 2, "x"}, WallMs{3}) == taken.insert(seq).second);
    }
    transaction.commit();
  }));
}

TEST(ClientStore, TheSameNumberOfAnotherDeviceIsAnotherMessage) {
  SqliteStore db(":memory:", SqliteStore::Sealing::off);
  Transaction transaction(db, Store::Durability::durable);
  EXPECT_TRUE(db.take({kBob, kBobDevice, 1, 1, 2, "x"}, WallMs{3}));
  EXPECT_TRUE(db.take({kBob, kBobNewDevice, 1, 1, 2, "x"}, WallMs{3}));
  EXPECT_FALSE(db.take({kBob, kBobDevice, 1, 1, 2, "x"}, WallMs{3}));
  transaction.commit();
}

TEST(ClientStore, AnotherProcessSeesWhatWasCommitted) {
  const Directory directory;
  SqliteStore writer(directory.path), reader(directory.path);
  const Peer bob = writer.add_contact("Bob", "+491512222222").value();
  const auto version = reader.data_version();
  writer.enqueue(bob.id, text_bytes("x"), WallMs{1});
  EXPECT_NE(reader.data_version(), version);
  EXPECT_EQ(reader.outbox(10).size(), 1U);
  EXPECT_EQ(reader.find_peer("bob")->phone, "+491512222222");  // names are found in any case
}

TEST(ClientStore, WhatIsRolledBackNeverWas) {
  SqliteStore db(":memory:", SqliteStore::Sealing::off);
  {
    const Transaction transaction(db, Store::Durability::durable);
    db.take({kBob, kBobDevice, 1, 1, 2, "x"}, WallMs{3});
  }
  Transaction transaction(db, Store::Durability::durable);
  EXPECT_TRUE(db.take({kBob, kBobDevice, 1, 1, 2, "x"}, WallMs{3}));
  transaction.commit();
}

TEST(ClientStore, AStrangerWhoTurnsOutToBeAContactKeepsTheHistory) {
  SqliteStore db(":memory:", SqliteStore::Sealing::off);
  const Peer bob = db.add_contact("Bob", "+491512222222").value();
  {
    Transaction transaction(db, Store::Durability::durable);
    db.take({kBob, kBobDevice, 1, 1, 2, "x"}, WallMs{3});
    transaction.commit();
  }
  EXPECT_TRUE(db.history(bob.id, 10).empty());
  db.learn(bob.id, {bob.phone, kBob, {{kBob, kBobDevice, 7}}});
  EXPECT_EQ(db.history(bob.id, 10).size(), 1U);
  EXPECT_EQ(db.peers().size(), 1U);
}

TEST(ClientStore, AMessageIsDeliveredWhenOneOfSeveralDevicesHasIt) {
  SqliteStore db(":memory:", SqliteStore::Sealing::off);
  const Peer bob = db.add_contact("Bob", "+491512222222").value();
  db.learn(bob.id, {bob.phone, kBob, {{kBob, kBobDevice, 7}, {kBob, kBobNewDevice, 8}}});
  const MessageRow row = db.enqueue(bob.id, text_bytes("x"), WallMs{1});
  Transaction transaction(db, Store::Durability::durable);
  EXPECT_EQ(db.address_messages(10), 2U);
  db.accepted({{1, 1}}, WallMs{2});
  EXPECT_EQ(db.message(row)->state, State::queued);  // one of two
  db.accepted({{2, 1}}, WallMs{2});
  EXPECT_EQ(db.message(row)->state, State::accepted);
  db.fail(1, wire::Code::expired, WallMs{3});
  EXPECT_EQ(db.message(row)->state, State::accepted);
  db.receipt({wire::ReceiptKind::delivered, kBob, kBobNewDevice, {{2, 1}}, 4});
  EXPECT_EQ(db.message(row)->state, State::delivered);
  transaction.commit();
}

TEST(ClientStore, AFileOfANewerVersionIsRefusedClearly) {
  const Directory directory;
  { SqliteStore db(directory.path); }
  { Sqlite(directory.path + "/barid.db").script("PRAGMA user_version = 99"); }
  try {
    SqliteStore db(directory.path);
    FAIL() << "opened a file from the future";
  } catch (const SqliteError& error) {
    EXPECT_NE(std::string(error.what()).find("newer barid"), std::string::npos);
  }
}

TEST(ClientStore, OnlyOneHoldsTheSessionAndTheNextTakesOver) {
  const Directory directory;
  auto first = std::make_unique<SessionLock>(directory.path);
  SessionLock second(directory.path);
  EXPECT_TRUE(first->try_take());
  EXPECT_FALSE(second.try_take());
  first.reset();
  EXPECT_TRUE(second.try_take());
}

TEST(ClientUrl, ReadsEveryFormAndRefusesTheRest) {
  const auto ws = parse_server_url("ws://chat.example.org:7001").value();
  EXPECT_TRUE(ws.websocket && !ws.tls);
  EXPECT_EQ(ws.path, "/v1");
  EXPECT_EQ(ws.port, 7001);
  const auto v6 = parse_server_url("tls://[::1]:7000").value();
  EXPECT_EQ(v6.host, "::1");
  EXPECT_TRUE(v6.tls && !v6.websocket);
  EXPECT_EQ(parse_server_url("wss://chat.example.org/barid")->port, 443);
  for (const char* wrong : {"", "chat.example.org:1", "http://a:1", "tcp://a", "tcp://a:0", "tcp://a:70000", "tcp://:1",
                            "tcp://a b:1", "tcp://[::1", "tcp://a:1x"})
    EXPECT_FALSE(parse_server_url(wrong)) << wrong;
}

}  // namespace
}  // namespace barid::client::test
