// Many seeded runs of the real session and store against a server that drops connections, cuts frames, delays,
// duplicates, refuses for now and for good, forgets its disk, and against a store that fails in the middle of things.
// The server checks what it is told while it runs. Replay one run with BARID_SEED=n.
#include <gtest/gtest.h>

#include <cstdlib>
#include <deque>
#include <functional>
#include <map>
#include <random>
#include <set>

#include "client_fixture.h"

namespace barid::client::test {
namespace {

constexpr int kMessages = 60;
constexpr int kFaultyTicks = 3'000, kQuietTicks = 60'000;
constexpr milliseconds kTick{20};

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  bool chance(double p) { return std::uniform_real_distribution<>(0, 1)(engine_) < p; }
  std::size_t below(std::size_t n) {
    return n == 0 ? 0 : std::uniform_int_distribution<std::size_t>(0, n - 1)(engine_);
  }

 private:
  std::mt19937_64 engine_;
};

// The edge, the broker, the owner and Bob in one: only what a client can see of them.
class Server {
 public:
  explicit Server(Random& random) : random_(random) {}
  bool faulty = true;

  void connect() {
    conn_ = Conn();
    conn_.alive = true;
    for (std::size_t i = 0; i < conn_.nonce.size(); ++i) conn_.nonce[i] = static_cast<std::uint8_t>(random_.below(256));
    wire::append(out, wire::Challenge{conn_.nonce, 0, 1, 1, "sim"});
  }
  void disconnect() { conn_ = Conn(), out.clear(), in_.clear(); }

  void receive(std::string_view bytes) {
    in_.append(bytes);
    while (const auto raw = wire::split(in_)) {
      const wire::Frame frame = wire::decode(*raw).value();
      in_.erase(0, raw->bytes);
      std::visit([this](const auto& f) { on(f); }, frame);
    }
  }

