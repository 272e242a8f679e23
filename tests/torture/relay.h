// A wire that can be hurt: TCP lines, each from a loopback port of its own to another, which pass, stall, cut or drip
// on command. A thread of its own; commands from any thread, effective within kTurn. The destructor ends all
// connections.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"

namespace barid::torture {

class Relay {
 public:
  enum class Mode : std::uint8_t {
    pass,
    stalled,  // connections stay, nothing passes, nothing is lost
    deaf,     // what the client says is thrown away; such connections are reset afterwards
    mute,     // nothing is taken from the server
    drip,     // kDripBytes a turn, each way
    cut,      // connections are reset, new ones too
  };
  static constexpr std::size_t kBufferBytes = 64 * 1024;  // of each direction of a connection
  static constexpr std::size_t kDripBytes = 64;
  static constexpr std::size_t kConnectionsMax = 1'024;  // of all lines; more are reset
  static constexpr milliseconds kTurn{10};

  Relay();
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  // Returns its port. to_port 0: reset until aim(). Throws when there is no port left. Lines are added before start().
  std::uint16_t add_line(std::uint16_t to_port = 0);
  void start();
  void aim(std::size_t line, std::uint16_t to_port);
  // only: connections whose client said this word first; empty: all of the line.
  void set(std::size_t line, Mode mode, const char* only = "");
  std::uint64_t connections(std::size_t line) const { return lines_[line]->connections; }  // so far

 private:
  struct Line {
    int listener = -1;
    std::atomic<std::uint16_t> to_port{0};
    std::atomic<Mode> mode{Mode::pass};
    std::atomic<const char*> only{""};
    std::atomic<std::uint64_t> connections{0};
  };
  struct Flow {
    int from = -1, to = -1;
    std::string buffer;
    bool ended = false;  // `from` has said all
  };
  struct Link {
    Line* line = nullptr;
    Flow up, down;      // client to server, server to client
    std::string first;  // what the client said first: who it is
    bool lossy = false;
  };
  void run();
  void accept_from(Line& line);
  static Mode mode_of(const Link& link);
  bool move(Link& link);  // false: it is over
  static bool pump(Link& link, Flow& flow, std::size_t bytes_max, bool discard);
  static void end(Link& link, bool reset);

  std::vector<std::unique_ptr<Line>> lines_;
  std::vector<Link> links_;  // of the thread
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace barid::torture
