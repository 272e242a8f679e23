// A whole Barid instance of a test's own: ops/up in a temporary folder, real servers, killed and healed at will. Owned
// by the test; one thread; the destructor takes everything down.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/process.h"

namespace barid::test {

class Stack {
 public:
  // Applied to barid.toml before anything is started: the line of that key under its [section] is replaced; without a
  // key the value is appended to the file. {port:9} in a value becomes the instance's port base + 9, which is free.
  struct Setting {
    std::string section, key, value;
  };
  // prepare: called with settings applied, nothing running and the folder of nats-server's store empty.
  explicit Stack(const std::vector<Setting>& settings = {}, const std::function<void(Stack&)>& prepare = {});
  ~Stack();
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  nlohmann::json status();
  bool ready();
  int port(int offset) const { return port_base_ + offset; }
  pid_t pid_of(const std::string& process);  // by the beginning of its name: "edge", "worker", "nats", "postgres"
  void kill(const std::string& process);     // -9; the supervisor starts it again
  void signal(const std::string& process, int number);  // to it and its children; nothing when it does not run
  void down();                                          // all of it, in order; the data stay
  void up();                                            // again
  void control(const std::string& command, const std::string& process);  // "stop" or "start"; waits until it is done
  std::string server() const;                                            // tcp://127.0.0.1:PORT
  std::string websocket() {
    return "ws://127.0.0.1:" + std::to_string(status().at("ports").at("websocket").get<int>());
  }
  std::string data() const { return dir_.path() + "/instance"; }
  std::string code_for(const std::string& phone);  // the one-time code that was sent last; waits for it

 private:
  std::vector<std::string> up_options() const;
  TempDir dir_;
  int port_base_;
  std::string server_;
};

// Runs a program to its end; returns its exit status and what it printed.
struct Ran {
  int status = -1;
  std::string output;
};
Ran run(const std::vector<std::string>& argv, std::chrono::seconds patience);

}  // namespace barid::test
