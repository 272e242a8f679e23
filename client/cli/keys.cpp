#include "client/cli/keys.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"

namespace barid::cli {
namespace {

using Kind = Key::Kind;
constexpr std::string_view kPasteEnd = "\x1b[201~";
constexpr std::size_t kSequenceBytesMax = 32;  // a longer control sequence is noise

struct Named {
  std::string_view sequence;
  Kind kind;
};
// ECMA-48 and xterm's function keys ("XTerm Control Sequences", Dickey).
constexpr Named kNamed[] = {
    {"[A", Kind::up},           {"[B", Kind::down},          {"[C", Kind::right},        {"[D", Kind::left},
    {"OA", Kind::up},           {"OB", Kind::down},          {"OC", Kind::right},        {"OD", Kind::left},
    {"[H", Kind::home},         {"[F", Kind::end},           {"OH", Kind::home},         {"OF", Kind::end},
    {"[1~", Kind::home},        {"[4~", Kind::end},          {"[7~", Kind::home},        {"[8~", Kind::end},
    {"[3~", Kind::erase},       {"[5~", Kind::page_up},      {"[6~", Kind::page_down},   {"[1;5C", Kind::word_right},
    {"[1;5D", Kind::word_left}, {"[1;3C", Kind::word_right}, {"[1;3D", Kind::word_left}, {"b", Kind::word_left},
    {"f", Kind::word_right},    {"\r", Kind::newline},       {"\n", Kind::newline},
};

std::size_t utf8_length(unsigned char first) {
  return first < 0x80 ? 1 : first < 0xC0 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

}  // namespace

std::vector<Key> KeyReader::feed(std::string_view bytes) {
  std::vector<Key> keys;
  pending_.append(bytes);
  std::size_t used = 0;
  while (used < pending_.size()) {
    const std::size_t n = take_one(std::string_view(pending_).substr(used), keys);
    if (n == 0) break;
    used += n;
  }
  pending_.erase(0, used);
  return keys;
}

std::vector<Key> KeyReader::timeout() {
  std::vector<Key> keys;
  if (!half_way()) return keys;
  if (pending_ == "\x1b") keys.push_back({Kind::escape, {}});
  pending_.clear();
  return keys;
}

std::size_t KeyReader::take_one(std::string_view rest, std::vector<Key>& keys) {
  if (pasting_) {
    const std::size_t end = rest.find(kPasteEnd);
    // Keep what may be the beginning of the end marker.
    const std::size_t sure = end != std::string_view::npos     ? end
                             : rest.size() >= kPasteEnd.size() ? rest.size() - kPasteEnd.size() + 1
                                                               : 0;
    pasted_.append(rest.substr(0, std::min(sure, kPasteBytesMax - std::min(kPasteBytesMax, pasted_.size()))));
    if (end == std::string_view::npos) return sure;
    pasting_ = false;
    std::replace(pasted_.begin(), pasted_.end(), '\r', '\n');
    keys.push_back({Kind::paste, std::exchange(pasted_, {})});
    return end + kPasteEnd.size();
  }
  const auto c = static_cast<unsigned char>(rest[0]);
  if (c == 0x1b) return take_escape(rest, keys);
  if (c == '\r' || c == '\n')
    keys.push_back({Kind::enter, {}});
  else if (c == '\t')
    keys.push_back({Kind::tab, {}});
  else if (c == 0x7f || c == 0x08)
    keys.push_back({Kind::backspace, {}});
  else if (c < 0x20)
    keys.push_back({Kind::control, std::string(1, static_cast<char>('a' + c - 1))});
  else {
    const std::size_t n = utf8_length(c);
    if (rest.size() < n) return 0;
    if (!is_valid_utf8(rest.substr(0, n))) return 1;
    if (!keys.empty() && keys.back().kind == Kind::text)
      keys.back().text.append(rest.substr(0, n));
    else
      keys.push_back({Kind::text, std::string(rest.substr(0, n))});
    return n;
  }
  return 1;
}

std::size_t KeyReader::take_escape(std::string_view rest, std::vector<Key>& keys) {
  if (rest.size() == 1) return 0;
  std::size_t length = 2;
  if (rest[1] == '[') {
    while (length < rest.size() && (rest[length] < 0x40 || rest[length] > 0x7e)) ++length;
    if (length > kSequenceBytesMax) return length;
    if (length == rest.size()) return 0;
    ++length;
  } else if (rest[1] == 'O') {
    if (rest.size() < 3) return 0;
    length = 3;
  } else if (rest[1] == 0x1b) {
    keys.push_back({Kind::escape, {}});
    return 1;
  }
  const std::string_view sequence = rest.substr(1, length - 1);
  if (sequence == "[200~") {
    pasting_ = true;
    return length;
  }
  for (const Named& named : kNamed)
    if (named.sequence == sequence) keys.push_back({named.kind, {}});
  return length;
}

}  // namespace barid::cli
