// baridctl: the operator's tool; see --help.
#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>

#include "base/crypto.h"
#include "base/log.h"
#include "ops/baridctl/commands.h"

int main(int argc, char** argv) {
  CLI::App app("The operator's tool of Barid.", "baridctl");
  app.require_subcommand(1);
  std::string config_path;
  app.add_option("--config", config_path, "the instance's configuration; needed by most commands")
      ->envname("BARID_CONFIG");

  std::string secrets_dir, data_dir, run_dir;
  auto* init_secrets = app.add_subcommand("init-secrets", "make the secret keys that are missing (mode 0600)");
  init_secrets->add_option("DIR", secrets_dir)->required();
  auto* check_config = app.add_subcommand("check-config", "say whether the configuration can be used");
  auto* migrate = app.add_subcommand("migrate", "bring the Postgres schema up to date");
  auto* nats_users =
      app.add_subcommand("nats-users", "print nats-server's users and what each may do; holds passwords");
  nats_users->add_option("SECRETS", secrets_dir, "the folder with nats/ROLE.password")->required();
  auto* topology = app.add_subcommand("topology", "the broker's streams and buckets");
  topology->require_subcommand(1);
  bool json = false, dot = false;
  barid::ctl::ApplyOptions how;
  auto* apply = topology->add_subcommand("apply", "print the plan, then make the broker as the configuration says");
  apply->add_flag("--dry-run", how.dry_run, "print the plan and do nothing");
  apply->add_flag("--force", how.force, "also what can lose messages or copies of them");
  apply->add_flag("--leave-losses", how.leave_losses, "leave what can lose something, and do the rest");
  auto* show = topology->add_subcommand("show", "list what there is, and who owns which partition");
  show->add_flag("--json", json, "one JSON object");
  show->add_flag("--dot", dot, "a picture for Graphviz");
  auto* diff = topology->add_subcommand("diff", "how what is there differs from the configuration; exit 1 if it does");
  diff->add_flag("--json", json, "one JSON object");
  auto* export_ = topology->add_subcommand("export", "what the configuration declares, as JSON");
  std::string who;
  bool yes = false;
  auto* account = app.add_subcommand("account", "what the server holds on one user, and to erase it (ops/account)");
  account->require_subcommand(1);
  auto* export_account = account->add_subcommand("export", "all of it, as one JSON object");
  auto* erase_account = account->add_subcommand("erase", "print the plan, then erase it");
  for (auto* action : {export_account, erase_account}) action->add_option("WHO", who, "phone number or id")->required();
  erase_account->add_flag("--dry-run", how.dry_run, "print the plan and do nothing");
  erase_account->add_flag("--yes", yes, "do it: it can't be undone");
  barid::ctl::TopOptions watching;
  auto* top = app.add_subcommand("top", "rates, times, partitions and the broker, live");
  top->add_option("--data", data_dir, "the instance's folder: its configuration and ports");
  top->add_flag("--once", watching.once, "one picture, then exit");
  top->add_option("--seconds", watching.seconds, "between two pictures")->check(CLI::Range(1, 60));
  top->add_option("--edge-port", watching.edge_ports, "where an edge shows its metrics; again for each")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  top->add_option("--worker-port", watching.worker_ports, "where a worker does; again for each")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  top->add_option("--nats-monitor-port", watching.nats_monitor_port, "of nats-server; 0: leave it out");
  barid::ctl::DrainOptions draining;
  int seconds = 0;
  auto* drain = app.add_subcommand("drain", "empty a worker or an edge that runs, and wait for it (ops/drain)");
  drain->add_option("NAME", draining.name, "worker-2, edge-1 …")->required();
  drain->add_option("--over", draining.over_s, "spread over that many seconds")->check(CLI::Range(0, 3600));
  drain->add_flag("--force", draining.force, "though no other takes over");
  auto* settled = app.add_subcommand("settled", "wait until every partition has a living owner; exit 1 if not in time");
  settled->add_option("--seconds", seconds, "how long to wait")->check(CLI::Range(0, 3600));
  auto* health = app.add_subcommand("health", "ask every part whether it can work; exit 1 if one can't");
  auto* status = app.add_subcommand("status", "what an instance's supervisor runs (ops/status)");
  status->add_option("--data", data_dir, "the instance's folder")->required();
  status->add_option("--run-dir", run_dir, "where its control socket is (default: run in that folder)");
  status->add_flag("--json", json, "one JSON object");

  CLI11_PARSE(app, argc, argv);
  try {
    barid::LogConfig quiet;
    quiet.level = "error";
    barid::init_log(quiet, "baridctl");
    barid::crypto::init_crypto();
    if (*init_secrets) return barid::ctl::init_secrets(secrets_dir);
    if (*status) return barid::ctl::status(data_dir, run_dir.empty() ? data_dir + "/run" : run_dir, json);
    if (*top && !data_dir.empty()) {
      if (config_path.empty()) config_path = data_dir + "/barid.toml";
      if (watching.edge_ports.empty()) watching.edge_ports = barid::ctl::observe_ports(data_dir, "edge");
      if (watching.worker_ports.empty()) watching.worker_ports = barid::ctl::observe_ports(data_dir, "worker");
      if (watching.nats_monitor_port == 0) watching.nats_monitor_port = barid::ctl::port_in(data_dir, "nats_monitor");
    }
    if (config_path.empty())
      throw std::runtime_error("which instance? name its barid.toml with --config or BARID_CONFIG");
    const barid::Config config = barid::load_config(config_path);
    if (*check_config) return std::cout << config_path << " can be used\n", 0;
    if (*migrate) return barid::ctl::migrate(config);
    if (*nats_users) return barid::ctl::nats_users(config, secrets_dir);
    using barid::ctl::Shape;
    const Shape shape = json ? Shape::json : dot ? Shape::dot : Shape::table;
    if (*apply) return barid::ctl::apply_topology(config, how);
    if (*show) return barid::ctl::show_topology(config, shape);
    if (*diff) return barid::ctl::diff_topology(config, shape);
    if (*export_) return barid::ctl::export_topology(config);
    if (*export_account) return barid::ctl::export_account(config, who);
    if (*erase_account) return barid::ctl::erase_account(config, who, how.dry_run, yes);
    if (*top) return barid::ctl::top(config, watching);
    if (*drain) return barid::ctl::drain(config, draining);
    if (*settled) return barid::ctl::settled(config, seconds);
    if (*health) return barid::ctl::health(config);
  } catch (const std::exception& error) {
    const std::string text = error.what();  // libpq's messages end with a line break
    std::cerr << "baridctl: " << text.substr(0, text.find_last_not_of('\n') + 1) << "\n";
    return 1;
  }
}
