#include "ops/supervisor/managed.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "base/assert.h"
#include "base/log.h"
#include "ops/supervisor/spawn.h"

namespace barid::supervisor {

const char* to_string(State state) {
  switch (state) {
    case State::idle:
      return "idle";
    case State::starting:
      return "starting";
    case State::running:
      return "running";
    case State::backoff:
      return "backoff";
    case State::stopping:
      return "stopping";
    case State::stopped:
      return "stopped";
    case State::done:
      return "done";
    case State::failed:
      return "failed";
  }
  return "?";
}

Managed::Managed(const ProcessSpec& spec, const Spec& all, FdWatcher& loop)
    : spec_(spec), loop_(loop), log_(all.log_dir + "/" + spec.name + ".log", all.log_bytes_max, all.log_files_max) {}

Managed::~Managed() { close_output(); }

void Managed::become(State next, const char* event) {
  spdlog::debug("{} {} --{}--> {}", spec_.name, to_string(state_), event, to_string(next));
  state_ = next;
}

void Managed::ready(const char* event) {
  become(State::running, event);
  spdlog::info("{} is ready (pid {})", spec_.name, pid_);
}

void Managed::start(TimePoint now) {
  BARID_ASSERT(pid_ == 0);
  wanted_ = false;
  alive_failures_ = 0;
  int pipe_ends[2] = {-1, -1};
  started_ = now;
  try {
    if (pipe2(pipe_ends, O_CLOEXEC) != 0) throw std::runtime_error("cannot start " + spec_.name + ": no pipe left");
    pid_ = spawn({spec_.argv, spec_.env, spec_.user, spec_.death_signal, pipe_ends[1]});
  } catch (const std::runtime_error& error) {
    for (int end : pipe_ends)
      if (end >= 0) ::close(end);
    died(error.what(), false, now);
    return;
  }
  ::close(pipe_ends[1]);
  close_output();
  output_ = pipe_ends[0];
  fcntl(output_, F_SETFL, O_NONBLOCK);
  loop_.watch(output_, EPOLLIN, [this](std::uint32_t) { read_output(); });
  if (starts_++ > 0) ++restarts_;
  become(State::starting, "start");
  probe_at_ = now;
}

void Managed::read_output() {
  char buffer[kReadBytes];
  for (int turn = 0; turn < 4; ++turn) {  // then the loop's other events get their turn
    const ssize_t got = ::read(output_, buffer, sizeof buffer);
    if (got > 0) {
      log_.append({buffer, static_cast<std::size_t>(got)});
      continue;
    }
    if (got == 0 || (errno != EAGAIN && errno != EINTR)) close_output();
    return;
  }
}

void Managed::close_output() {
  if (output_ < 0) return;
  loop_.unwatch(output_);
  ::close(output_);
  output_ = -1;
}

void Managed::stop(TimePoint now) {
  wanted_ = false;
  if (pid_ == 0) {
    if (state_ != State::done) become(State::stopped, "stop");
    return;
  }
  if (state_ == State::stopping) return;
  become(State::stopping, "stop");
  deadline_ = now + spec_.stop_timeout;
  kill(pid_, spec_.stop_signal);
}

void Managed::leave(TimePoint now) {
  leaving_ = true;
  stop(now);
}

void Managed::restart(TimePoint now) {
  if (pid_ == 0) return start(now);
  stop(now);
  wanted_ = true;
}

bool Managed::reaped(pid_t pid, int status, TimePoint now) {
  if (probe_pid_ != 0 && pid == probe_pid_) {
    probe_pid_ = 0;
    const bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    probe_at_ = now + (state_ == State::running || good ? kAliveInterval : kProbeInterval);
    if (state_ == State::starting && good)
      ready("ready");
    else if (state_ == State::running)
      checked_alive(good);
    return true;
  }
  if (pid_ == 0 || pid != pid_) return false;
  kill(-pid_, SIGKILL);  // whatever is left of its process group
  pid_ = 0;
  if (output_ >= 0) read_output();  // its last words
  const std::string how =
      WIFEXITED(status) ? "exit " + std::to_string(WEXITSTATUS(status)) : "signal " + std::to_string(WTERMSIG(status));
  died(how, WIFEXITED(status) && WEXITSTATUS(status) == 0, now);
  return true;
}

void Managed::died(std::string how, bool clean, TimePoint now) {
  last_exit_ = std::move(how);
  const milliseconds ran_for = std::chrono::duration_cast<milliseconds>(now - started_);
  if (state_ == State::stopping) {
    become(State::stopped, "exit");
    spdlog::info("{} stopped ({})", spec_.name, last_exit_);
    if (wanted_) start(now);
    return;
  }
  if (spec_.task) {
    become(clean ? State::done : State::failed, "exit");
    if (clean)
      spdlog::info("{} is done ({} ms)", spec_.name, ran_for.count());
    else
      spdlog::error("{} failed ({})", spec_.name, last_exit_);
    return;
  }
  if (spec_.restart == Restart::never || (spec_.restart == Restart::on_failure && clean)) {
    become(clean ? State::stopped : State::failed, "exit");
    spdlog::log(clean ? spdlog::level::info : spdlog::level::err, "{} ended ({}), not restarted", spec_.name,
                last_exit_);
    return;
  }
  const milliseconds pause = backoff_.next(ran_for);
  deadline_ = now + pause;
  become(State::backoff, "exit");
  spdlog::warn("{} died ({}) after {} ms, starts again in {} ms", spec_.name, last_exit_, ran_for.count(),
               pause.count());
}

void Managed::probe(TimePoint now) {
  if (spec_.ready.empty()) {
    if (now - started_ >= kSettled) ready("settled");
    return;
  }
  run_probe(spec_.ready, now);
}

// One at a time, whichever it is.
void Managed::run_probe(const std::vector<std::string>& command, TimePoint now) {
  if (probe_pid_ != 0) {
    if (now - probe_at_ > kProbeTimeout) kill(probe_pid_, SIGKILL);
    return;
  }
  if (now < probe_at_) return;
  static const std::vector<std::string> kNoEnvironment;
  static const std::string kSameUser;
  try {
    probe_pid_ = spawn({command, kNoEnvironment, kSameUser, SIGKILL});
    probe_at_ = now;
  } catch (const std::runtime_error& error) {
    spdlog::error("a check of {}: {}", spec_.name, error.what());
    probe_at_ = now + kProbeTimeout;
  }
}

void Managed::checked_alive(bool alive) {
  alive_failures_ = alive ? 0 : alive_failures_ + 1;
  if (alive_failures_ < kAliveFailuresMax) return;
  alive_failures_ = 0;
  spdlog::error("{} runs and does not answer ({} checks in a row): killed", spec_.name, kAliveFailuresMax);
  kill(-pid_, SIGKILL);
  kill(pid_, SIGKILL);
}

void Managed::tick(TimePoint now) {
  if (state_ == State::starting && !spec_.task) probe(now);
  if (state_ == State::running && !spec_.alive.empty()) run_probe(spec_.alive, now);
  if (state_ == State::backoff && now >= deadline_) start(now);
  if (state_ == State::stopping && pid_ != 0 && now >= deadline_) {
    spdlog::warn("{} did not stop within {} ms: killed", spec_.name, spec_.stop_timeout.count());
    kill(-pid_, SIGKILL);
    kill(pid_, SIGKILL);
    deadline_ = now + spec_.stop_timeout;
  }
}

}  // namespace barid::supervisor
