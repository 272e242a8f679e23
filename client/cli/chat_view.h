// A conversation as rows of a screen. Pure: messages and a size in, a frame out. Owned by the chat, its
// thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "client/cli/line_editor.h"
#include "client/cli/terminal.h"
#include "client/core/types.h"

namespace barid::cli {

class ChatView {
 public:
  struct State {
    std::string title;  // whom one talks to
    std::string link;   // "online", "offline, next try in 3 s"
    bool link_good = false;
    std::string notice;             // the line above the input
    std::vector<std::string> help;  // shown instead of messages when not empty
  };

  // Who wrote a message, where that is not clear; empty: it is.
  using Author = std::function<std::string(const client::Message&)>;
  void name_authors(Author author) { author_ = std::move(author); }

  // The conversation, oldest first. Rows are laid out once per message and width.
  void set_messages(std::vector<client::Message> messages);
  void update(const client::Message& message);  // known: in place; else appended
  void prepend(std::vector<client::Message> older);
  const std::vector<client::Message>& messages() const { return messages_; }

  Terminal::Frame frame(const State& state, const LineEditor& editor, Terminal::Size size);

  void scroll(std::ptrdiff_t rows);  // positive: back in time
  void scroll_to_end() { offset_ = 0, unseen_ = 0; }
  bool at_end() const { return offset_ == 0; }
  bool wants_older() const { return wants_older_; }  // the top was reached

 private:
  struct Laid {
    std::vector<std::string> rows;
    client::State state = client::State::queued;
  };
  const Laid& lay(std::size_t index, std::size_t columns);
  std::vector<std::string> conversation(std::size_t rows, std::size_t columns);

  Author author_;
  std::vector<client::Message> messages_;
  std::vector<Laid> laid_;
  std::size_t laid_columns_ = 0;
  std::size_t offset_ = 0;  // rows between the last message and the bottom row
  std::size_t unseen_ = 0;  // messages that came while scrolled back
  std::size_t page_ = 1;
  bool wants_older_ = false;
};

// One message as rows, coloured; `columns` wide at most.
std::vector<std::string> lay_message(const client::Message& message, std::size_t columns,
                                     const std::string& author = {});

}  // namespace barid::cli