  void tick() {
    if (!conn_.online) return;
    if (!conn_.batch.empty() && random_.chance(0.5)) commit_batch();
    if (random_.chance(0.4)) bob_takes_one();
    if (faulty && random_.chance(0.1))
      mail_.push_back(wire::Deliver{kBob, kBobDevice, ++bob_seq_, 1, 2, text_bytes("b" + std::to_string(bob_seq_))});
    if (faulty && bob_seq_ > 0 && random_.chance(0.03)) {  // the owner may repeat anything
      const std::uint64_t seq = 1 + random_.below(bob_seq_);
      mail_.push_back(wire::Deliver{kBob, kBobDevice, seq, 1, 2, text_bytes("b" + std::to_string(seq))});
    }
    if (faulty && random_.chance(0.03))
      mail_.push_back(wire::Receipt{wire::ReceiptKind::read, kCarol, kCarolDevice, {{1, 100'000}}, 1});
    while (conn_.mail_sent < mail_.size() && conn_.mail_sent < 16) {
      std::visit([this](const auto& f) { wire::append(out, f); }, mail_[conn_.mail_sent++]);
      ++conn_.written;
    }
  }

  void lose_disk() {  // after which the sender's device is the only one that knows
    fifo_.clear();
    ++incarnation_;
  }

  std::function<bool(std::uint64_t)> is_stored;  // in our store, under Bob's number
  std::string out;
  std::map<std::uint64_t, std::string> taken_by_bob;  // by number
  std::vector<std::uint64_t> first_taken;             // numbers in the order Bob first saw them
  std::set<std::uint64_t> failed_for_good, told_delivered, told_read, read_by_us;
  std::uint64_t bob_sent() const { return bob_seq_; }
  bool quiet() const { return fifo_.empty() && conn_.batch.empty() && mail_.empty(); }

 private:
  struct Conn {
    bool alive = false, online = false;
    std::array<std::uint8_t, 32> nonce{};
    std::uint16_t window = 1;
    std::uint64_t last_seq = 0, acked = 0, written = 0;
    std::size_t mail_sent = 0;  // of mail_, from its front
    std::optional<std::uint64_t> ignoring_until;
    std::deque<wire::Send> batch;  // taken, not yet accepted
  };

  void on(const wire::Login& login) {
    const auto keys = crypto::key_pair_from_seed({1, 2, 3});
    EXPECT_TRUE(crypto::verify(wire::login_message(conn_.nonce, login.session_no, login.token), login.signature,
                               keys.public_key));
    EXPECT_GT(login.session_no, highest_session_) << "a session number was used twice";
    highest_session_ = std::max(highest_session_, login.session_no);
    conn_.online = true;
    conn_.window = static_cast<std::uint16_t>(1 + random_.below(8));
    wire::append(out, wire::Welcome{kMe, kMyDevice, 0, conn_.window, 128, 60'000, 2'000, 5'000, 0, incarnation_});
  }

  void on(const wire::Send& send) {
    EXPECT_TRUE(conn_.online);
    if (conn_.ignoring_until) {
      if (send.seq != *conn_.ignoring_until) return;
      conn_.ignoring_until.reset();
    } else {
      EXPECT_GT(send.seq, conn_.last_seq) << "numbers must grow within a connection";
    }
    conn_.last_seq = send.seq;
    EXPECT_LT(conn_.batch.size(), conn_.window) << "more under way than the window allows";
    const auto known = contents_.emplace(send.seq, send.content);
    EXPECT_EQ(known.first->second, send.content) << "a number was used for two messages";
    if (faulty && random_.chance(0.08)) {
      wire::append(out, wire::Refused{send.seq, wire::Code::broker_full,
                                      static_cast<std::uint32_t>(1 + random_.below(300)), ""});
      conn_.ignoring_until = send.seq;
      return;
    }
    if (faulty && random_.chance(0.01) && !accepted_.contains(send.seq)) {
      failed_for_good.insert(send.seq);
      wire::append(out, wire::Refused{send.seq, wire::Code::not_allowed, 0, ""});
      return;
    }
    conn_.batch.push_back(send);
  }

  void on(const wire::Ack& ack) {
    EXPECT_LE(ack.up_to, conn_.written) << "acknowledges what was never written";
    for (; conn_.acked < ack.up_to && !mail_.empty(); ++conn_.acked, --conn_.mail_sent) {
      if (const auto* d = std::get_if<wire::Deliver>(&mail_.front())) {
        EXPECT_TRUE(is_stored(d->seq)) << "acknowledged before it was stored";
      }
      mail_.pop_front();
    }
  }

  void on(const wire::Ping& ping) { wire::append(out, wire::Pong{ping.token}); }
  void on(const auto&) {}

  void commit_batch() {
    wire::Accepted accepted;
    for (const wire::Send& s : conn_.batch) {
      accepted.ranges.push_back({s.seq, 1});
      accepted_.insert(s.seq);
      if (s.kind == wire::SendKind::message) fifo_.push_back(s);
      for (const SeqRange& r : s.ranges)
        for (std::uint64_t seq = r.first; seq < r.first + r.count; ++seq) read_by_us.insert(seq);
    }
    conn_.batch.clear();
    wire::append(out, accepted);
  }

  void bob_takes_one() {
    if (fifo_.empty()) return;
    const wire::Send s = fifo_.front();
    fifo_.pop_front();
    if (taken_by_bob.emplace(s.seq, s.content).second) first_taken.push_back(s.seq);
    const bool reads = random_.chance(0.3);
    if (reads && random_.chance(0.3)) mail_.push_back(receipt(wire::ReceiptKind::read, s.seq));
    mail_.push_back(receipt(wire::ReceiptKind::delivered, s.seq));
    if (reads) mail_.push_back(receipt(wire::ReceiptKind::read, s.seq));
  }

  wire::Frame receipt(wire::ReceiptKind kind, std::uint64_t seq) {
    told_delivered.insert(seq);
    if (kind == wire::ReceiptKind::read) told_read.insert(seq);
    return wire::Receipt{kind, kBob, kBobDevice, {{seq, 1}}, 1};
  }

  Random& random_;
  Conn conn_;
  std::string in_;
  std::deque<wire::Send> fifo_;   // accepted, durable unless the disk is lost
  std::deque<wire::Frame> mail_;  // for us, until acknowledged
  std::set<std::uint64_t> accepted_;
  std::map<std::uint64_t, std::string> contents_;
  SessionNo highest_session_;
  std::uint64_t incarnation_ = 1, bob_seq_ = 0;
};

class World {
 public:
  int failures() const { return failures_; }
  std::size_t told_read() const { return server_.read_by_us.size(); }
  explicit World(std::uint64_t seed) : random_(seed), server_(random_), seed_(seed) {
    db_.save_account(test_account());
    bob_ = db_.add_contact("Bob", "+491512222222")->id;
    db_.learn(bob_, {"+491512222222", kBob, {{kBob, kBobDevice, 7}}});
    server_.is_stored = [this](std::uint64_t seq) { return check_forward(), stored_.contains(seq); };
    disk_.fails_now = [this] { return server_.faulty && random_.chance(0.003); };
    start_session();
  }

  void play() {
    for (int tick = 0; tick < kFaultyTicks && !testing::Test::HasFailure(); ++tick) {
      if (tick % 40 == 0 && written_.size() < kMessages)
        written_.push_back(db_.enqueue(bob_, text_bytes("m" + std::to_string(written_.size())), now_.wall));
      if (random_.chance(0.02)) db_.mark_read(bob_, now_.wall);
      const bool wrote = tick % 40 == 0;
      if (random_.chance(0.01)) drop();
      if (random_.chance(0.003)) server_.lose_disk(), drop();
      if (random_.chance(0.005)) drop(), start_session();  // the process was killed
      survive([&] {
        if (wrote) session_->outbox_changed(now_);
        step();
      });
    }
    server_.faulty = false;
    for (int tick = 0; tick < kQuietTicks && !testing::Test::HasFailure(); ++tick) {
      survive([&] {
        if (tick == 0) session_->outbox_changed(now_);
        step();
      });
      if (tick % 50 == 0 && settled()) break;
    }
    check_end();
  }

 private:
  void start_session() { session_ = std::make_unique<Session>(disk_, "sim", random_.below(1U << 30)); }

  // The store failed in the middle of something: as if the process had been killed there.
  void survive(auto&& work) {
    try {
      work();
    } catch (const std::runtime_error&) {
      ++failures_;
      drop();
      start_session();
    }
  }

  void drop() {
    if (!up_) return;
    up_ = false;
    server_.disconnect();
    to_server_.clear();
    session_->disconnected("dropped", now_);
  }

  std::string some_of(std::string& bytes) {
    const std::size_t n = server_.faulty && random_.chance(0.5) ? random_.below(bytes.size() + 1) : bytes.size();
    std::string part = bytes.substr(0, n);
    bytes.erase(0, n);
    return part;
  }

  void step() {
    now_.steady += kTick;
    now_.wall.value += kTick.count();
    if (!up_ && session_->wants_connection(now_.steady)) {
      session_->connecting(now_);
      session_->connected(now_);
      server_.connect();
      up_ = true;
    }
    if (up_) {
      to_server_ += std::exchange(session_->output(), {});
      server_.receive(some_of(to_server_));
      server_.tick();
      const std::string part = some_of(server_.out);
      if (!part.empty()) session_->received(part, now_);
    }
    session_->tick(now_);
    if (up_ && session_->wants_close()) drop();
    check_forward();
    session_->take_events();
  }

  void check_forward() {
    for (const Message& m : db_.changed_since(cursor_, 10'000)) {
      cursor_ = {m.revision, m.id};
      if (m.incoming) {
        stored_.insert(m.seq);
        continue;
      }
      State& before = states_[m.id.value];
      EXPECT_GE(m.state, before) << "message " << m.id.value << " moved backwards";
      before = m.state;
      if (m.state == State::delivered) {
        EXPECT_TRUE(server_.told_delivered.contains(m.seq));
      }
      if (m.state == State::read) {
        EXPECT_TRUE(server_.told_read.contains(m.seq)) << "a forged receipt was believed";
      }
    }
  }

  bool settled() {
    if (!up_ || !server_.quiet()) return false;
    for (const MessageRow row : written_)
      if (const State s = db_.message(row)->state; s < State::failed) return false;
    return true;
  }

  void check_end() {
    std::uint64_t last = 0;
    for (const std::uint64_t seq : server_.first_taken) {
      EXPECT_GT(seq, last) << "Bob saw messages out of order";
      last = seq;
    }
    std::size_t arrived = 0;
    for (std::size_t i = 0; i < written_.size(); ++i) {
      const Message m = db_.message(written_[i]).value();
      const bool refused = server_.failed_for_good.contains(m.seq);
      if (!refused) {
        EXPECT_GE(m.state, State::delivered) << "message " << i << " is " << name_of(m.state);
      }
      if (m.state < State::delivered) continue;
      ++arrived;
      EXPECT_EQ(server_.taken_by_bob.at(m.seq), text_bytes("m" + std::to_string(i)));
    }
    EXPECT_GT(arrived, written_.size() / 2);
    std::set<std::uint64_t> shown;
    for (const Message& m : db_.history(bob_, 100'000))
      if (m.incoming) {
        EXPECT_TRUE(shown.insert(m.seq).second) << "shown twice: " << m.seq;
      }
    EXPECT_EQ(shown.size(), server_.bob_sent()) << "something from Bob was lost";
    if (testing::Test::HasFailure()) std::cerr << "replay with BARID_SEED=" << seed_ << "\n";
  }

  Random random_;
  SqliteStore db_{":memory:", SqliteStore::Sealing::off};
  FullDisk disk_{db_};
  Server server_;
  std::uint64_t seed_;
  PeerId bob_;
  std::unique_ptr<Session> session_;
  Now now_{TimePoint() + std::chrono::hours(1), WallMs{1'790'000'000'000}};
  bool up_ = false;
  int failures_ = 0;
  std::string to_server_;
  std::vector<MessageRow> written_;
  std::map<std::int64_t, State> states_;
  Cursor cursor_;
  std::set<std::uint64_t> stored_;
};

TEST(ClientSimulation, NothingIsLostDoubledReorderedOrForged) {
  crypto::init_crypto();
  const char* one = std::getenv("BARID_SEED");
  const std::uint64_t first = one != nullptr ? std::strtoull(one, nullptr, 10) : 1;
  const std::uint64_t last = one != nullptr ? first : first + 39;
  int failures = 0;
  std::size_t told_read = 0;
  for (std::uint64_t seed = first; seed <= last && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world(seed);
    world.play();
    failures += world.failures();
    told_read += world.told_read();
  }
  if (one != nullptr || HasFailure()) return;
  EXPECT_GT(failures, 0) << "the store never failed: this simulation proves less than it says";
  EXPECT_GT(told_read, 0U);
}

}  // namespace
}  // namespace barid::client::test
