// Somebody at a terminal of their own, with the real `barid` command. Owned by a test, on its thread.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/faults/stack.h"

namespace barid::test {

inline constexpr std::chrono::seconds kPatience{60};

// One person at a terminal of their own: a profile of the `barid` command.
class Person {
 public:
  Person(Stack& stack, const std::string& folder, std::string phone, std::string server = {}, std::string tls_ca = {})
      : stack_(stack),
        folder_(folder),
        phone_(std::move(phone)),
        server_(server.empty() ? stack.server() : server),
        tls_ca_(std::move(tls_ca)) {
    register_device();
  }
  void register_device() {
    // The client takes what this prints once it differs from what it printed before the code was asked for.
    const std::string newest =
        "grep -F '" + phone_ + " ' " + stack_.data() + "/codes.log 2>/dev/null | tail -n 1 | cut -d' ' -f2";
    const Ran ran = barid({"register", phone_, "--code-command", newest});
    if (ran.status != 0) throw std::runtime_error("cannot register at " + server_ + ": " + ran.output);
  }
  Ran barid(std::vector<std::string> arguments) const { return run(command(std::move(arguments)), kPatience); }
  // Listens in the background until the object dies; heard() is what was printed so far.
  void listen(std::vector<std::string> more = {}) {
    more.insert(more.begin(), "listen");
    out_ = folder_ + "/heard-" + std::to_string(++listens_);
    listening_ = std::make_unique<ChildProcess>(command(std::move(more)), out_);
  }
  void stop_listening() {
    listening_->signal(SIGINT);
    ASSERT_TRUE(listening_->wait(kPatience).has_value());
    listening_.reset();
  }
  ChildProcess& listener() { return *listening_; }
  std::string printed() const { return read_file(out_); }
  std::vector<nlohmann::json> heard(const std::string& type = "message") const {
    std::vector<nlohmann::json> lines;
    std::istringstream in(printed());
    for (std::string line; std::getline(in, line);)
      if (auto j = nlohmann::json::parse(line, nullptr, false); j.is_object() && j.value("type", "") == type)
        lines.push_back(j);
    return lines;
  }
  std::string state_of_last(const std::string& with) const {
    const Ran ran = barid({"history", with, "--limit", "1"});
    return nlohmann::json::parse(ran.output, nullptr, false).value("state", "none");
  }
  const std::string& phone() const { return phone_; }
  // What runs `barid` with these arguments in this person's profile.
  std::vector<std::string> command(std::vector<std::string> arguments) const {
    std::vector<std::string> argv{
        std::string(BARID_BUILD) + "/bin/barid", "--json", "--data", folder_, "--server", server_};
    if (!tls_ca_.empty()) argv.insert(argv.end(), {"--tls-ca", tls_ca_});
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return argv;
  }

 private:
  Stack& stack_;
  std::string folder_, phone_, server_, tls_ca_, out_;
  int listens_ = 0;
  std::unique_ptr<ChildProcess> listening_;
};

}  // namespace barid::test
