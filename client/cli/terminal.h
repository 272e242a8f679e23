// The terminal in raw mode, and back as it was: on destruction, on Ctrl-C, on a crash of the command. Frames
// are painted line by line, only those that changed. One object at a time, main thread.
#pragma once

#include <string>
#include <vector>

namespace barid::cli {

class Terminal {
 public:
  struct Size {
    std::size_t rows = 24, columns = 80;
    bool operator==(const Size&) const = default;
  };
  struct Frame {
    std::vector<std::string> lines;  // one per row; may hold colours, ends them itself
    std::size_t cursor_row = 0, cursor_column = 0;
  };

  static bool available();  // standard input and output are a terminal

  Terminal();
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  Size size() const;
  bool resized();      // since the last call
  std::string read();  // what was typed, without waiting
  bool closed() const { return closed_; }
  void paint(const Frame& frame);
  void repaint() { shown_.clear(); }  // the next paint draws everything
  void bell();

 private:
  void write(const std::string& bytes);
  std::vector<std::string> shown_;
  Size shown_size_{0, 0};
  bool closed_ = false;
};

}  // namespace barid::cli
