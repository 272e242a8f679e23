#include "client/cli/chat_view.h"

#include <algorithm>

#include "client/cli/groups.h"
#include "client/cli/render.h"
#include "client/cli/text.h"

namespace barid::cli {
namespace {

constexpr const char* kReset = "\x1b[0m";
constexpr const char* kDim = "\x1b[2m";
constexpr const char* kGreen = "\x1b[32m";
constexpr const char* kBlue = "\x1b[1;34m";
constexpr const char* kRed = "\x1b[31m";
constexpr const char* kBar = "\x1b[7m";

std::string spaces(std::size_t count) { return std::string(count, ' '); }

std::string coloured_ticks(const client::Message& m) {
  const char* colour = m.state == client::State::read ? kBlue : m.state == client::State::failed ? kRed : kDim;
  return std::string(kReset) + colour + ticks(m.state) + kReset;
}

// Where a line of `used` columns starts: theirs on the left, ours on the right.
std::string indent(const client::Message& m, std::size_t used, std::size_t columns) {
  return m.incoming ? std::string(" ") : spaces(columns > used + 1 ? columns - used - 1 : 0);
}

std::string day_row(const client::Message& m, std::size_t columns) {
  const std::string text = cut("── " + day(m.created_ms) + " ──", columns);
  return spaces((columns - std::min(columns, width(text))) / 2) + kDim + text + kReset;
}

}  // namespace

std::vector<std::string> lay_message(const client::Message& m, std::size_t columns, const std::string& author) {
  const std::size_t room =
      std::max<std::size_t>(columns < 40 ? columns - std::min<std::size_t>(columns, 2) : columns * 3 / 4, 4);
  const std::string text = describe(m.content, true);
  const std::string time = clock_time(m.created_ms);
  const std::string mark = m.incoming ? "" : " " + ticks(m.state);
  const std::size_t meta = width(time) + width(mark);
  std::vector<std::string> lines = wrap(text, room);
  // The time follows the last line if it fits; never a line that runs from right to left: it would be drawn
  // in its middle.
  const bool same_line = width(lines.back()) + 2 + meta <= room && !right_to_left(lines.back());
  std::vector<std::string> rows;
  if (!author.empty())
    rows.push_back(" " + std::string(kBlue) + cut(author, columns - std::min<std::size_t>(columns, 2)) + kReset);
  const std::string tail = std::string(kDim) + time + kReset + (m.incoming ? "" : " " + coloured_ticks(m));
  std::size_t widest = meta;
  for (const std::string& line : lines) widest = std::max(widest, width(line));
  if (same_line) widest = std::max(widest, width(lines.back()) + 2 + meta);
  const std::string left = indent(m, widest, columns);
  const char* colour = m.incoming ? "" : kGreen;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    std::string row = left + colour + lines[i] + kReset;
    if (same_line && i + 1 == lines.size()) row += spaces(widest - width(lines[i]) - meta) + tail;
    rows.push_back(std::move(row));
  }
  if (!same_line) rows.push_back(left + spaces(m.incoming ? 0 : widest - meta) + tail);
  if (const std::string progress = progress_text(m); !progress.empty()) {
    const std::string line = cut(progress, columns - std::min<std::size_t>(columns, 2));
    rows.push_back(indent(m, width(line), columns) + kDim + line + kReset);
  }
  if (m.state == client::State::failed) {
    const std::string why = cut("not sent: " + reason_text(m.reason), columns - std::min<std::size_t>(columns, 2));
    rows.push_back(indent(m, width(why), columns) + kRed + why + kReset);
  }
  return rows;
}

void ChatView::set_messages(std::vector<client::Message> messages) {
  messages_ = std::move(messages);
  laid_.clear();
  laid_.resize(messages_.size());
}

