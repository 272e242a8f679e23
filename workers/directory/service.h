// The directory role of a worker: takes requests off NATS, has Directory answer them, and measures. main
// constructs it from what it owns and calls start(); the destructor refuses what still comes, waits for what
// is under way and stops. It must be destroyed before the Control and the Pool that it was handed.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/config.h"

namespace barid {
class Observe;
}
namespace barid::broker {
class Control;
}
namespace barid::storage {
class Pool;
}

namespace barid::directory {

class CodeSender;
struct DirectorySecrets;

class DirectoryService {
 public:
  // The references must outlive the service.
  DirectoryService(broker::Control& control, storage::Pool& pool, const DirectoryConfig& config,
                   const DirectorySecrets& secrets, CodeSender& sender, Observe& observe, MediaConfig media = {});
  ~DirectoryService();
  DirectoryService(const DirectoryService&) = delete;
  DirectoryService& operator=(const DirectoryService&) = delete;

  // Publishes the public keys, then serves control::kDirectorySubject with `threads` threads (one a Postgres
  // connection is right). Throws when the broker is away; Postgres may be.
  void start(unsigned threads);

  std::string not_ready() const;  // empty: ready; else what is missing. For Observe's /readyz; any thread

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace barid::directory
