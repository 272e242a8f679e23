// Carries out one scenario: builds the clients, moves the stages on, measures, checks, reports. Main thread; the plans
// run on threads of their own, which it owns.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <thread>
#include <vector>

#include "tests/bench/group_plan.h"
#include "tests/bench/meter.h"
#include "tests/bench/run.h"

namespace barid::bench {

// One part of group-fanout, with users of its own: numbers first to first + shape.users + pair_clients - 1 of the run.
struct GroupPart {
  std::string name;
  GroupPlan::Shape shape;
  std::uint32_t first = 0, pair_clients = 0;
};

class Runner {
 public:
  explicit Runner(const Options& options);
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  // 0: measured and nothing lost, doubled, reordered, corrupted. 1: something was. Throws when it could not be
  // measured.
  int run();

 private:
  static constexpr std::chrono::seconds kPatience{30};  // without any progress

  static constexpr std::uint32_t kFirstConnections = 512;

  int run_pairs();
  int run_idle();
  int run_logins();
  int run_presence();
  int run_store(bool drain);
  int run_groups();
  GroupPart part_of(const std::string& name, std::uint32_t first) const;
  int print_accounts(std::uint32_t users) const;
  std::uint32_t group_users() const;
  void run_fanout(const GroupPart& part, nlohmann::ordered_json& json);
  void run_one_at_a_time(const GroupPart& part, nlohmann::ordered_json& json);
  void run_away(const GroupPart& part, nlohmann::ordered_json& json);
  void run_busy(const GroupPart& part, nlohmann::ordered_json& json);
  GroupPlan& begin_groups(const GroupPart& part, const Options& options, std::vector<std::unique_ptr<Scenario>> plans);
  void end_groups();

  std::vector<std::unique_ptr<Scenario>> make_pairs();
  void start(std::vector<std::unique_ptr<Scenario>> plans);
  void go(Stage stage);
  void stop();
  void check() const;  // throws what a plan has failed with
  void wait_online(std::uint64_t wanted);
  bool wait_done();  // false: nothing moved for kPatience
  bool all_done() const;
  Sample watch(const std::string& stage, std::uint32_t seconds, Counted counted);
  void wait_parked(std::uint64_t wanted) const;
  void wait_for_file() const;
  std::uint64_t stream_messages(const std::string& stream) const;  // as the broker says
  double worker_metric(const std::string& name) const;

  Verdict judge() const;
  void add_common(nlohmann::ordered_json& json, const Window& window, Counted counted) const;
  int finish(nlohmann::ordered_json& json, const Verdict& verdict) const;

  const Options options_;
  Control control_;
  ServerProcesses processes_;
  std::unique_ptr<TlsContext> tls_;
  std::unique_ptr<Mint> mint_;
  std::vector<std::unique_ptr<Scenario>> plans_;
  std::vector<std::thread> threads_;
  std::unique_ptr<Meter> meter_;
  Verdict group_verdict_;  // of the parts so far
};

}  // namespace barid::bench
