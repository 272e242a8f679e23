// A session on an in-memory store, and the frames that it says, for directed tests.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "client/core/session.h"
#include "client/core/sqlite_store.h"
#include "schemas/content.h"

namespace barid::client::test {

inline constexpr UserId kMe{1}, kBob{2}, kCarol{3};
inline constexpr DeviceId kMyDevice{11}, kBobDevice{21}, kBobNewDevice{22}, kCarolDevice{31};

inline std::string text_bytes(const std::string& text) { return content::encode(content::Text{text}).value(); }

inline Account test_account() {
  Account a;
  a.phone = "+491511111111";
  a.server = "tcp://127.0.0.1:1";
  a.key = crypto::key_pair_from_seed({1, 2, 3}).secret_key;
  a.token = "token";
  a.user = kMe;
  a.device = kMyDevice;
  return a;
}

// A store whose commits fail: what is not stored must not be acknowledged.
class FullDisk final : public Store {
 public:
  explicit FullDisk(SqliteStore& real) : real_(real) {}
  bool full = false;
  std::function<bool()> fails_now;  // asked at each commit
  void begin(Durability d) override { real_.begin(d); }
  void commit() override {
    if (full || (fails_now && fails_now())) throw std::runtime_error("disk full");
    real_.commit();
  }
  void rollback() noexcept override { real_.rollback(); }
  Account account() override { return real_.account(); }
  void set_session_no(SessionNo n) override { real_.set_session_no(n); }
  void offer_again(std::uint64_t i, WallMs at) override { real_.offer_again(i, at); }
  std::size_t address_messages(std::size_t n) override { return real_.address_messages(n); }
  std::vector<Peer> peers_to_resolve(std::size_t n) override { return real_.peers_to_resolve(n); }
  void resolved(PeerId p, UserId u) override { real_.resolved(p, u); }
  void set_devices(UserId u, const std::vector<wire::Address>& d) override { real_.set_devices(u, d); }
  void unresolvable(PeerId p, wire::Code c, WallMs at) override { real_.unresolvable(p, c, at); }
  std::size_t address_reads(std::size_t n, WallMs at) override { return real_.address_reads(n, at); }
  std::vector<Copy> pending(std::uint64_t s, std::size_t n) override { return real_.pending(s, n); }
  std::optional<Copy> copy(std::uint64_t s) override { return real_.copy(s); }
  void sent(const std::vector<Copy>& c) override { real_.sent(c); }
  void accepted(const std::vector<SeqRange>& r, WallMs at) override { real_.accepted(r, at); }
  void fail(std::uint64_t s, wire::Code c, WallMs at) override { real_.fail(s, c, at); }
  void receipt(const wire::Receipt& r) override { real_.receipt(r); }
  void gone(std::uint64_t s, WallMs at) override { real_.gone(s, at); }
  std::vector<UserId> users_of_gone(std::size_t n) override { return real_.users_of_gone(n); }
  std::uint64_t readdress(UserId u, WallMs at) override { return real_.readdress(u, at); }
  bool take(const wire::Deliver& d, WallMs at) override { return real_.take(d, at); }
  void group_event(const wire::GroupEvent& e) override { real_.group_event(e); }
  void group_receipt(const wire::GroupReceipt& r) override { real_.group_receipt(r); }
  std::vector<GroupId> groups_to_fetch(std::size_t n) override { return real_.groups_to_fetch(n); }
  std::optional<GroupId> groups_to_list() override { return real_.groups_to_list(); }
  void groups_listed(const wire::GroupList& l) override { real_.groups_listed(l); }
  void set_group(const wire::Group& g) override { real_.set_group(g); }
  void group_lost(GroupId g, wire::Code c) override { real_.group_lost(g, c); }

 private:
  SqliteStore& real_;
};

class SessionTest : public testing::Test {
 protected:
  SessionTest() : db(":memory:", SqliteStore::Sealing::off) {
    crypto::init_crypto();
    db.save_account(test_account());
    bob = db.add_contact("Bob", "+491512222222")->id;
    db.learn(bob, {"+491512222222", kBob, {{kBob, kBobDevice, 7}}});
  }

  void connect() {
    ASSERT_TRUE(session.wants_connection(now.steady));
    session.connecting(now);
    session.connected(now);
  }
  void give(const auto& frame) {
    std::string bytes;
    wire::append(bytes, frame);
    session.received(bytes, now);
  }
  // What the session has said since the last call.
  std::vector<wire::Frame> said() {
    std::vector<wire::Frame> frames;
    std::string bytes = std::exchange(session.output(), {});
    std::string_view rest = bytes;
    while (const auto raw = wire::split(rest)) {
      frames.push_back(wire::decode(*raw).value());
      rest.remove_prefix(raw->bytes);
    }
    EXPECT_TRUE(rest.empty());
    return frames;
  }
  template <class F>
  std::vector<F> said_only() {
    std::vector<F> only;
    for (const wire::Frame& f : said())
      if (const auto* wanted = std::get_if<F>(&f)) only.push_back(*wanted);
    return only;
  }
  void log_in(std::uint16_t window = 8, std::uint64_t incarnation = 1) {
    connect();
    give(wire::Challenge{{9}, now.wall.value, 1, 1, "edge"});
    ASSERT_EQ(said_only<wire::Login>().size(), 1U);
    give(wire::Welcome{kMe, kMyDevice, now.wall.value, window, 128, 60'000, 20'000, 30'000, 0, incarnation});
    ASSERT_TRUE(session.online());
  }
  void lose() {
    session.disconnected("lost", now);
    pass(std::chrono::seconds(60));
  }
  void pass(milliseconds time) {
    now.steady += time;
    now.wall.value += time.count();
  }
  MessageRow write(const std::string& text, PeerId to = PeerId(0)) {
    const MessageRow row = db.enqueue(to.value == 0 ? bob : to, text_bytes(text), now.wall);
    session.outbox_changed(now);
    return row;
  }
  State state(MessageRow row) { return db.message(row)->state; }
  static std::vector<std::uint64_t> seqs(const std::vector<wire::Send>& sends) {
    std::vector<std::uint64_t> out;
    for (const wire::Send& s : sends) out.push_back(s.seq);
    return out;
  }
  bool has_event(auto match) {
    bool found = false;
    for (const Event& e : session.take_events()) found = found || match(e);
    return found;
  }

  SqliteStore db;
  Now now{TimePoint() + std::chrono::hours(1), WallMs{1'790'000'000'000}};
  Session session{db, "test", 42};
  PeerId bob;
};

}  // namespace barid::client::test
