#include "tests/torture/run.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <thread>

#include "base/clock.h"

namespace barid::torture {
namespace {

using namespace std::chrono_literals;
volatile std::sig_atomic_t g_interrupted = 0;

std::string seconds_of(milliseconds time) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f s", static_cast<double>(time.count()) / 1000);
  return text;
}

template <class... Args>
void say(const char* format, Args... args) {
  std::printf(format, args...);
  std::printf("\n");
  std::fflush(stdout);
}

}  // namespace

void Run::interrupt() { g_interrupted = 1; }

Run::Run(Options options) : options_(std::move(options)), may_mount_(SmallDisk::may_mount()) {}

Run::~Run() {
  hand_.reset();
  crowd_.reset();
  stack_.reset();
  relay_.reset();
  disk_.unmount();
}

void Run::set_up() {
  relay_ = std::make_unique<Relay>();
  const std::uint16_t nats_port = relay_->add_line();
  std::vector<std::uint16_t> ports;
  for (std::size_t i = Crowd::kSteady; i < options_.clients; ++i) ports.push_back(relay_->add_line());
  relay_->start();
  const std::string url = "\"nats://127.0.0.1:" + std::to_string(nats_port) + "\"";
  constexpr int kTcp = 0, kWebSocket = 1, kNats = 4;  // of an instance's ports
  stack_ = std::make_unique<test::Stack>(
      std::vector<test::Stack::Setting>{{"nats", "url", url},
                                        {"edge", "requests_per_address", "{ per_second = 0, burst = 0 }"}},
      [&](test::Stack& stack) {
        relay_->aim(Hand::kNatsLine, static_cast<std::uint16_t>(stack.port(kNats)));
        for (std::size_t i = Crowd::kSteady; i < options_.clients; ++i)
          relay_->aim(1 + i - Crowd::kSteady, static_cast<std::uint16_t>(stack.port(i % 2 == 0 ? kTcp : kWebSocket)));
        if (may_mount_) disk_.mount_at(stack.data() + "/nats/store");
      });
  say("instance in %s", stack_->data().c_str());
  crowd_ = std::make_unique<Crowd>(
      *stack_, Crowd::Options{options_.clients, options_.seed, options_.pace, options_.program, dir_.path()}, ports);
  judge_ = std::make_unique<Judge>(crowd_->groups());
  hand_ = std::make_unique<Hand>(*stack_, *crowd_, *relay_, disk_);
}

void Run::tick(Outcome& outcome) {
  std::this_thread::sleep_for(kTick);
  crowd_->collect(*judge_);
  if (outcome.complaints.empty()) outcome.complaints = crowd_->died();
  if (g_interrupted != 0) outcome.complaints.push_back("interrupted");
}

void Run::look_at(Blow& blow, milliseconds since_start) {
  const auto who = [&] {
    return info(blow.strike.fault).server ? std::string("all") : crowd_->name(blow.strike.client);
  };
  if (blow.stage == Stage::waits && since_start >= blow.strike.at) {
    say("  %-22s %s, %s", std::string(info(blow.strike.fault).name).c_str(), who().c_str(),
        seconds_of(blow.strike.lasts).c_str());
    hand_->begin(blow.strike);
    blow.stage = Stage::lasts;
  }
  if (blow.stage == Stage::lasts && since_start >= blow.strike.at + blow.strike.lasts) {
    hand_->end(blow.strike);
    blow.stage = Stage::ended;
    blow.ended_ms = last_end_ms_ = wall_now().value;
  }
}

bool Run::has_recovered(const Blow& blow, std::int64_t since_ms) const {
  if (!info(blow.strike.fault).server) return crowd_->arrived_ms(blow.strike.client) >= since_ms;
  for (std::size_t i = 0; i < std::min(Crowd::kSteady, crowd_->size()); ++i)
    if (crowd_->arrived_ms(i) < since_ms) return false;
  return true;
}

bool Run::play(const Round& round, Outcome& outcome) {
  std::vector<Blow> blows;
  for (const Strike& strike : round) blows.push_back({strike});
  const TimePoint start = steady_now();
  milliseconds latest{0};
  for (const Strike& strike : round) latest = std::max(latest, strike.at + strike.lasts);
  for (;;) {
    const auto since_start = std::chrono::duration_cast<milliseconds>(steady_now() - start);
    bool all_recovered = true, servers_ended = true;
    std::int64_t servers_end = 0;
    for (Blow& blow : blows) {
      look_at(blow, since_start);
      if (!info(blow.strike.fault).server) continue;
      servers_ended = servers_ended && blow.stage >= Stage::ended;
      servers_end = std::max(servers_end, blow.ended_ms);
    }
    tick(outcome);
    for (Blow& blow : blows) {
      if (blow.stage == Stage::recovered) continue;
      const std::int64_t since = std::max(blow.ended_ms, servers_end);
      if (blow.stage == Stage::ended && servers_ended && has_recovered(blow, since)) {
        blow.stage = Stage::recovered;
        Tally& tally = outcome.tallies[blow.strike.fault];
        ++tally.times, ++outcome.strikes;
        tally.worst = std::max(tally.worst, milliseconds(wall_now().value - since));
        continue;
      }
      all_recovered = false;
      if (since_start > latest + kRecoveryMax) {
        outcome.complaints.push_back("no mail within " + seconds_of(kRecoveryMax) + " of " +
                                     std::string(info(blow.strike.fault).name));
        for (Blow& other : blows)
          if (other.stage == Stage::lasts) hand_->end(other.strike);
        return false;
      }
    }
    if (all_recovered) return true;
    if (!outcome.complaints.empty()) return false;
  }
}

