#include "client/cli/chat.h"

#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "base/log.h"
#include "client/cli/chat_view.h"
#include "client/cli/commands.h"
#include "client/cli/compose.h"
#include "client/cli/groups.h"
#include "client/cli/presence.h"
#include "client/cli/render.h"
#include "client/cli/text.h"

namespace barid::cli {
namespace {

constexpr std::size_t kFirstMessages = 200, kOlderMessages = 200;
constexpr std::size_t kChangesMax = 500;
constexpr milliseconds kEscapePause{60};  // after it, a lone ESC is the escape key
constexpr milliseconds kClockTick{1000};  // the countdown to the next try

const std::vector<std::string> kHelp = {
    "",
    "Enter sends · Alt-Enter starts a new line · ↑ ↓ earlier lines",
    "PageUp PageDown scroll · Ctrl-C or Ctrl-D leaves",
    "",
    "/who                          who this is, and how we are connected; in a group: who is in it",
    "/receipts                     in a group: who has the last message",
    "/image URL [caption]          also /audio, /video, /document",
    "/location LAT,LON [place]     a place",
    "/contact PHONE NAME           somebody's number",
    "/file PATH                    a text file, or a reference to a file",
    "/retry                        connect now, do not wait",
    "/quit                         leaves",
    "",
    "…  on its way   ✓ at the server   ✓✓ at their device   blue ✓✓ read   ✗ failed",
    "",
    "Any key closes this."};

std::pair<std::string, std::string> first_word(const std::string& text) {
  const std::size_t space = text.find(' ');
  if (space == std::string::npos) return {text, {}};
  return {text.substr(0, space),
          text.substr(text.find_first_not_of(' ', space) == std::string::npos ? text.size()
                                                                              : text.find_first_not_of(' ', space))};
}

}  // namespace

Conversation::Conversation(client::SqliteStore& store, client::Client& client, client::Peer peer)
    : store_(store), client_(client), peer_(peer.id), cursor_{store.revision(), client::MessageRow(INT64_MAX)} {
  for (auto notes = store.notes_after(note_, kChangesMax); !notes.empty();
       notes = store.notes_after(note_, kChangesMax))
    note_ = notes.back().id;
  watch();
  for (auto notes = store.identity_notes_after(identity_note_, kChangesMax); !notes.empty();
       notes = store.identity_notes_after(identity_note_, kChangesMax))
    identity_note_ = notes.back().id;
}

client::Peer Conversation::peer() { return store_.peer(peer_).value_or(client::Peer{}); }

void Conversation::send(const std::string& content) {
  store_.enqueue(peer_, content, wall_now());
  client_.wrote();
}

Conversation::Said Conversation::say(const std::string& line) {
  try {
    if (line.starts_with("/") && !line.starts_with("//")) return command(line);
    send(encode_or_fail(text_content(line.starts_with("//") ? line.substr(1) : line)));
    return {};
  } catch (const Failure& failure) {
    return {failure.what(), {}, false};
  }
}

Conversation::Said Conversation::command(const std::string& line) {
  const auto [word, rest] = first_word(line.substr(1));
  const auto [one, two] = first_word(rest);
  using content::MediaKind;
  static constexpr std::pair<std::string_view, MediaKind> kMedia[] = {{"image", MediaKind::image},
                                                                      {"audio", MediaKind::audio},
                                                                      {"video", MediaKind::video},
                                                                      {"document", MediaKind::document}};
  for (const auto& [name, kind] : kMedia) {
    if (word != name) continue;
    if (one.empty()) return {"/" + word + " URL [caption]", {}, false};
    return send(encode_or_fail(media_content(kind, one, two))), Said{};
  }
  if (word == "quit" || word == "exit" || word == "q") return {{}, {}, true};
  if (word == "help" || word == "?") return {{}, kHelp, false};
  if (word == "location") return send(encode_or_fail(location_content(one, two))), Said{};
  if (word == "contact") return send(encode_or_fail(card_content(two.empty() ? one : two, one))), Said{};
  if (word == "file") {
    const content::Content content = file_content(rest, false);
    if (std::holds_alternative<content::Media>(content))
      return {
          "only short texts go from here; in another terminal: barid send WHO --file " + printable(rest), {}, false};
    return send(encode_or_fail(content)), Said{};
  }
  if (word == "retry") return client_.hurry(), Said{"connecting…", {}, false};
  if (word == "who") {
    const client::Peer p = peer();
    if (p.group != GroupId()) return {{}, members(), false};
    const client::Account me = store_.account();
    return {name_of(p) + " " + p.phone + (p.blocked ? " (blocked)" : "") + " · me: " + me.phone + " at " + me.server +
                " · " + link_text(),
            {},
            false};
  }
  if (word == "receipts") return {{}, receipts(), false};
  return {"there is no /" + printable(word) + "; /help lists what there is, // begins a text with a slash", {}, false};
}

std::vector<client::Message> Conversation::changes() {
  std::vector<client::Message> mine;
  for (auto batch = store_.changed_since(cursor_, kChangesMax); !batch.empty();
       batch = store_.changed_since(cursor_, kChangesMax))
    for (client::Message& m : batch) {
      cursor_ = {m.revision, m.id};
      if (m.peer == peer_) {
        mine.push_back(std::move(m));
      } else if (m.incoming && m.state != client::State::read) {
        news_ = "✉ " + name_of(store_.peer(m.peer).value_or(client::Peer{})) + " has written";
      }
    }
  return mine;
}

std::vector<std::string> Conversation::members() {
  std::vector<std::string> lines;
  const auto group = store_.group(peer().group);
  if (!group) return lines;
  lines.push_back(printable(group->name) + "  group:" + hex_id(group->id().value));
  if (!group->description.empty()) lines.push_back(printable(group->description));
  for (const auto& m : group->members)
    lines.push_back("  " + name_of(store_, m.user) +
                    (m.role == wire::GroupRole::member ? "" : "  (" + role_text(m.role) + ")"));
  return lines;
}

std::vector<std::string> Conversation::receipts() {
  const auto recent = store_.history(peer_, kFirstMessages);
  const auto last = std::find_if(recent.rbegin(), recent.rend(), [](const client::Message& m) { return !m.incoming; });
  if (last == recent.rend()) return {"you have written nothing here yet"};
  std::vector<std::string> lines{cut(describe(last->content), 40)};
  for (const client::GroupMark& mark : store_.marks(last->id)) {
    const std::string what = mark.read_ms != 0        ? "read " + date_time(mark.read_ms)
                             : mark.delivered_ms != 0 ? "delivered " + date_time(mark.delivered_ms)
                                                      : "not yet";
    lines.push_back("  " + name_of(store_, mark.user) + "  " + what);
  }
  return lines;
}

std::vector<std::string> Conversation::group_news() {
  std::vector<std::string> lines;
  const client::Peer with = peer();
  const GroupId group = with.group;
  for (auto notes = store_.identity_notes_after(identity_note_, kChangesMax); !notes.empty();
       notes = store_.identity_notes_after(identity_note_, kChangesMax))
    for (const client::IdentityNote& n : notes) {
      identity_note_ = n.id;
      if (n.user == with.user || group != GroupId()) lines.push_back(identity_text(store_, n.user));
    }
  if (group == GroupId()) return lines;
  for (auto notes = store_.notes_after(note_, kChangesMax); !notes.empty();
       notes = store_.notes_after(note_, kChangesMax))
    for (const client::GroupNote& n : notes) {
      note_ = n.id;
      if (n.group == group) lines.push_back(note_text(store_, n));
    }
  return lines;
}

std::string Conversation::author_of(const client::Message& m) {
  return m.incoming && m.author != UserId() ? name_of(store_, m.author) : std::string();
}

std::string Conversation::other_news() { return std::exchange(news_, {}); }

void Conversation::watch() {
  wire::Watch watch;
  add_to(watch, peer());
  if (watch.users == watched_.users && watch.groups == watched_.groups) return;
  watched_ = watch;
  client_.watch(watch);
}

bool Conversation::take_presence() {
  const std::string before = presence_text();
  for (const wire::PresenceEntry& entry : client_.take_presence()) {
    if (entry.group == GroupId()) {
      presence_ = entry;
      continue;
    }
    std::erase_if(typists_, [&](const auto& typist) { return typist.first == entry.user; });
    if (entry.typing != wire::TypingState::stopped)
      typists_.emplace_back(entry.user, name_of(store_, entry.user) + " is " + cli::presence_text(entry));
  }
  if (!link_good()) presence_ = {}, typists_.clear();  // who knows
  return presence_text() != before;
}

std::string Conversation::presence_text() const {
  return typists_.empty() ? cli::presence_text(presence_) : typists_.back().second;
}

void Conversation::typing(bool goes_on) {
  const client::Peer p = peer();
  client_.typing({p.group == GroupId() ? p.user : UserId(), p.group,
                  goes_on ? wire::TypingState::typing : wire::TypingState::stopped});
}

void Conversation::mark_read() {
  if (store_.mark_read(peer_, wall_now()) != 0) client_.wrote();
}

bool Conversation::link_good() const {
  using Kind = client::Client::Link::Kind;
  return client_.link().kind == Kind::online || client_.link().kind == Kind::elsewhere;
}

std::string Conversation::link_text() const {
  using Kind = client::Client::Link::Kind;
  const auto& link = client_.link();
  switch (link.kind) {
    case Kind::elsewhere:
      return "via another barid";
    case Kind::connecting:
      return "connecting…";
    case Kind::online:
      return "online";
    case Kind::stopped:
      return "stopped";
    case Kind::offline:
      break;
  }
  const auto left = std::chrono::ceil<seconds>(link.retry_at - steady_now()).count();
  return left > 0 ? "offline, next try in " + std::to_string(left) + " s" : "offline, connecting…";
}

namespace {

// The full-screen chat: keys in, frames out.
class Screen {
 public:
  Screen(Conversation& conversation, client::SqliteStore& store, client::Client& client, client::PeerId peer)
      : conversation_(conversation), store_(store), client_(client), peer_(peer) {
    view_.name_authors([this](const client::Message& m) { return conversation_.author_of(m); });
    view_.set_messages(store.history(peer, kFirstMessages));
  }

