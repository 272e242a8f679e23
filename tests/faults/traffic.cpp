#include "tests/faults/traffic.h"

#include <algorithm>
#include <csignal>

#include "base/crypto.h"
#include "client/core/server_url.h"
#include "schemas/content.h"

namespace barid::test {

using namespace std::chrono_literals;
using client::Client;
using client::SqliteStore;

namespace {

constexpr std::size_t kHeardTogetherMax = 200;
constexpr milliseconds kTurnMax{100};  // more: the machine had something else to do

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
    Person p;
    p.folder = folder + "/" + std::to_string(i);
    std::filesystem::create_directories(p.folder);
    p.store = std::make_unique<SqliteStore>(":memory:", SqliteStore::Sealing::off);
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
    p.store->save_account(account);
    p.home = partition_of(registered.user, partitions);
    p.partner = i ^ 1U;
    p.to = p.store->ensure_phone(phone_of(p.partner)).id;
    people_.push_back(std::move(p));
  }
  const TimePoint now = steady_now();
  for (std::size_t i = 0; i < people_.size(); ++i) {
    people_[i].client = std::make_unique<Client>(*people_[i].store, people_[i].folder);
    people_[i].next = now + pace * static_cast<int>(i) / static_cast<int>(people_.size());
  }
}

void Traffic::listen(Person& person, TimePoint now) {
  const auto news = person.store->not_listened(kHeardTogetherMax);
  if (news.empty()) return;
  for (const client::Message& m : news) {
    const std::string expected = text_of(person.heard);
    if (m.content != expected && wrong_.empty()) {
      const auto got = content::decode(m.content);
      const auto* text = got ? std::get_if<content::Text>(&*got) : nullptr;
      wrong_ = "message " + (text != nullptr ? text->text : "?") + " came where " + std::to_string(person.heard) +
               " was due";
    }
    ++person.heard;
  }
  person.store->set_listened(news.back().id);
  auto [last, first_time] = last_.try_emplace(person.home, Heard{now, stalled_});
  auto& longest = longest_[person.home];
  longest = std::max(longest, since(last->second, now));
  last->second = {now, stalled_};
}

milliseconds Traffic::since(const Heard& last, TimePoint now) const {
  return std::max(milliseconds(0), std::chrono::duration_cast<milliseconds>(now - last.at) - (stalled_ - last.stalled));
}

void Traffic::turn(bool write) {
  const TimePoint begun = steady_now();
  if (const auto took = std::chrono::duration_cast<milliseconds>(begun - turned_);
      turned_ != TimePoint() && took > kTurnMax)
    stalled_ += took;
  turned_ = begun;
  for (Person& person : people_) {
    TimePoint now = steady_now();
    if (write && now >= person.next) {
      person.store->enqueue(person.to, text_of(person.written++), wall_now());
      ++sent_;
      person.client->wrote();
      person.next = std::max(person.next + pace_, now - pace_);
    }
    person.client->turn(0ms);
    listen(person, steady_now());
  }
}

void Traffic::run_for(milliseconds time, const std::function<bool()>& enough) {
  const TimePoint until = steady_now() + time;
  while (steady_now() < until && !(enough && enough())) turn(true);
}

Ran Traffic::run_while(const std::vector<std::string>& argv, std::chrono::seconds patience) {
  const TempDir dir;
  ChildProcess process(argv, dir.file("output"));
  run_for(patience, [&] { return !process.running(); });
  const auto status = process.wait(1ms);
  return {status && WIFEXITED(*status) ? WEXITSTATUS(*status) : -1, read_file(dir.file("output"))};
}

void Traffic::forget_gaps() {
  longest_.clear();
  last_.clear();
}

std::map<Partition, milliseconds> Traffic::gaps() const {
  auto gaps = longest_;
  for (const auto& [partition, last] : last_)  // one that stands still now
    gaps[partition] = std::max(gaps[partition], since(last, steady_now()));
  return gaps;
}

milliseconds Traffic::longest_gap() const {
  milliseconds longest{0};
  for (const auto& [partition, gap] : gaps()) longest = std::max(longest, gap);
  return longest;
}

std::string Traffic::settle(std::chrono::seconds patience) {
  const TimePoint latest = steady_now() + patience;
  const auto done = [this] {
    return std::all_of(people_.begin(), people_.end(), [this](Person& person) {
      return person.store->outbox(1).empty() && person.heard >= people_[person.partner].written;
    });
  };
  while (!done() && steady_now() < latest) turn(false);
  for (int i = 0; i < 50; ++i) turn(false);  // what comes twice would come now
  if (!wrong_.empty()) return wrong_;
  for (Person& person : people_) {
    const std::size_t written = people_[person.partner].written;
    if (person.heard != written)
      return std::to_string(written) + " were written and " + std::to_string(person.heard) + " heard";
    for (const auto& m : person.store->history(person.to, person.written + written + 1))
      if (!m.incoming && m.state != client::State::delivered)
        return "a message that was delivered is " + std::string(client::name_of(m.state)) + " to its sender";
  }
  return {};
}

}  // namespace barid::test
