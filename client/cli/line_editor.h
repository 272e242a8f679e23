// The line that a person is writing: editing by whole characters as seen (grapheme clusters), and a history.
// Pure; owned by the chat, its thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "client/cli/keys.h"

namespace barid::cli {

class LineEditor {
 public:
  static constexpr std::size_t kBytesMax = 60 * 1024;  // what one message can carry
  static constexpr std::size_t kHistoryMax = 500;

  bool press(const Key& key);  // true: handled here
  std::string take();          // the text, to be sent; it joins the history
  const std::string& text() const { return text_; }
  std::size_t cursor() const { return cursor_; }  // byte

  // One line of at most `columns`, scrolled so that the cursor is in it; newlines show as ⏎.
  struct View {
    std::string text;
    std::size_t cursor_column = 0;
  };
  View view(std::size_t columns) const;

 private:
  void insert(std::string_view text);
  void erase(std::size_t from, std::size_t to);
  bool control(char letter);
  std::size_t word_left() const;
  std::size_t word_right() const;
  void recall(std::size_t index);

  std::string text_, draft_;
  std::size_t cursor_ = 0;
  std::vector<std::string> history_;
  std::size_t at_ = 0;  // in history_; history_.size(): the draft
};

}  // namespace barid::cli
