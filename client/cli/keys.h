// What a terminal sends, as keys. Pure and incremental: bytes in whatever pieces they arrive. Owned by the
// chat, its thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace barid::cli {

struct Key {
  enum class Kind {
    text,
    paste,
    enter,
    backspace,
    erase,
    left,
    right,
    up,
    down,
    home,
    end,
    word_left,
    word_right,
    page_up,
    page_down,
    tab,
    escape,
    control /* text holds the letter */,
    newline /* Alt-Enter */,
  };
  Kind kind = Kind::text;
  std::string text;
  bool operator==(const Key&) const = default;
};

class KeyReader {
 public:
  static constexpr std::size_t kPasteBytesMax = 256 * 1024;  // what is pasted beyond it is dropped

  std::vector<Key> feed(std::string_view bytes);
  bool half_way() const { return !pending_.empty() && !pasting_; }
  std::vector<Key> timeout();  // nothing followed: a lone ESC is the escape key

 private:
  std::size_t take_one(std::string_view rest, std::vector<Key>& keys);  // bytes used; 0: more are needed
  std::size_t take_escape(std::string_view rest, std::vector<Key>& keys);

  std::string pending_, pasted_;
  bool pasting_ = false;
};

}  // namespace barid::cli
