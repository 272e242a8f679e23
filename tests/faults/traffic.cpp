#include "tests/faults/traffic.h"

#include <algorithm>
#include <optional>

#include "base/crypto.h"
#include "client/core/server_url.h"
#include "schemas/content.h"

namespace barid::test {

using namespace std::chrono_literals;
using client::Client;
using client::SqliteStore;

namespace {

constexpr std::size_t kHeardTogetherMax = 200;
constexpr milliseconds kTurn{10};

std::string text_of(std::size_t number) { return content::encode(content::Text{std::to_string(number)}).value(); }

decltype(wire::Response::body) ask(const client::ServerUrl& url, const decltype(wire::Request::body)& body) {
  const auto response = client::call_once(url, "", body, 20s);
  if (!response) throw std::runtime_error("request failed: " + response.error());
  if (const auto* error = std::get_if<wire::Error>(&response->body))
    throw std::runtime_error("request refused: " + error->text);
  return response->body;
}

}  // namespace

Traffic::Traffic(Stack& stack, const std::string& folder, std::size_t pairs, milliseconds pace,
                 std::uint16_t partitions)
    : pace_(pace) {
  const auto url = client::parse_server_url(stack.server());
  if (!url) throw std::runtime_error("server url");
  const auto phone_of = [](std::size_t i) { return "+49151200" + std::to_string(10'000 + i); };
  for (std::size_t i = 0; i < 2 * pairs; ++i) {
    auto p = std::make_unique<Person>();
    p->folder = folder + "/" + std::to_string(i);
    std::filesystem::create_directories(p->folder);
    p->store = std::make_unique<SqliteStore>(":memory:", SqliteStore::Sealing::off);
    const auto keys = crypto::make_key_pair();
    ask(*url, wire::RequestCode{phone_of(i)});
    const auto registered =
        std::get<wire::Registered>(ask(*url, wire::VerifyCode{phone_of(i), stack.code_for(phone_of(i)),
                                                              std::string(crypto::view(keys.public_key)), "test"}));
    client::Account account;
    account.phone = phone_of(i);
    account.name = "test";
    account.server = stack.server();
    account.key = keys.secret_key;
    account.token = registered.token;
    account.user = registered.user;
    account.device = registered.device;
    p->store->save_account(account);
    p->home = partition_of(registered.user, partitions);
    p->partner = i ^ 1U;
    p->to = p->store->ensure_phone(phone_of(p->partner)).id;
    people_.push_back(std::move(p));
  }
  const TimePoint now = steady_now();
  for (std::size_t i = 0; i < people_.size(); ++i)
    people_[i]->thread = std::thread(&Traffic::live, this, std::ref(*people_[i]),
                                     now + pace * static_cast<int>(i) / static_cast<int>(people_.size()));
}

Traffic::~Traffic() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  for (auto& person : people_) person->thread.join();
}

void Traffic::live(Person& person, TimePoint next) {
  Client client(*person.store, person.folder);
  while (true) {
    const TimePoint now = steady_now();
    std::optional<std::size_t> number;
    {
      const std::lock_guard lock(mutex_);
      if (stop_) return;
      if (writing_ && now >= next) {
        number = person.written++;
        person.resting = false;
      }
    }
    if (number) {
      person.store->enqueue(person.to, text_of(*number), wall_now());
      client.wrote();
      next = std::max(next + pace_, now - pace_);
    }
    client.turn(kTurn);
    listen(person);
    const bool nothing_under_way = person.store->outbox(1).empty();
    const std::lock_guard lock(mutex_);
    person.resting = nothing_under_way;
  }
}

void Traffic::listen(Person& person) {
  const auto news = person.store->not_listened(kHeardTogetherMax);
  if (news.empty()) return;
  person.store->set_listened(news.back().id);
  const TimePoint now = steady_now();
  const std::lock_guard lock(mutex_);
  for (const client::Message& m : news) {
    if (m.content != text_of(person.heard) && person.wrong.empty()) {
      const auto got = content::decode(m.content);
      const auto* text = got ? std::get_if<content::Text>(&*got) : nullptr;
      person.wrong = "message " + (text != nullptr ? text->text : "?") + " came where " + std::to_string(person.heard) +
                     " was due";
    }
    ++person.heard;
  }
  const auto last = last_.try_emplace(person.home, now).first;
  auto& longest = longest_[person.home];
  longest = std::max(longest, std::chrono::duration_cast<milliseconds>(now - last->second));
  last->second = now;
}

void Traffic::run_for(milliseconds time, const std::function<bool()>& enough) {
  [[maybe_unused]] const bool in_time = wait_until([&] { return enough && enough(); }, time);
}

void Traffic::forget_gaps() {
  const std::lock_guard lock(mutex_);
  longest_.clear();
  last_.clear();
}

std::map<Partition, milliseconds> Traffic::gaps() {
  const std::lock_guard lock(mutex_);
  auto gaps = longest_;
  for (const auto& [partition, last] : last_)  // one that stands still now
    gaps[partition] = std::max(gaps[partition], std::chrono::duration_cast<milliseconds>(steady_now() - last));
  return gaps;
}

milliseconds Traffic::longest_gap() {
  milliseconds longest{0};
  for (const auto& [partition, gap] : gaps()) longest = std::max(longest, gap);
  return longest;
}

std::size_t Traffic::written() {
  const std::lock_guard lock(mutex_);
  std::size_t sum = 0;
  for (const auto& person : people_) sum += person->written;
  return sum;
}

bool Traffic::everybody_rests() {
  const std::lock_guard lock(mutex_);
  return std::all_of(people_.begin(), people_.end(), [this](const auto& person) {
    return person->resting && person->heard >= people_[person->partner]->written;
  });
}

std::string Traffic::settle(std::chrono::seconds patience) {
  {
    const std::lock_guard lock(mutex_);
    writing_ = false;
  }
  const bool rest = wait_until([this] { return everybody_rests(); }, patience);
  const std::lock_guard lock(mutex_);
  writing_ = true;
  for (const auto& person : people_) {
    if (!person->wrong.empty()) return person->wrong;
    const std::size_t written = people_[person->partner]->written;
    if (person->heard != written)
      return std::to_string(written) + " were written and " + std::to_string(person->heard) + " heard";
  }
  return rest ? "" : "a sender has not heard that all was delivered";
}

}  // namespace barid::test
