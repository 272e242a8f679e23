// The real `barid chat` on a pseudo-terminal, with a server that is not there: this process plays the one that holds
// the session and moves messages forward in the store, and the screen must follow.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <filesystem>

#include "client/core/process_link.h"
#include "client/core/sqlite_store.h"
#include "schemas/content.h"

namespace barid::cli {
namespace {

using namespace client;
constexpr seconds kPatience{20};

class Chat : public testing::Test {
 protected:
  Chat() {
    char name[] = "/tmp/barid-chat-XXXXXX";
    data = ::mkdtemp(name);
    crypto::init_crypto();
    std::filesystem::create_directories(directory());
    lock = std::make_unique<SessionLock>(directory());
    EXPECT_TRUE(lock->try_take());
    store = std::make_unique<SqliteStore>(directory(), SqliteStore::Sealing::off);
    nudge = std::make_unique<Nudge>(directory());
    store->on_commit([this] { nudge->ring(); });
    Account account;
    account.phone = "+491511111111";
    account.server = "tcp://127.0.0.1:1";
    account.token = "token";
    account.user = UserId(1);
    account.device = DeviceId(11);
    account.key = crypto::make_key_pair().secret_key;
    store->save_account(account);
    bob = store->add_contact("Bob", "+491512222222")->id;
    store->learn(bob, {"", UserId(2), {{UserId(2), DeviceId(21), 7}}});
  }
  ~Chat() override {
    if (pid > 0) ::kill(pid, SIGKILL), ::waitpid(pid, nullptr, 0);
    if (terminal >= 0) ::close(terminal);
    std::filesystem::remove_all(data);
  }
  Chat(const Chat&) = delete;
  Chat& operator=(const Chat&) = delete;

  std::string directory() const { return data + "/default"; }

