// The development sender: writes codes to the log and appends "<phone> <code>" to <secrets_dir>/../codes.log
// (mode 0600), so that one person on one machine, or a test, can register. Whoever can read either can take
// over any number: never for real users.
#pragma once

#include <mutex>
#include <string>

#include "workers/directory/code_sender.h"

namespace barid::directory {

class LogSender final : public CodeSender {
 public:
  explicit LogSender(std::string codes_file) : codes_file_(std::move(codes_file)) {}
  bool has_room() const override { return true; }
  bool send(const CodeMessage& message) override;

 private:
  std::mutex mutex_;  // one line at a time
  const std::string codes_file_;
};

}  // namespace barid::directory