void ChatView::update(const client::Message& message) {
  // Rows grow with time, and what changes is near the end.
  const auto before =
      std::find_if(messages_.rbegin(), messages_.rend(), [&](const auto& m) { return m.id <= message.id; });
  if (before != messages_.rend() && before->id == message.id) {
    const auto index = static_cast<std::size_t>(messages_.rend() - before) - 1;
    messages_[index] = message;
    laid_[index].rows.clear();
    return;
  }
  if (before == messages_.rend() && !messages_.empty()) return;  // older than all we show
  const auto at = before == messages_.rend() ? 0 : static_cast<std::size_t>(messages_.rend() - before);
  messages_.insert(messages_.begin() + static_cast<std::ptrdiff_t>(at), message);
  laid_.insert(laid_.begin() + static_cast<std::ptrdiff_t>(at), Laid{});
  if (offset_ == 0) return;
  if (laid_columns_ != 0) offset_ += lay(at, laid_columns_).rows.size();  // what is being read stays where it is
  if (message.incoming) ++unseen_;
}

void ChatView::prepend(std::vector<client::Message> older) {
  laid_.insert(laid_.begin(), older.size(), Laid{});
  messages_.insert(messages_.begin(), std::make_move_iterator(older.begin()), std::make_move_iterator(older.end()));
}

const ChatView::Laid& ChatView::lay(std::size_t index, std::size_t columns) {
  if (columns != laid_columns_) {
    laid_.assign(messages_.size(), Laid{});
    laid_columns_ = columns;
  }
  Laid& laid = laid_[index];
  if (laid.rows.empty()) {
    laid.rows = lay_message(messages_[index], columns, author_ ? author_(messages_[index]) : std::string());
    const bool new_day = index == 0 || day(messages_[index - 1].created_ms) != day(messages_[index].created_ms);
    if (new_day) laid.rows.insert(laid.rows.begin(), day_row(messages_[index], columns));
  }
  return laid;
}

void ChatView::scroll(std::ptrdiff_t rows) {
  const auto step = static_cast<std::size_t>(rows > 0 ? rows : -rows);
  if (rows > 0)
    offset_ += step;
  else
    offset_ -= std::min(offset_, step);
  if (offset_ == 0) unseen_ = 0;
}

std::vector<std::string> ChatView::conversation(std::size_t rows, std::size_t columns) {
  std::vector<std::string> shown;  // last row first
  std::size_t index = messages_.size();
  while (index > 0 && shown.size() < rows + offset_) {
    const auto& laid = lay(--index, columns).rows;
    shown.insert(shown.end(), laid.rbegin(), laid.rend());
  }
  wants_older_ = index == 0 && shown.size() <= rows + offset_;
  offset_ = std::min(offset_, shown.size() > rows ? shown.size() - rows : 0);
  const std::size_t end = std::min(shown.size(), rows + offset_);
  std::vector<std::string> page(rows - (end - offset_));
  for (std::size_t i = end; i-- > offset_;) page.push_back(shown[i]);
  return page;
}

Terminal::Frame ChatView::frame(const State& state, const LineEditor& editor, Terminal::Size size) {
  const std::size_t columns = std::max<std::size_t>(size.columns, 8);
  const std::size_t rows = std::max<std::size_t>(size.rows, 4);
  Terminal::Frame f;
  const std::string link = cut(state.link, columns / 2);
  const std::string title = cut(" " + state.title, columns - std::min(columns, width(link) + 4));
  const std::size_t gap = columns - std::min(columns, width(title) + width(link) + 3);
  f.lines.push_back(std::string(kBar) + title + spaces(gap) + (state.link_good ? "● " : "○ ") + link + " " + kReset);

  page_ = rows - 3;
  if (state.help.empty()) {
    for (std::string& row : conversation(page_, columns)) f.lines.push_back(std::move(row));
  } else {
    for (std::size_t i = 0; i < page_; ++i)
      f.lines.push_back(i < state.help.size() ? " " + cut(state.help[i], columns - 1) : std::string());
  }
  std::string notice = state.notice;
  if (offset_ != 0)
    notice = (unseen_ != 0 ? "↓ " + std::to_string(unseen_) + " new" : std::string("↓ older messages")) +
             " · PageDown or Esc returns" + (notice.empty() ? "" : " · " + notice);
  f.lines.push_back(std::string(kDim) + cut(" " + notice, columns) + kReset);
  const LineEditor::View view = editor.view(columns - 3);
  f.lines.push_back(std::string(kBlue) + "› " + kReset + view.text);
  f.cursor_row = rows - 1;
  f.cursor_column = std::min(columns - 1, 2 + view.cursor_column);
  return f;
}

}  // namespace barid::cli