  Exit run() {
    conversation_.mark_read();
    bool changed = true;
    while (!quit_ && !stop_requested() && !terminal_.closed()) {
      if (changed) show_changes(), conversation_.watch();
      conversation_.take_presence();
      paint();
      const auto turn = client_.turn(keys_.half_way() ? kEscapePause : kClockTick, STDIN_FILENO);
      changed = turn.changed;
      const auto keys = turn.input         ? keys_.feed(terminal_.read())
                        : keys_.half_way() ? keys_.timeout()
                                           : std::vector<Key>();
      for (const Key& key : keys) press(key);
      if (terminal_.resized()) terminal_.repaint();
    }
    return Exit::ok;
  }

 private:
  void show_changes() {
    bool came = false;
    for (const client::Message& m : conversation_.changes()) {
      came = came || (m.incoming && m.state != client::State::read);
      view_.update(m);
    }
    if (came) conversation_.mark_read();
    if (std::string news = conversation_.other_news(); !news.empty()) notice_ = std::move(news);
    for (std::string& news : conversation_.group_news()) notice_ = std::move(news);
  }

  void paint() {
    const client::Peer p = conversation_.peer();
    const std::string presence = conversation_.presence_text();
    ChatView::State state{name_of(p) + (p.name.empty() ? "" : "  " + p.phone) + (p.blocked ? "  (blocked)" : "") +
                              (presence.empty() ? "" : " · " + presence),
                          conversation_.link_text(), conversation_.link_good(), notice_, help_};
    const auto& link = client_.link();
    using Kind = client::Client::Link::Kind;
    if (link.kind == Kind::offline || link.kind == Kind::stopped)  // why nothing moves comes first
      state.notice = printable(link.text) + (notice_.empty() ? "" : " · " + notice_);
    auto frame = view_.frame(state, editor_, terminal_.size());
    if (view_.wants_older() && !all_older_) {
      load_older();
      frame = view_.frame(state, editor_, terminal_.size());
    }
    terminal_.paint(frame);
  }

