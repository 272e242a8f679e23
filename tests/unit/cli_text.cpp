#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "base/utf8.h"
#include "client/cli/chat_view.h"
#include "client/cli/context.h"
#include "client/cli/keys.h"
#include "client/cli/line_editor.h"
#include "client/cli/text.h"
#include "schemas/content.h"

namespace barid::cli {
namespace {

using Kind = Key::Kind;

// Text of every sort that terminals find hard, from random bytes.
std::string hard_text(const std::vector<std::uint8_t>& choices) {
  static const std::string kPieces[] = {
      "a",  " ",         "long", "\n", "你",     "好", "👍🏽",    "👨‍👩‍👧",
      "🇩🇪", "e\xcc\x81", "ش",    "ל",  "❤️", "ｗ", "\xe2\x80\x8d"};
  std::string text;
  for (const std::uint8_t c : choices) text += kPieces[c % std::size(kPieces)];
  return text;
}

TEST(CliText, NothingThatCommandsATerminalIsShown) {
  EXPECT_EQ(printable("a\x1b[31mb\x07\x7f\xc2\x9b"
                      "c"),
            "a[31mbc");
  EXPECT_EQ(printable("a\xe2\x80\xae"
                      "b"),
            "ab");  // right-to-left override
  EXPECT_EQ(printable("a\nb\tc"), "a b    c");
  EXPECT_EQ(printable("a\nb", true), "a\nb");
  EXPECT_EQ(printable("\xff\xfe"
                      "ok\xc3"),
            "ok");
  EXPECT_TRUE(rc::check([](const std::string& any) {
    const std::string shown = printable(any);
    RC_ASSERT(is_valid_utf8(shown));
    for (const char c : shown) RC_ASSERT(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  }));
}

TEST(CliText, CountsColumnsAsTerminalsDo) {
  EXPECT_EQ(width("abc"), 3U);
  EXPECT_EQ(width("你好"), 4U);
  EXPECT_EQ(width("e\xcc\x81"), 1U);           // e and a combining accent
  EXPECT_EQ(width("👍🏽"), 2U);            // with a skin tone
  EXPECT_EQ(width("👨‍👩‍👧"), 2U);  // joined
  EXPECT_EQ(width("🇩🇪"), 2U);                  // a flag
  EXPECT_EQ(width("❤️"), 2U);              // asked for as emoji
  EXPECT_EQ(width("שלום"), 4U);
}

TEST(CliText, CutsAndWrapsBetweenCharactersOnly) {
  EXPECT_EQ(cut("hello", 5), "hello");
  EXPECT_EQ(cut("hello!", 5), "hell…");
  EXPECT_EQ(cut("你好吗", 5), "你好…");
  EXPECT_EQ(wrap("the quick fox", 9), (std::vector<std::string>{"the quick", "fox"}));
  EXPECT_EQ(wrap("a\n\nb", 9), (std::vector<std::string>{"a", "", "b"}));
  EXPECT_EQ(wrap("abcdefgh", 3), (std::vector<std::string>{"abc", "def", "gh"}));
  EXPECT_EQ(wrap(" long你你", 7), (std::vector<std::string>{"", "long你", "你"}));
  EXPECT_EQ(wrap("aaa你你 \xe2\x80\x8d", 7).size(), 2U);
  EXPECT_EQ(wrap("", 9), (std::vector<std::string>{""}));
  EXPECT_TRUE(rc::check([](const std::vector<std::uint8_t>& any) {
    for (const std::string& line : wrap(hard_text(any), 7)) RC_ASSERT(width(line) <= 7U);
    std::string one_line = printable(hard_text(any));
    RC_ASSERT(width(cut(one_line, 9)) <= 9U);
  }));
}

TEST(CliKeys, ReadsKeysHoweverTheBytesAreCut) {
  const std::string bytes = "a\xc3\xa9\x1b[A\x1b[200~x\ry\x1b[201~\r\x1b[5~\x7f\x03";
  const std::vector<Key> want = {{Kind::text, "a\xc3\xa9"}, {Kind::up, ""},      {Kind::paste, "x\ny"},
                                 {Kind::enter, ""},         {Kind::page_up, ""}, {Kind::backspace, ""},
                                 {Kind::control, "c"}};
  EXPECT_EQ(KeyReader().feed(bytes), want);
  KeyReader slow;
  std::vector<Key> got;
  for (const char c : bytes)
    for (Key& key : slow.feed(std::string(1, c))) {
      if (!got.empty() && got.back().kind == Kind::text && key.kind == Kind::text)
        got.back().text += key.text;
      else
        got.push_back(key);
    }
  EXPECT_EQ(got, want);
}

TEST(CliKeys, ALoneEscapeIsTheEscapeKeyAfterAPause) {
  KeyReader reader;
  EXPECT_TRUE(reader.feed("\x1b").empty());
  EXPECT_TRUE(reader.half_way());
  EXPECT_EQ(reader.timeout(), (std::vector<Key>{{Kind::escape, ""}}));
  EXPECT_FALSE(reader.half_way());
}

TEST(CliEditor, MovesAndErasesByWholeCharacters) {
  LineEditor editor;
  editor.press({Kind::text, "a👨‍👩‍👧e\xcc\x81"});
  editor.press({Kind::backspace, ""});
  EXPECT_EQ(editor.text(), "a👨‍👩‍👧");
  editor.press({Kind::left, ""});
  EXPECT_EQ(editor.cursor(), 1U);
  editor.press({Kind::erase, ""});
  EXPECT_EQ(editor.text(), "a");
}

TEST(CliEditor, RecallsEarlierLinesAndTheDraft) {
  LineEditor editor;
  for (const char* line : {"one", "two"}) {
    editor.press({Kind::text, line});
    EXPECT_EQ(editor.take(), line);
  }
  editor.press({Kind::text, "draft"});
  editor.press({Kind::up, ""});
  EXPECT_EQ(editor.text(), "two");
  editor.press({Kind::up, ""});
  editor.press({Kind::up, ""});
  EXPECT_EQ(editor.text(), "one");
  editor.press({Kind::down, ""});
  editor.press({Kind::down, ""});
  EXPECT_EQ(editor.text(), "draft");
}

TEST(CliEditor, KeepsTheCursorInSight) {
  LineEditor editor;
  editor.press({Kind::text, "你好你好你好你好"});
  const auto view = editor.view(7);
  EXPECT_LE(width(view.text), 7U);
  EXPECT_LT(view.cursor_column, 7U);
  EXPECT_EQ(view.cursor_column, width(view.text));
}

client::Message message(std::int64_t id, const std::string& text, bool incoming, client::State state) {
  client::Message m;
  m.id = client::MessageRow(id);
  m.incoming = incoming;
  m.content = content::encode(content::Text{text}).value();
  m.state = state;
  m.created_ms = 1'790'000'000'000;
  return m;
}

std::string plain(const std::string& row) {  // without colours
  std::string out;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (row[i] == '\x1b') {
      while (i < row.size() && row[i] != 'm') ++i;
    } else {
      out += row[i];
    }
  }
  return out;
}

TEST(CliChatView, EveryRowFitsTheScreenWhateverIsWritten) {
  EXPECT_TRUE(rc::check([](const std::vector<std::uint8_t>& any, bool incoming) {
    const std::string text = hard_text(any);
    for (const std::size_t columns : {8U, 20U, 41U, 80U})
      for (const std::string& row : lay_message(message(1, text, incoming, client::State::read), columns))
        RC_ASSERT(width(plain(row)) <= columns);
  }));
}

TEST(CliChatView, TicksChangeInPlace) {
  ChatView view;
  view.set_messages({message(1, "hello", false, client::State::queued)});
  const auto shows = [&](const std::string& what) {
    for (const std::string& line : view.frame({}, {}, {10, 60}).lines)
      if (plain(line).find(what) != std::string::npos) return true;
    return false;
  };
  EXPECT_TRUE(shows("…"));
  view.update(message(1, "hello", false, client::State::delivered));
  EXPECT_TRUE(shows("✓✓"));
  EXPECT_FALSE(shows("…"));
}

TEST(CliChatView, ScrollingBackIsNotDisturbedByNewMessages) {
  ChatView view;
  std::vector<client::Message> many;
  for (int i = 1; i <= 50; ++i) many.push_back(message(i, "line " + std::to_string(i), true, client::State::read));
  view.set_messages(many);
  view.frame({}, {}, {13, 60});
  view.scroll(10);
  const auto before = view.frame({}, {}, {13, 60}).lines;
  view.update(message(51, "new", true, client::State::delivered));
  const auto after = view.frame({}, {}, {13, 60}).lines;
  for (std::size_t row = 1; row <= 10; ++row) EXPECT_EQ(before[row], after[row]);
  EXPECT_NE(after[11].find("1 new"), std::string::npos);
}

TEST(CliContext, PhoneNumbersAreTakenAsPeopleWriteThem) {
  EXPECT_EQ(normal_phone("+49 (151) 234-56"), "+4915123456");
  EXPECT_EQ(normal_phone("0049151234"), "+49151234");
  EXPECT_FALSE(normal_phone("0151234"));
  EXPECT_FALSE(normal_phone("Bob"));
  EXPECT_FALSE(normal_phone("+4915112345678901"));
}

}  // namespace
}  // namespace barid::cli
