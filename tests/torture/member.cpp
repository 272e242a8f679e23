#include "tests/torture/member.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <random>
#include <stdexcept>

#include "base/log.h"
#include "client/core/client.h"
#include "schemas/content.h"
#include "tests/torture/letter.h"
#include "tests/torture/record.h"

namespace barid::torture {
namespace {

volatile std::sig_atomic_t g_quiet = 0, g_stop = 0;

struct Conversation {
  std::string name;
  client::PeerId peer;
};

class Member {
 public:
  explicit Member(const MemberOptions& options)
      : options_(options),
        store_(options.folder),
        record_(::open(options.record.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)),
        random_(options.seed) {
    if (record_ < 0) throw std::runtime_error("cannot write " + options.record);
    write_out("\n");  // whoever was killed before us may have left half a line
    store_.set_server(options.server, "");
    for (const std::string& person : options.people) {
      const std::size_t at = person.find('=');
      const std::string name = person.substr(0, at);
      if (name != options.name) people_.push_back({"@" + name, store_.ensure_phone(person.substr(at + 1)).id});
      if (people_.size() <= options.steady && name != options.name) steady_ = people_.size();
    }
    observe();  // what there is from before, and with it how far we had counted
    random_.seed(options.seed + static_cast<std::uint32_t>(cursor_.row.value));
    client_ = std::make_unique<client::Client>(store_, options.folder);
  }
  ~Member() { ::close(record_); }
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;

  void run() {
    TimePoint write_at = steady_now(), read_at = write_at + kReadEvery;
    while (g_stop == 0) {
      const bool quiet = options_.quiet || g_quiet != 0;
      const TimePoint now = steady_now();
      if (!quiet && now >= write_at) {
        write();
        write_at = now + milliseconds(below(2 * static_cast<std::uint32_t>(options_.pace.count())) + 1);
      }
      if (now >= read_at) {
        if (!quiet || !all_read_) read(quiet);
        read_at = now + kReadEvery;
      }
      client_->turn(quiet ? kTurn
                          : std::clamp(std::chrono::ceil<milliseconds>(write_at - now), milliseconds(0), kTurn));
      observe();
    }
  }

 private:
  static constexpr milliseconds kTurn{50}, kReadEvery{700};
  static constexpr std::size_t kBurstMax = 8;  // messages written at once, now and then

  std::uint32_t below(std::uint32_t bound) { return static_cast<std::uint32_t>(random_() % bound); }

  Conversation pick() {
    if (!options_.groups.empty() && below(4) == 0) {
      const std::string& name = options_.groups[below(static_cast<std::uint32_t>(options_.groups.size()))];
      const auto known = store_.find_groups(name);
      if (!known.empty() && known.front().role != wire::GroupRole::none) return {"#" + name, known.front().peer};
    }
    // Half of it to those who are never hit: so it is known soon whether what we write arrives.
    const bool to_steady = steady_ > 0 && below(2) == 0;
    return people_[below(static_cast<std::uint32_t>(to_steady ? steady_ : people_.size()))];
  }

  void write() {
    const std::size_t burst = below(10) == 0 ? 1 + below(kBurstMax) : 1;
    client::Scope together(store_);
    for (std::size_t i = 0; i < burst; ++i) {
      const Conversation to = pick();
      auto content = content::encode(content::Text{text_of({options_.name, to.name, ++numbers_[to.name]})});
      if (!content) throw std::runtime_error("a letter that can't be encoded");
      store_.enqueue(to.peer, *std::move(content), wall_now());
    }
    together.commit();
    client_->wrote();
  }

  void read(bool all) {
    bool marked = false;
    for (const auto& peer : store_.peers())
      if (all || below(3) == 0) marked = store_.mark_read(peer.id, wall_now()) != 0 || marked;
    for (const auto& group : store_.groups())
      if (all || below(3) == 0) marked = store_.mark_read(group.peer, wall_now()) != 0 || marked;
    if (marked) client_->wrote();
    all_read_ = all;
  }

  void observe() {
    constexpr std::size_t kLook = 500;
    std::string lines;
    for (;;) {
      const auto changed = store_.changed_since(cursor_, kLook);
      for (const auto& message : changed) {
        cursor_ = {message.revision, message.id};
        lines += line_of(message);
      }
      if (changed.size() < kLook) break;
    }
    if (!lines.empty()) write_out(lines);
  }

  std::string line_of(const client::Message& m) {
    const auto content = content::decode(m.content);
    const auto* text = content ? std::get_if<content::Text>(&*content) : nullptr;
    if (text == nullptr) return {};  // can't be decrypted yet
    const auto letter = letter_of(text->text);
    if (m.incoming) {
      if (!letter) return to_line(Incoming{m.id.value, "@nobody", "nobody", 0, m.delivered_ms, m.read_ms, false});
      return to_line(Incoming{m.id.value, letter->conversation, letter->author, letter->number, m.delivered_ms,
                              m.read_ms, letter->intact});
    }
    if (!letter) return {};
    numbers_[letter->conversation] = std::max(numbers_[letter->conversation], letter->number);
    return to_line(Outgoing{m.id.value, letter->conversation, letter->number, m.state, m.got, m.seen, m.created_ms,
                            wall_now().value});
  }

  void write_out(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t n = ::write(record_, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) throw std::runtime_error("cannot write " + options_.record);
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
  }

  MemberOptions options_;
  client::SqliteStore store_;
  int record_;
  std::mt19937 random_;
  std::vector<Conversation> people_;  // the steady ones first
  std::size_t steady_ = 0;
  std::map<std::string, std::uint64_t> numbers_;  // the last one that was used, by conversation
  client::Cursor cursor_{};
  bool all_read_ = false;
  std::unique_ptr<client::Client> client_;
};

}  // namespace

void run_member(const MemberOptions& options) {
  struct sigaction action {};
  action.sa_handler = [](int) { g_quiet = 1; };
  ::sigaction(SIGUSR1, &action, nullptr);
  action.sa_handler = [](int) { g_stop = 1; };
  ::sigaction(SIGTERM, &action, nullptr);
  Member member(options);
  member.run();
}

}  // namespace barid::torture
