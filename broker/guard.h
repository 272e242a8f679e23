// Watches over all streams on behalf of a worker (docs/adr/0013): makes those that are gone again, and renews the
// incarnation when one has lost what it had acknowledged. Has its own thread. Never on the message path.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/config.h"
#include "broker/continuity.h"
#include "broker/control.h"

namespace barid::broker {

// What is kept outside of the broker, for the time when every process was down.
struct SavedMarks {
  std::uint64_t incarnation = 0;
  std::string
      boot;  // the machine's boot while they were written; empty: the last stop was clean, or the broker is elsewhere
  std::vector<StreamMark> marks;
};

class Guard {
 public:
  static constexpr std::chrono::seconds kEvery{5};
  static constexpr milliseconds kRetry{500};
  struct Hooks {  // on the guard's thread; may block and throw. Empty: this worker keeps no marks
    std::function<std::optional<SavedMarks>()> load;
    std::function<void(const SavedMarks&)> save;
    std::function<void()> renewed;  // for a counter
  };

  Guard(Control& control, const Config& config, HighWater& high_water, Hooks hooks);
  ~Guard();  // saves the marks as of a clean stop
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

  bool settled() const { return settled_; }  // the streams were looked at since the broker was last reached

 private:
  void run();
  void look();
  void load_saved();
  void save(bool clean);
  void renew(const std::string& why);
  bool find_loss(std::string& why);

  Control& control_;
  const Config& config_;
  HighWater& high_water_;
  Hooks hooks_;
  std::uint64_t incarnation_ = 0;  // the guard's thread, like the next three
  std::uint64_t reconnects_ = 0;
  bool loaded_ = false, looked_ = false;
  std::string boot_;  // empty: the broker is on another machine

  std::atomic<bool> settled_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace barid::broker