  void start(unsigned short rows = 12, unsigned short columns = 60) {
    winsize size{rows, columns, 0, 0};
    pid = ::forkpty(&terminal, nullptr, nullptr, &size);
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      ::setenv("TERM", "xterm-256color", 1);
      ::execl(BARID_BINARY, "barid", "--data", data.c_str(), "chat", "Bob", nullptr);
      ::_exit(127);
    }
  }
  // True as soon as the screen was sent that text since the last call that found something.
  bool shows(const std::string& text) {
    const TimePoint until = steady_now() + kPatience;
    while (painted.find(text) == std::string::npos) {
      if (steady_now() >= until) return false;
      pollfd p{terminal, POLLIN, 0};
      if (::poll(&p, 1, 100) <= 0) continue;
      std::array<char, 4096> buffer;
      const ssize_t n = ::read(terminal, buffer.data(), buffer.size());
      if (n <= 0) return painted.find(text) != std::string::npos;
      painted.append(buffer.data(), static_cast<std::size_t>(n));
    }
    painted.erase(0, painted.find(text) + text.size());
    return true;
  }
  void type(const std::string& keys) {
    ASSERT_EQ(::write(terminal, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
  }
  int exit_code() {
    int status = 0;
    const TimePoint until = steady_now() + kPatience;
    while (::waitpid(pid, &status, WNOHANG) == 0) {
      if (steady_now() >= until) return -1;
      shows_nothing();
    }
    pid = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -2;
  }
  void shows_nothing() {
    pollfd p{terminal, POLLIN, 0};
    std::array<char, 4096> buffer;
    if (::poll(&p, 1, 20) > 0)
      if (const ssize_t n = ::read(terminal, buffer.data(), buffer.size()); n > 0)
        painted.append(buffer.data(), static_cast<std::size_t>(n));
  }
  void in_transaction(auto&& work) {
    Transaction transaction(*store, Store::Durability::relaxed);
    work();
    transaction.commit();
  }
  std::optional<Message> newest() {
    auto messages = store->history(bob, 1);
    return messages.empty() ? std::nullopt : std::optional(messages.back());
  }
  static std::string text_of(const Message& m) {
    return std::get<content::Text>(content::decode(m.content).value()).text;
  }

  std::string data, painted;
  std::unique_ptr<SessionLock> lock;
  std::unique_ptr<SqliteStore> store;
  std::unique_ptr<Nudge> nudge;
  PeerId bob;
  pid_t pid = -1;
  int terminal = -1;
};

TEST_F(Chat, TicksFollowTheMessageFromWaitingToRead) {
  start();
  ASSERT_TRUE(shows("Bob"));
  type("grüße 你好\r");
  ASSERT_TRUE(shows("grüße 你好"));  // in the input line
  ASSERT_TRUE(shows("…"));
  ASSERT_TRUE(newest());
  EXPECT_EQ(text_of(*newest()), "grüße 你好");
  in_transaction([&] { store->address_messages(1), store->accepted({{1, 1}}, wall_now()); });
  EXPECT_TRUE(shows("✓"));
  in_transaction([&] { store->receipt({wire::ReceiptKind::delivered, UserId(2), DeviceId(21), {{1, 1}}, 1}); });
  EXPECT_TRUE(shows("✓✓"));
  in_transaction([&] { store->receipt({wire::ReceiptKind::read, UserId(2), DeviceId(21), {{1, 1}}, 1}); });
  EXPECT_TRUE(shows("\x1b[1;34m✓✓"));
}

TEST_F(Chat, ShowsWhatComesMarksItReadAndStripsWhatCommandsTheTerminal) {
  start();
  ASSERT_TRUE(shows("Bob"));
  in_transaction([&] {
    const std::string evil = content::encode(content::Text{"evil\x1b]0;owned\x07 text"}).value();
    store->take({UserId(2), DeviceId(21), 1, 1'790'000'000'000, 2, evil}, wall_now());
  });
  ASSERT_TRUE(shows("evil]0;owned text"));
  const TimePoint until = steady_now() + kPatience;
  while (newest()->state != State::read && steady_now() < until) shows_nothing();
  EXPECT_EQ(newest()->state, State::read);
}

TEST_F(Chat, LeavesTheTerminalAsItWas) {
  start();
  ASSERT_TRUE(shows("\x1b[?1049h"));
  ASSERT_TRUE(shows("Bob"));
  termios raw{}, after{};
  ::tcgetattr(terminal, &raw);
  EXPECT_EQ(raw.c_lflag & ICANON, 0U);
  type("\x03");
  EXPECT_TRUE(shows("\x1b[?1049l"));
  EXPECT_EQ(exit_code(), 0);
  ASSERT_EQ(::tcgetattr(terminal, &after), 0);
  EXPECT_NE(after.c_lflag & ICANON, 0U);
}

TEST_F(Chat, APasteOfSeveralLinesIsOneMessage) {
  start();
  ASSERT_TRUE(shows("Bob"));
  type("\x1b[200~one\rtwo\x1b[201~");
  ASSERT_TRUE(shows("one⏎two"));
  EXPECT_FALSE(newest());
  type("\r");
  const TimePoint until = steady_now() + kPatience;
  while (!newest() && steady_now() < until) shows_nothing();
  ASSERT_TRUE(newest());
  EXPECT_EQ(text_of(*newest()), "one\ntwo");
}

TEST_F(Chat, TakesTheSessionOverWhenItsHolderEndsAndSaysThatItIsOffline) {
  start();
  ASSERT_TRUE(shows("via another barid"));
  lock.reset();
  EXPECT_TRUE(shows("offline"));
  EXPECT_TRUE(shows("127.0.0.1:1"));
}

TEST_F(Chat, FollowsTheSizeOfTheWindow) {
  start();
  ASSERT_TRUE(shows("Bob"));
  winsize size{20, 40, 0, 0};
  ASSERT_EQ(::ioctl(terminal, TIOCSWINSZ, &size), 0);
  EXPECT_TRUE(shows("\x1b[20;1H"));  // the input line is at the new bottom
}

}  // namespace
}  // namespace barid::cli
