// One supervised process: what it is doing now and what has to happen to it next. Owned by the Supervisor, on
// its one thread. Events come in as calls (exited, ready probe finished, a tick); time is an argument.
//
//   idle ──start──▶ starting ──ready──▶ running          any of the three living states ──stop──▶ stopping
//   ──▶ stopped
//                      │  ▲                │
//                      └──┴─── backoff ◀───┘ died         a task: starting ──exit 0──▶ done, else failed
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/clock.h"
#include "base/loop.h"
#include "ops/supervisor/backoff.h"
#include "ops/supervisor/log_file.h"
#include "ops/supervisor/spec.h"

namespace barid::supervisor {

enum class State { idle, starting, running, backoff, stopping, stopped, done, failed };
const char* to_string(State state);

class Managed {
 public:
  static constexpr milliseconds kProbeInterval{50};
  static constexpr milliseconds kProbeTimeout{5'000};
  static constexpr milliseconds kAliveInterval{2'000};  // between two alive checks
  static constexpr unsigned kAliveFailuresMax = 4;      // in a row: nothing but another start helps
  static constexpr milliseconds kSettled{500};          // without a ready check: up when it has lived this long
  static constexpr std::size_t kReadBytes = 64 * 1024;

  Managed(const ProcessSpec& spec, const Spec& all, FdWatcher& loop);
  ~Managed();
  Managed(const Managed&) = delete;
  Managed& operator=(const Managed&) = delete;

  void start(TimePoint now);                          // from idle, stopped, failed or backoff
  void stop(TimePoint now);                           // from any; harmless when it is not running
  void restart(TimePoint now);                        // stop, then start once it is gone
  bool reaped(pid_t pid, int status, TimePoint now);  // true: it was ours (the process or its ready probe)
  void tick(TimePoint now);
  void respecify(const ProcessSpec& spec) { spec_ = spec; }  // of the same name; what runs is changed at its next start
  void leave(TimePoint now);                                 // stops it for good: it is to be forgotten once left()
  bool left() const { return leaving_ && pid_ == 0 && probe_pid_ == 0; }
  bool leaving() const { return leaving_; }

  const ProcessSpec& spec() const { return spec_; }
  State state() const { return state_; }
  pid_t pid() const { return pid_; }               // 0: not running
  unsigned restarts() const { return restarts_; }  // after a death or on request, not the first start
  unsigned deaths_in_a_row() const { return backoff_.deaths_in_a_row(); }
  const std::string& last_exit() const { return last_exit_; }  // "", "exit 1", "signal 9", "cannot start …"
  bool up() const { return state_ == State::running || state_ == State::done; }
  bool alive() const { return pid_ != 0; }

 private:
  void become(State next, const char* event);
  void died(std::string how, bool clean, TimePoint now);
  void ready(const char* event);
  void probe(TimePoint now);
  void run_probe(const std::vector<std::string>& command, TimePoint now);
  void checked_alive(bool alive);
  void read_output();
  void close_output();

  ProcessSpec spec_;
  FdWatcher& loop_;
  LogFile log_;
  State state_ = State::idle;
  Backoff backoff_;
  pid_t pid_ = 0, probe_pid_ = 0;
  int output_ = -1;
  bool wanted_ = false;  // start it again after it stopped
  bool leaving_ = false;
  unsigned starts_ = 0, restarts_ = 0, alive_failures_ = 0;
  std::string last_exit_;
  TimePoint started_{}, deadline_{}, probe_at_{};
};

}  // namespace barid::supervisor
