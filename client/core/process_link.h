// How several barid processes of one account get along: one holds the session (SessionLock), and each tells
// the others that it has committed something (Nudge). Both live in the account's data directory; each object
// belongs to one thread.
#pragma once

#include <string>

namespace barid::client {

// Held until destroyed; the kernel releases it when the process dies, however it dies.
class SessionLock {
 public:
  explicit SessionLock(const std::string& directory);
  ~SessionLock();
  SessionLock(const SessionLock&) = delete;
  SessionLock& operator=(const SessionLock&) = delete;
  bool try_take();  // true: it is ours now
  bool held() const { return held_; }

 private:
  int fd_ = -1;
  bool held_ = false;
};

// A hint, never a promise: who waits also looks at the store's data_version from time to time.
class Nudge {
 public:
  explicit Nudge(const std::string& directory);
  ~Nudge();
  Nudge(const Nudge&) = delete;
  Nudge& operator=(const Nudge&) = delete;
  void ring();
  int fd() const { return watch_; }  // readable after a ring of any process; -1 if the kernel has no more watches
  void drain();

 private:
  int bell_ = -1, watch_ = -1;
};

}  // namespace barid::client