bool Run::warm() {
  Outcome ignored;
  const std::int64_t now = wall_now().value;
  const TimePoint latest = steady_now() + kRecoveryMax;
  while (steady_now() < latest && ignored.complaints.empty()) {
    tick(ignored);
    bool all = true;
    for (std::size_t i = 0; i < crowd_->size(); ++i) all = all && crowd_->arrived_ms(i) >= now;
    if (all) return true;
  }
  return false;
}

void Run::wait_for_quiet(Outcome& outcome) {
  crowd_->be_quiet();
  Outcome ended;  // complaints of before do not stop the waiting
  const std::int64_t last = last_end_ms_ == 0 ? wall_now().value : last_end_ms_;
  const TimePoint latest = steady_now() + kRecoveryMax;
  constexpr milliseconds kJudgeEvery{500};
  // Whoever was late with reading says so within a moment: the verdict must be good twice in a row.
  bool good = false;
  while (steady_now() < latest && g_interrupted == 0) {
    const TimePoint next = steady_now() + kJudgeEvery;
    while (steady_now() < next) tick(ended);
    outcome.verdict = judge_->verdict();
    if (outcome.verdict.well() && good) {
      outcome.quiet_after = milliseconds(wall_now().value - last);
      break;
    }
    good = outcome.verdict.well();
  }
  if (outcome.quiet_after.count() < 0)
    outcome.complaints.push_back("not quiet within " + seconds_of(kRecoveryMax) + " of the last fault");
  if (outcome.complaints.empty()) outcome.complaints = ended.complaints;
}

Outcome Run::operator()() {
  Outcome outcome;
  std::vector<Fault> faults;
  for (std::size_t i = 0; i < kFaults; ++i) {
    const auto fault = static_cast<Fault>(i);
    const bool wanted = options_.faults.empty() ||
                        std::find(options_.faults.begin(), options_.faults.end(), fault) != options_.faults.end();
    if (!wanted) continue;
    if (!info(fault).not_run.empty())
      outcome.not_run[fault] = info(fault).not_run;
    else if (options_.faults.empty() && !info(fault).unless_named.empty())
      outcome.not_run[fault] = info(fault).unless_named;
    else if (fault == Fault::disk_full && !may_mount_)
      outcome.not_run[fault] = "needs root, to mount a small disk";
    else
      faults.push_back(fault);
  }
  set_up();
  for (std::size_t i = 0; i < crowd_->size(); ++i) crowd_->start(i);
  if (!warm()) {
    outcome.complaints = crowd_->died();
    outcome.complaints.push_back("no mail arrives before the first fault");
  }
  Planner planner(options_.seed, faults, Crowd::kSteady, crowd_->size() - std::min(Crowd::kSteady, crowd_->size()));
  const TimePoint until = steady_now() + milliseconds(static_cast<std::int64_t>(options_.minutes * 60'000));
  int number = 0;
  while (outcome.complaints.empty() && !faults.empty() && (!planner.all_hit() || steady_now() < until)) {
    const Verdict so_far = judge_->verdict();
    say("round %d: %llu written, %llu accepted, %llu shown", ++number, static_cast<unsigned long long>(so_far.written),
        static_cast<unsigned long long>(so_far.accepted), static_cast<unsigned long long>(so_far.shown));
    play(planner.next(), outcome);
  }
  say("all faults are over: waiting for quiet");
  for (std::size_t i = 0; i < crowd_->size(); ++i) crowd_->start(i);  // whoever was away
  wait_for_quiet(outcome);
  if (!options_.keep.empty() || !outcome.well()) keep(options_.keep.empty() ? options_.out : options_.keep);
  return outcome;
}

void Run::keep(const std::string& folder) {
  std::error_code error;
  std::filesystem::remove_all(folder, error);
  std::filesystem::create_directories(folder);
  test::run({"/bin/cp", "-r", stack_->data() + "/log", dir_.path(), folder}, 60s);
  say("logs and records are in %s", folder.c_str());
}

}  // namespace barid::torture
