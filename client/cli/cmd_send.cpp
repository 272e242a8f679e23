#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include "client/cli/commands.h"
#include "client/cli/compose.h"
#include "client/cli/groups.h"
#include "client/cli/media.h"
#include "client/cli/render.h"
#include "client/cli/text.h"
#include "client/core/client.h"

namespace barid::cli {
namespace {

constexpr std::size_t kWrittenTogetherMax = 500;  // messages of one transaction, with --lines
constexpr double kPatienceS = 15, kWaitS = 60;
constexpr milliseconds kReportEvery{200};

using client::State;

content::Content only_content(const SendOptions& o) {
  using content::MediaKind;
  if (!o.file.empty()) return file_content(o.file, o.as_file);
  if (!o.image.empty()) return media_content(MediaKind::image, o.image, o.caption);
  if (!o.audio.empty()) return media_content(MediaKind::audio, o.audio, o.caption);
  if (!o.video.empty()) return media_content(MediaKind::video, o.video, o.caption);
  if (!o.document.empty()) return media_content(MediaKind::document, o.document, o.caption);
  if (!o.location.empty()) return location_content(o.location, o.place);
  if (!o.card.empty()) return card_content(o.card.at(0), o.card.at(1));
  std::string text;
  for (const std::string& word : o.text) text += (text.empty() ? "" : " ") + word;
  if (text.empty() || text == "-") text.assign(std::istreambuf_iterator<char>(std::cin), {});
  if (text.empty()) throw Failure(Exit::usage, "there is nothing to send");
  return text_content(std::move(text));
}

bool from_lines(const SendOptions& o) {
  if (!o.lines) return false;
  if (!o.text.empty() && !(o.text.size() == 1 && o.text[0] == "-"))
    throw Failure(Exit::usage, "--lines reads standard input: give no text with it");
  return true;
}

State wanted_state(const std::string& wait) {
  return wait == "delivered" ? State::delivered : wait == "read" ? State::read : State::accepted;
}

// What became of the messages of this command, kept up to date from the store's changes.
class Tally {
 public:
  explicit Tally(State wanted) : wanted_(wanted) {}
  void add(client::MessageRow row) { open_.insert(row.value), last_ = row, ++all_; }
  void update(client::SqliteStore& store, client::Cursor& cursor) {
    for (auto changed = store.changed_since(cursor, 1000); !changed.empty();
         changed = store.changed_since(cursor, 1000))
      for (const client::Message& m : changed) {
        cursor = {m.revision, m.id};
        note(m);
      }
  }
  void note(const client::Message& m) {
    if (!open_.contains(m.id.value)) return;
    if (m.state == State::failed) ++failed_, reason_ = m.reason;
    if (m.state == State::failed || m.state >= wanted_) open_.erase(m.id.value);
  }
  std::size_t open() const { return open_.size(); }
  std::size_t all() const { return all_; }
  std::size_t failed() const { return failed_; }
  wire::Code reason() const { return reason_; }
  client::MessageRow last() const { return last_; }

