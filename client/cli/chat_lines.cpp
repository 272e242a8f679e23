// The chat without a screen: lines in, lines out; for pipes, dumb terminals and screen readers.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <iostream>
#include <set>

#include "client/cli/chat.h"
#include "client/cli/groups.h"
#include "client/cli/render.h"
#include "client/cli/text.h"

namespace barid::cli {
namespace {

constexpr seconds kLastWords{15};  // at the end of the input: until all is accepted

class Lines {
 public:
  Lines(Conversation& conversation, client::Client& client) : conversation_(conversation), client_(client) {}

  Exit run() {
    conversation_.mark_read();
    show_link();
    TimePoint give_up = TimePoint::max();
    while (!quit_ && !stop_requested()) {
      if (input_done_ && (open_.empty() || steady_now() >= give_up)) break;
      const auto turn = client_.turn(milliseconds(500), input_done_ ? -1 : STDIN_FILENO);
      show_changes();
      show_link();
      show_presence();
      if (!turn.input) continue;
      read();
      if (input_done_) give_up = steady_now() + kLastWords;
    }
    show_changes();
    return open_.empty()                                                ? Exit::ok
           : client_.link().kind == client::Client::Link::Kind::offline ? Exit::offline
                                                                        : Exit::timed_out;
  }

 private:
  void show_link() {
    using Kind = client::Client::Link::Kind;
    const Kind kind = client_.link().kind;
    if (kind == shown_ || kind == Kind::connecting) return;
    shown_ = kind;
    std::cout << "* "
              << (kind == Kind::offline ? "offline: " + printable(client_.link().text) : conversation_.link_text())
              << std::endl;
  }

  void show_presence() {
    conversation_.watch();
    if (!conversation_.take_presence()) return;
    const std::string text = conversation_.presence_text();
    const bool group = conversation_.peer().group != GroupId();
    if (!text.empty()) std::cout << "* " << (group ? "" : name_of(conversation_.peer()) + ": ") << text << std::endl;
  }

  void show_changes() {
    const std::string name = name_of(conversation_.peer());
    bool came = false;
    for (const client::Message& m : conversation_.changes()) {
      if (!m.incoming) {
        if (m.state < client::State::accepted)
          open_.insert(m.id.value);
        else
          open_.erase(m.id.value);
        const std::string progress = progress_text(m);
        if (m.state > client::State::sent)
          std::cout << ticks(m.state) << " " << (progress.empty() ? std::string(client::name_of(m.state)) : progress)
                    << ": " << cut(describe(m.content), 40)
                    << (m.state == client::State::failed ? " (" + reason_text(m.reason) + ")" : "") << "\n";
      } else if (m.state != client::State::read) {
        came = true;
        const std::string author = conversation_.author_of(m);
        std::cout << clock_time(m.created_ms) << " " << (author.empty() ? name : author) << ": " << describe(m.content)
                  << "\n";
      }
    }
    if (came) conversation_.mark_read();
    if (const std::string news = conversation_.other_news(); !news.empty()) std::cout << "* " << news << "\n";
    for (const std::string& news : conversation_.group_news()) std::cout << "* " << news << "\n";
    std::cout << std::flush;
  }

  void read() {
    std::array<char, 4096> buffer;
    const ssize_t n = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (n > 0) input_.append(buffer.data(), static_cast<std::size_t>(n));
    if (n == 0) {
      input_done_ = true;
      if (!input_.empty()) input_ += '\n';
    }
    for (std::size_t end = input_.find('\n'); end != std::string::npos && !quit_; end = input_.find('\n')) {
      const std::string line = input_.substr(0, end);
      input_.erase(0, end + 1);
      if (line.empty()) continue;
      const auto said = conversation_.say(line);
      if (!said.notice.empty()) std::cout << "* " << printable(said.notice) << std::endl;
      for (const std::string& help : said.help) std::cout << help << "\n";
      quit_ = said.quit;
      show_changes();
    }
  }

  Conversation& conversation_;
  client::Client& client_;
  std::string input_;
  std::set<std::int64_t> open_;  // written here, not yet accepted
  bool input_done_ = false, quit_ = false;
  client::Client::Link::Kind shown_ = client::Client::Link::Kind::connecting;
};

}  // namespace

Exit chat_in_lines(Conversation& conversation, client::SqliteStore& store, client::Client& client) {
  for (const client::Message& m : store.history(conversation.peer().id, 10)) {
    const std::string author = conversation.author_of(m);
    std::cout << clock_time(m.created_ms) << " "
              << (!author.empty() ? author
                  : m.incoming    ? name_of(conversation.peer())
                                  : "me " + ticks(m.state))
              << ": " << describe(m.content) << "\n";
  }
  return Lines(conversation, client).run();
}

}  // namespace barid::cli
