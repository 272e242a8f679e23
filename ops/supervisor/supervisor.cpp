#include "ops/supervisor/supervisor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <stdexcept>

#include "base/log.h"
#include "ops/supervisor/contain.h"

namespace barid::supervisor {
namespace {

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    if (static_cast<unsigned char>(c) < 0x20)
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    else
      out.push_back(c);
  }
  return out + "\"";
}

}  // namespace

Supervisor::Lock::Lock(const std::string& path) : fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {
  if (fd < 0) throw std::runtime_error("cannot open " + path + ": " + std::strerror(errno));
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return;
  ::close(fd);
  throw std::runtime_error("another supervisor runs this instance already (it holds " + path + ")");
}
Supervisor::Lock::~Lock() { ::close(fd); }

Supervisor::Supervisor(Spec spec, std::string run_dir, std::function<Spec()> again)
    : spec_(std::move(spec)),
      run_dir_(std::move(run_dir)),
      again_(std::move(again)),
      lock_(run_dir_ + "/supervisor.lock") {
  adopt_orphans();
  sigset_t watched;
  sigemptyset(&watched);
  for (int number : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) {
    signal(number, SIG_DFL);  // a shell starts background jobs with SIGINT ignored
    sigaddset(&watched, number);
  }
  signal(SIGPIPE, SIG_IGN);
  sigprocmask(SIG_BLOCK, &watched, nullptr);
  signals_ = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signals_ < 0) throw std::runtime_error(std::string("signalfd: ") + std::strerror(errno));
  loop_.watch(signals_, EPOLLIN, [this](std::uint32_t) { on_signal(); });
  for (const ProcessSpec& process : spec_.processes)
    processes_.push_back(std::make_unique<Managed>(process, spec_, loop_));
  control_ = std::make_unique<ControlSocket>(loop_, run_dir_ + "/supervisor.sock",
                                             [this](std::string_view line) { return answer(line); });
  std::ofstream(run_dir_ + "/supervisor.pid") << getpid() << "\n";
}

Supervisor::~Supervisor() {
  control_.reset();
  processes_.clear();
  loop_.unwatch(signals_);
  ::close(signals_);
  unlink((run_dir_ + "/supervisor.pid").c_str());
}

int Supervisor::run() {
  stage_ = processes_.front()->spec().stage;
  stage_deadline_ = steady_now() + spec_.start_timeout;
  for (auto& process : processes_)
    if (process->spec().stage == stage_) process->start(steady_now());
  loop_.every(kTick, [this] { tick(); });
  loop_.run();
  for (const std::string& left : end_descendants()) spdlog::warn("ended what was left behind: {}", left);
  write_state();
  return failure_.empty() ? 0 : 1;
}

void Supervisor::tick() {
  const TimePoint now = loop_.now();
  for (auto& process : processes_) process->tick(now);
  std::erase_if(processes_, [](const auto& process) { return process->left(); });
  if (phase_ == Phase::starting) advance_start(now);
  if (phase_ == Phase::stopping) advance_stop(now);
  write_state();
}