 private:
  State wanted_;
  std::set<std::int64_t> open_;
  std::size_t all_ = 0, failed_ = 0;
  wire::Code reason_ = wire::Code::none;
  client::MessageRow last_;
};

void enqueue_lines(client::SqliteStore& store, const client::Peer& to, Tally& tally, client::Client* client) {
  std::string line;
  bool more = true;
  while (more && !stop_requested()) {
    client::Scope scope(store);
    for (std::size_t n = 0; n < kWrittenTogetherMax; ++n) {
      if (!(more = static_cast<bool>(std::getline(std::cin, line)))) break;
      if (line.empty()) continue;
      tally.add(store.enqueue(to.id, encode_or_fail(text_content(line)), wall_now()));
    }
    scope.commit();
    if (client != nullptr) client->wrote(), client->turn(milliseconds(0));
  }
}

Exit report(const Context& context, client::SqliteStore& store, const client::Peer& to, const Tally& tally,
            const std::string& word, Exit code) {
  if (context.json) {
    const auto last = store.message(tally.last());
    nlohmann::json object{{"type", "sent"},
                          {"messages", tally.all()},
                          {"waiting", tally.open()},
                          {"failed", tally.failed()},
                          {"outcome", word}};
    if (tally.failed() != 0) object["reason"] = std::string(wire::name_of(tally.reason()));
    if (tally.all() == 1 && last) {
      object["message"] = nlohmann::json::parse(message_json(*last, store.peer(to.id).value_or(to), store.account()));
      object["state"] = std::string(client::name_of(last->state));
    }
    std::cout << object.dump() << std::endl;
  } else if (code == Exit::ok) {
    context.say(tally.all() == 1 ? word : std::to_string(tally.all()) + " messages " + word);
  } else {
    throw Failure(code, word);
  }
  return code;
}

struct Outcome {
  std::string word;
  Exit code = Exit::ok;
};

Outcome outcome_of(const SendOptions& o, const Tally& tally, client::SqliteStore& store, const client::Client& client) {
  using Kind = client::Client::Link::Kind;
  const auto& link = client.link();
  if (tally.failed() != 0)
    return {std::to_string(tally.failed()) + " of " + std::to_string(tally.all()) +
                " not sent: " + reason_text(tally.reason()),
            Exit::refused};
  if (tally.open() == 0) {
    const auto last = store.message(tally.last());
    return {std::string(client::name_of(last && tally.all() == 1 ? last->state : wanted_state(o.wait))), Exit::ok};
  }
  if (const auto last = store.message(tally.last())) {
    const auto peer = store.peer(last->peer);
    const auto identity = peer ? store.identity(peer->user) : std::nullopt;
    if (identity && identity->held) return {"not sent: " + identity_text(store, peer->user), Exit::refused};
  }
  if (link.kind == Kind::stopped) return {"queued, but cannot go out: " + printable(link.text), Exit::not_registered};
  const bool offline = link.kind == Kind::offline || link.kind == Kind::connecting;
  const std::string left = std::to_string(tally.open()) + " of " + std::to_string(tally.all());
  if (o.wait.empty())
    return {offline ? "queued (offline: " + printable(link.text) + "); goes out with the next barid that is online"
                    : "queued; goes out with the next barid that is online",
            Exit::ok};
  if (offline) return {"offline, " + left + " queued: " + printable(link.text), Exit::offline};
  return {"timed out: " + left + " not " + o.wait + " yet", Exit::timed_out};
}

}  // namespace

Exit run_send(const Context& context, const SendOptions& options) {
  SendOptions o = options;
  if (!o.group.empty() && !o.to.empty()) o.text.insert(o.text.begin(), std::exchange(o.to, {}));
  if (o.group.empty() && o.to.empty())
    throw Failure(Exit::usage, "say to whom: barid send TO TEXT, or --group NAME TEXT");
  const bool lines = from_lines(o);
  const auto store = context.open_account();
  const client::Peer to = find_conversation(*store, o.group.empty() ? o.to : o.group, !o.group.empty());
  if (to.group != GroupId() && store->group(to.group)->role == wire::GroupRole::none)
    throw Failure(Exit::refused, "you are not in " + name_of(to) + " any more");
  Tally tally(wanted_state(o.wait));
  client::Cursor cursor{store->revision(), client::MessageRow(INT64_MAX)};
  content::Content content;
  if (!lines) content = only_content(o);
  const bool is_file = !lines && !o.file.empty() && std::holds_alternative<content::Media>(content);
  const std::string one = lines ? std::string() : encode_or_fail(content);
  if (o.wait == "none" && !is_file) {
    if (lines)
      enqueue_lines(*store, to, tally, nullptr);
    else
      tally.add(store->enqueue(to.id, one, wall_now()));
    client::Nudge(context.directory()).ring();
    return report(context, *store, to, tally, "queued", Exit::ok);
  }
  client::Client client(*store, context.directory());
  if (lines) {
    enqueue_lines(*store, to, tally, &client);
  } else if (is_file) {
    auto media = std::get<content::Media>(content);
    media.caption = o.caption;
    tally.add(send_media(context, client, *store, to, o.file, std::move(media))), client.wrote();
    if (o.wait == "none") return report(context, *store, to, tally, "queued", Exit::ok);
  } else {
    tally.add(store->enqueue(to.id, one, wall_now())), client.wrote();
  }

  const double patience = o.timeout_s > 0 ? o.timeout_s : o.wait.empty() ? kPatienceS : kWaitS;
  TimePoint until = steady_now() + milliseconds(static_cast<std::int64_t>(patience * 1000));
  std::size_t open_before = tally.open();
  while (tally.open() != 0 && !stop_requested()) {
    const TimePoint now = steady_now();
    if (now >= until) break;
    const auto left = std::chrono::ceil<milliseconds>(until - now);
    if (client.turn(std::min(left, kReportEvery)).changed) tally.update(*store, cursor);
    // Without an explicit time-out, progress is a reason to go on waiting.
    if (o.timeout_s <= 0 && tally.open() < open_before)
      until = steady_now() + milliseconds(static_cast<std::int64_t>(patience * 1000));
    open_before = tally.open();
    using Kind = client::Client::Link::Kind;
    if (client.link().kind == Kind::stopped) break;
    if (o.wait.empty() && client.link().kind == Kind::offline && client.link().tried) break;
  }
  tally.update(*store, cursor);
  const Outcome outcome = outcome_of(o, tally, *store, client);
  return report(context, *store, to, tally, outcome.word, outcome.code);
}

}  // namespace barid::cli
