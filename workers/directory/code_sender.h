// How a one-time code reaches its phone. Owned by main; send() is called from the directory's threads and
// never waits for the network.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/config.h"

namespace barid {
class Observe;
}

namespace barid::directory {

struct CodeMessage {
  std::string phone;  // E.164
  std::string code;
  std::string id;  // random; the same for every attempt to hand over this code
  WallMs expires_at;
};

class CodeSender {
 public:
  virtual ~CodeSender() = default;
  virtual bool has_room() const = 0;  // false: a code would be refused now, so none should be made
  // False: the bounded queue is full, the code will not be sent.
  [[nodiscard]] virtual bool send(const CodeMessage& message) = 0;
};

// What the configuration asks for. Throws std::runtime_error when the webhook's secret can't be read.
std::unique_ptr<CodeSender> make_code_sender(const DirectoryConfig& config, Observe& observe);

}  // namespace barid::directory