void Supervisor::on_signal() {
  signalfd_siginfo info;
  while (::read(signals_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (info.ssi_signo == SIGCHLD)
      reap();
    else
      begin_stop(strsignal(static_cast<int>(info.ssi_signo)));
  }
  tick();  // what has just become ready or died decides what is next: no need to wait for the timer
}

void Supervisor::reap() {
  int status = 0;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
    for (auto& process : processes_)
      if (process->reaped(pid, status, steady_now())) break;  // else: an orphan of theirs, adopted and now reaped
}

void Supervisor::advance_start(TimePoint now) {
  bool ready = true;
  for (auto& process : processes_) {
    if (process->spec().stage != stage_) continue;
    const bool hopeless = process->state() == State::failed ||
                          (process->state() == State::backoff && process->deaths_in_a_row() >= kDeathsAtStartMax);
    if (hopeless) return give_up(process->spec().name + " does not start (" + process->last_exit() + ")");
    if (!process->up() && process->state() != State::stopped) {
      ready = false;
      if (now >= stage_deadline_)
        return give_up(process->spec().name + " was not ready after " +
                       std::to_string(spec_.start_timeout.count() / 1000) + " s");
    }
  }
  if (!ready) return;
  const unsigned before = stage_;
  for (auto& process : processes_) {
    if (process->spec().stage <= before) continue;
    if (stage_ == before) stage_ = process->spec().stage;
    if (process->spec().stage == stage_ && process->state() == State::idle) process->start(now);
  }
  stage_deadline_ = now + spec_.start_timeout;
  if (stage_ != before) return;
  phase_ = Phase::running;
  spdlog::info("all is up");
}

void Supervisor::give_up(const std::string& why) {
  failure_ = why + ": see " + spec_.log_dir + "/" + why.substr(0, why.find(' ')) + ".log";
  spdlog::error("{}", failure_);
  begin_stop("the start failed");
}

void Supervisor::begin_stop(const char* why) {
  if (phase_ == Phase::stopping) return;
  spdlog::info("stopping: {}", why);
  phase_ = Phase::stopping;
  stage_ = processes_.back()->spec().stage;
}

void Supervisor::advance_stop(TimePoint now) {
  for (auto process = processes_.rbegin(); process != processes_.rend(); ++process) {
    Managed& one = **process;
    if (one.spec().stage < stage_) {
      bool higher_alive = false;
      for (auto& other : processes_) higher_alive = higher_alive || (other->spec().stage >= stage_ && other->alive());
      if (higher_alive) return;
      stage_ = one.spec().stage;
    }
    one.stop(now);
  }
  for (auto& process : processes_)
    if (process->alive()) return;
  spdlog::info("all is stopped");
  loop_.stop();
}

Managed* Supervisor::find(std::string_view name) {
  Managed* found = nullptr;
  for (auto& process : processes_) {
    const std::string& each = process->spec().name;
    if (each == name) return process.get();
    // "worker" is worker-1 while there is one of them.
    if (each.starts_with(name) && each.size() > name.size() && each[name.size()] == '-') {
      if (found != nullptr) return nullptr;
      found = process.get();
    }
  }
  return found;
}

// What is new in the list is started, what is missing there is stopped and forgotten, what is changed takes effect at
// its next start.
std::string Supervisor::reload() {
  if (phase_ != Phase::running) return "error: reload is possible once all is up, and not while it stops\n";
  Spec next;
  try {
    next = again_();
  } catch (const std::exception& error) {
    return std::string("error: ") + error.what() + "\n";
  }
  const auto same = [](const std::string& name) { return [&name](const auto& p) { return p.name == name; }; };
  for (auto& process : processes_) {
    const auto& name = process->spec().name;
    const auto kept = std::find_if(next.processes.begin(), next.processes.end(), same(name));
    if (kept != next.processes.end() && process->leaving())
      return "error: " + name + " is still being stopped: try again in a moment\n";
  }
  const TimePoint now = steady_now();
  for (auto& process : processes_) {
    const std::string name = process->spec().name;
    const auto kept = std::find_if(next.processes.begin(), next.processes.end(), same(name));
    if (kept != next.processes.end()) {
      process->respecify(*kept);
    } else if (!process->leaving()) {
      spdlog::info("{} is not in the list any more", name);
      process->leave(now);
    }
  }
  for (const ProcessSpec& spec : next.processes) {
    const auto is_it = [&](const auto& process) { return process->spec().name == spec.name; };
    if (spec.task || std::any_of(processes_.begin(), processes_.end(), is_it)) continue;
    spdlog::info("{} is new in the list", spec.name);
    processes_.push_back(std::make_unique<Managed>(spec, spec_, loop_));
    processes_.back()->start(now);
  }
  std::stable_sort(processes_.begin(), processes_.end(),
                   [](const auto& a, const auto& b) { return a->spec().stage < b->spec().stage; });
  return "ok\n";
}

std::string Supervisor::answer(std::string_view line) {
  if (line == "status") return state_json();
  if (line == "shutdown") {
    begin_stop("asked to");
    return "ok\n";
  }
  if (line == "reload") return reload();
  const auto space = line.find(' ');
  const std::string_view verb = line.substr(0, space);
  if (verb != "restart" && verb != "stop" && verb != "start")
    return "error: not a command: " + std::string(line) + "\n";
  return carry_out(verb, space == std::string_view::npos ? "" : line.substr(space + 1));
}

std::string Supervisor::carry_out(std::string_view verb, std::string_view name) {
  Managed* process = name.empty() ? nullptr : find(name);
  if (process == nullptr) {
    std::string names;
    for (auto& each : processes_) names += " " + each->spec().name;
    return "error: no process of that name, or several; there are" + names + "\n";
  }
  if (phase_ == Phase::stopping) return "error: everything is being stopped\n";
  if (process->leaving()) return "error: " + process->spec().name + " is being removed\n";
  if (process->spec().task) return "error: " + process->spec().name + " is a task of the start, not a process\n";
  const TimePoint now = steady_now();
  if (verb == "stop") process->stop(now);
  if (verb == "restart") process->restart(now);
  if (verb == "start") {
    if (process->state() == State::stopping)
      process->restart(now);  // once it is gone
    else if (!process->alive())
      process->start(now);
  }
  return "ok\n";
}

std::string Supervisor::state_json() const {
  static constexpr const char* kPhases[] = {"starting", "running", "stopping"};
  std::string out = fmt::format(R"({{"supervisor_pid":{},"state":"{}","failure":{},"processes":[)", getpid(),
                                kPhases[static_cast<int>(phase_)], quoted(failure_));
  bool first = true;
  for (const auto& process : processes_) {
    out += fmt::format(R"({}{{"name":{},"pid":{},"state":"{}","task":{},"restarts":{},"last_exit":{}}})",
                       first ? "" : ",", quoted(process->spec().name), process->pid(), to_string(process->state()),
                       process->spec().task, process->restarts(), quoted(process->last_exit()));
    first = false;
  }
  return out + "]}\n";
}

void Supervisor::write_state() {
  const std::string state = state_json();
  if (state == written_) return;
  const std::string path = run_dir_ + "/state.json", fresh = path + ".new";
  {
    std::ofstream file(fresh, std::ios::trunc);
    file << state;
    if (!file.flush()) return;  // a full disk: the old state stays, the next change tries again
  }
  if (std::rename(fresh.c_str(), path.c_str()) == 0) written_ = state;
}

}  // namespace barid::supervisor
