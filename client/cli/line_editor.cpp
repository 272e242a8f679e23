#include "client/cli/line_editor.h"

#include <algorithm>

#include "client/cli/text.h"

namespace barid::cli {

using Kind = Key::Kind;

void LineEditor::insert(std::string_view text) {
  const std::string clean = printable(text, true);
  if (text_.size() + clean.size() > kBytesMax) return;
  text_.insert(cursor_, clean);
  cursor_ += clean.size();
}

void LineEditor::erase(std::size_t from, std::size_t to) {
  text_.erase(from, to - from);
  cursor_ = from;
}

std::size_t LineEditor::word_left() const {
  std::size_t at = cursor_;
  while (at > 0 && text_[at - 1] == ' ') --at;
  while (at > 0 && text_[at - 1] != ' ') --at;
  return at;
}

std::size_t LineEditor::word_right() const {
  std::size_t at = cursor_;
  while (at < text_.size() && text_[at] == ' ') ++at;
  while (at < text_.size() && text_[at] != ' ') ++at;
  return at;
}

void LineEditor::recall(std::size_t index) {
  if (index > history_.size() || index == at_) return;
  if (at_ == history_.size()) draft_ = text_;
  at_ = index;
  text_ = at_ == history_.size() ? draft_ : history_[at_];
  cursor_ = text_.size();
}

bool LineEditor::control(char letter) {
  switch (letter) {
    case 'a':
      cursor_ = 0;
      return true;
    case 'e':
      cursor_ = text_.size();
      return true;
    case 'b':
      cursor_ = previous_cluster(text_, cursor_);
      return true;
    case 'f':
      cursor_ = next_cluster(text_, cursor_);
      return true;
    case 'k':
      erase(cursor_, text_.size());
      return true;
    case 'u':
      erase(0, cursor_);
      return true;
    case 'w':
      erase(word_left(), cursor_);
      return true;
    case 'p':
      if (at_ > 0) recall(at_ - 1);
      return true;
    case 'n':
      recall(at_ + 1);
      return true;
    case 'd':
      if (text_.empty()) return false;
      erase(cursor_, next_cluster(text_, cursor_));
      return true;
    default:
      return false;
  }
}

bool LineEditor::press(const Key& key) {
  switch (key.kind) {
    case Kind::text:
    case Kind::paste:
      insert(key.text);
      return true;
    case Kind::newline:
      insert("\n");
      return true;
    case Kind::backspace:
      erase(previous_cluster(text_, cursor_), cursor_);
      return true;
    case Kind::erase: {
      const std::size_t from = cursor_;
      erase(from, next_cluster(text_, from));
      return true;
    }
    case Kind::left:
      cursor_ = previous_cluster(text_, cursor_);
      return true;
    case Kind::right:
      cursor_ = next_cluster(text_, cursor_);
      return true;
    case Kind::word_left:
      cursor_ = word_left();
      return true;
    case Kind::word_right:
      cursor_ = word_right();
      return true;
    case Kind::home:
      cursor_ = 0;
      return true;
    case Kind::end:
      cursor_ = text_.size();
      return true;
    case Kind::up:
      if (at_ > 0) recall(at_ - 1);
      return true;
    case Kind::down:
      recall(at_ + 1);
      return true;
    case Kind::control:
      return control(key.text.empty() ? '\0' : key.text[0]);
    case Kind::enter:
    case Kind::tab:
    case Kind::escape:
    case Kind::page_up:
    case Kind::page_down:
      return false;
  }
  return false;
}

std::string LineEditor::take() {
  std::string taken = std::move(text_);
  text_.clear();
  draft_.clear();
  cursor_ = 0;
  if (!taken.empty() && (history_.empty() || history_.back() != taken)) history_.push_back(taken);
  if (history_.size() > kHistoryMax) history_.erase(history_.begin());
  at_ = history_.size();
  return taken;
}

LineEditor::View LineEditor::view(std::size_t columns) const {
  const auto shown = [](std::string_view text) {
    std::string out;
    for (const char c : text) out += c == '\n' ? std::string("⏎") : std::string(1, c);
    return out;
  };
  columns = std::max<std::size_t>(columns, 4);
  // Scroll by clusters until what is before the cursor fits, leaving a column for the cursor itself.
  std::size_t start = 0;
  std::string before = shown(text_.substr(0, cursor_));
  std::size_t total = width(before);
  while (total > columns - 1) {
    const std::size_t next = next_cluster(text_, start);
    total -= std::min(total, width(shown(text_.substr(start, next - start))));
    start = next;
  }
  const std::string all = shown(text_.substr(start));
  return {width(all) > columns ? cut(all, columns) : all, width(shown(text_.substr(start, cursor_ - start)))};
}

}  // namespace barid::cli
