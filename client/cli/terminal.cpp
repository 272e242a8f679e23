#include "client/cli/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <string_view>

namespace barid::cli {
namespace {

// Alternate screen, bracketed paste, no automatic wrapping; and the reverse (xterm control sequences).
constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?2004h\x1b[?7l\x1b[2J";
constexpr std::string_view kLeave = "\x1b[0m\x1b[?7h\x1b[?2004l\x1b[?25h\x1b[?1049l";

termios g_before{};  // for the signal handler: async-signal-safe restoring
volatile std::sig_atomic_t g_raw = 0, g_resized = 0;

void restore() {
  if (g_raw == 0) return;
  g_raw = 0;
  [[maybe_unused]] const auto put = ::write(STDOUT_FILENO, kLeave.data(), kLeave.size());
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &g_before);
}

void crashed(int signal) {
  restore();
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

}  // namespace

bool Terminal::available() {
  const char* kind = ::getenv("TERM");
  return ::isatty(STDIN_FILENO) != 0 && ::isatty(STDOUT_FILENO) != 0 && kind != nullptr &&
         std::string_view(kind) != "dumb";
}

Terminal::Terminal() {
  ::tcgetattr(STDIN_FILENO, &g_before);
  termios raw = g_before;
  ::cfmakeraw(&raw);
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
  g_raw = 1;
  for (const int signal : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL}) ::signal(signal, &crashed);
  struct sigaction winch {};
  winch.sa_handler = [](int) { g_resized = 1; };
  ::sigaction(SIGWINCH, &winch, nullptr);
  write(std::string(kEnter));
}

Terminal::~Terminal() { restore(); }

Terminal::Size Terminal::size() const {
  winsize w{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) != 0 || w.ws_row == 0 || w.ws_col == 0) return {};
  return {w.ws_row, w.ws_col};
}

bool Terminal::resized() {
  const bool was = g_resized != 0;
  g_resized = 0;
  return was;
}

std::string Terminal::read() {
  std::string all;
  std::array<char, 4096> buffer;
  pollfd p{STDIN_FILENO, POLLIN, 0};
  while (all.size() < 64 * 1024 && ::poll(&p, 1, 0) > 0) {
    const ssize_t n = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      closed_ = true;
      break;
    }
    all.append(buffer.data(), static_cast<std::size_t>(n));
  }
  return all;
}

void Terminal::write(const std::string& bytes) {
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t n = ::write(STDOUT_FILENO, bytes.data() + at, bytes.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      closed_ = true;
      return;
    }
    at += static_cast<std::size_t>(n);
  }
}

void Terminal::paint(const Frame& frame) {
  const Size now = size();
  if (now != shown_size_) shown_.clear();
  shown_size_ = now;
  std::string out = "\x1b[?2026h\x1b[?25l";  // synchronized update, where the terminal knows it
  if (shown_.empty()) out += "\x1b[0m\x1b[2J";
  shown_.resize(frame.lines.size());
  for (std::size_t row = 0; row < frame.lines.size(); ++row) {
    if (shown_[row] == frame.lines[row] && !frame.lines[row].empty()) continue;
    shown_[row] = frame.lines[row];
    out += "\x1b[" + std::to_string(row + 1) + ";1H" + frame.lines[row] + "\x1b[0m\x1b[K";
  }
  out += "\x1b[" + std::to_string(frame.cursor_row + 1) + ";" + std::to_string(frame.cursor_column + 1) +
         "H\x1b[?25h\x1b[?2026l";
  write(out);
}

void Terminal::bell() { write("\a"); }

}  // namespace barid::cli
