// Runs the processes of one instance: stage after stage, each stage when the one before is ready; restarts
// what dies; stops in the opposite order. Owner: main. One thread, inside run(). Promises: state.json in the
// run directory always says what is (written whole, by rename); nothing that it started outlives run().
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/loop.h"
#include "ops/supervisor/control.h"
#include "ops/supervisor/managed.h"
#include "ops/supervisor/spec.h"

namespace barid::supervisor {

class Supervisor {
 public:
  static constexpr milliseconds kTick{50};
  static constexpr unsigned kDeathsAtStartMax = 5;  // of one process before its stage was ever ready: gives up

  // run_dir: state.json, supervisor.pid, supervisor.sock and supervisor.lock are kept there.
  // Throws when another supervisor runs this instance.
  // again: reads the list of processes anew, for `reload`; throws what load_spec throws.
  Supervisor(Spec spec, std::string run_dir, std::function<Spec()> again);
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // Until SIGTERM, SIGINT, SIGHUP or `shutdown`. 0: stopped as asked; 1: the start failed (the log says why).
  int run();

 private:
  enum class Phase { starting, running, stopping };
  struct Lock {
    explicit Lock(const std::string& path);
    ~Lock();
    int fd = -1;
  };

  void tick();
  void on_signal();
  void reap();
  void advance_start(TimePoint now);
  void give_up(const std::string& why);
  void begin_stop(const char* why);
  void advance_stop(TimePoint now);
  Managed* find(std::string_view name);
  std::string answer(std::string_view line);
  std::string reload();
  std::string carry_out(std::string_view verb, std::string_view name);
  std::string state_json() const;
  void write_state();

  Spec spec_;
  std::string run_dir_;
  std::function<Spec()> again_;
  Lock lock_;
  Loop loop_;
  int signals_ = -1;
  std::vector<std::unique_ptr<Managed>> processes_;  // in the order of their stages
  std::unique_ptr<ControlSocket> control_;
  Phase phase_ = Phase::starting;
  TimePoint stage_deadline_{};
  unsigned stage_ = 0;  // being started; of the stop: every stage above is down
  std::string failure_;
  std::string written_;  // last state.json
};

}  // namespace barid::supervisor