  void load_older() {
    const auto& shown = view_.messages();
    auto older =
        shown.empty() ? std::vector<client::Message>() : store_.history(peer_, kOlderMessages, shown.front().id);
    all_older_ = older.size() < kOlderMessages;
    view_.prepend(std::move(older));
  }

  void press(const Key& key) {
    if (!help_.empty()) {
      help_.clear();
      return;
    }
    const auto page = static_cast<std::ptrdiff_t>(std::max<std::size_t>(terminal_.size().rows, 6) - 4);
    const bool control = key.kind == Key::Kind::control;
    if (key.kind == Key::Kind::enter) return enter();
    if (key.kind == Key::Kind::page_up) return view_.scroll(page);
    if (key.kind == Key::Kind::page_down) return view_.scroll(-page);
    if (key.kind == Key::Kind::escape) return view_.scroll_to_end();
    if (control && key.text == "l") return terminal_.repaint();
    if (control && key.text == "c")
      quit_ = true;
    else if (!editor_.press(key) && control && key.text == "d")
      quit_ = true;
    conversation_.typing(!editor_.text().empty() && !editor_.text().starts_with("/"));
  }

  void enter() {
    const std::string line = editor_.take();
    if (line.find_first_not_of(" \n") == std::string::npos) return;
    view_.scroll_to_end();
    conversation_.typing(false);
    const auto said = conversation_.say(line);
    notice_ = printable(said.notice);
    help_ = said.help;
    quit_ = said.quit;
    show_changes();
  }

  Conversation& conversation_;
  client::SqliteStore& store_;
  client::Client& client_;
  client::PeerId peer_;
  ChatView view_;
  LineEditor editor_;
  KeyReader keys_;
  std::string notice_ = "/help lists the commands";
  std::vector<std::string> help_;
  bool quit_ = false, all_older_ = false;
  Terminal terminal_;  // last: restored first
};

}  // namespace

Exit run_chat(const Context& context, const std::string& who, bool group) {
  const auto store = context.open_account();
  const client::Peer peer = find_conversation(*store, who, group);
  client::Client client(*store, context.directory());
  Conversation conversation(*store, client, peer);
  if (!Terminal::available() || context.json) return chat_in_lines(conversation, *store, client);
  return Screen(conversation, *store, client, peer.id).run();
}

}  // namespace barid::cli
