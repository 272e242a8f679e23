#include <fmt/format.h>

#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "ops/baridctl/commands.h"
#include "ops/supervisor/control.h"
#include "ops/supervisor/probe.h"

namespace barid::ctl {
namespace {

using nlohmann::ordered_json;

// ports.env holds "port_NAME=NUMBER" lines.
ordered_json read_ports(const std::string& data_dir) {
  ordered_json ports = ordered_json::object();
  std::ifstream file(data_dir + "/ports.env");
  for (std::string line; std::getline(file, line);) {
    const auto equals = line.find('=');
    if (line.rfind("port_", 0) != 0 || line.rfind("port_base", 0) == 0 || equals == std::string::npos) continue;
    ports[line.substr(5, equals - 5)] = std::atoi(line.c_str() + equals + 1);
  }
  return ports;
}

// A listener that the operator moved in barid.toml is where the configuration says.
void correct_ports(const Config& config, ordered_json& ports) {
  for (const ListenerConfig& listener : config.edge.listeners) {
    const std::string name = listener.tls ? listener.kind + "_tls" : listener.kind;
    if (!ports.contains(name)) ports[name] = listener.port;  // the first of a kind
  }
}

// Everything that delivering a message needs, each asked now. Empty: it could be delivered.
std::string why_not_deliverable(const Config& config, const ordered_json& ports, const ordered_json& processes) {
  for (const char* name : {"postgres", "nats", "worker", "edge"}) {
    bool running = false;
    for (const auto& process : processes)
      running = running || (process["name"] == name && process["state"] == "running");
    if (!running) return std::string(name) + " is not running";
  }
  if (const auto why = why_not_ready(ports.value("edge_observe", std::uint16_t{0})); !why.empty()) return "edge " + why;
  if (const auto why = why_not_ready(ports.value("worker_observe", std::uint16_t{0})); !why.empty())
    return "worker " + why;
  const auto monitor = "127.0.0.1:" + std::to_string(ports.value("nats_monitor", 0));
  if (!supervisor::answers(monitor + "/healthz")) return "nats does not answer on " + monitor;
  if (const auto why = why_not_postgres(config); !why.empty()) return "postgres: " + why;
  return "";
}

void print_text(const ordered_json& status, const std::string& data_dir) {
  if (!status["running"].get<bool>()) {
    std::cout << "Barid is not running in " << data_dir << ".\n";
    return;
  }
  std::cout << (status["ready"].get<bool>() ? "Barid is ready"
                                            : "Barid is not ready: " + status["why"].get<std::string>())
            << " (" << data_dir << ")\n\n";
  std::cout << fmt::format("{:<10} {:>8} {:<10} {:>8}  {}\n", "process", "pid", "state", "restarts", "last exit");
  for (const auto& process : status["processes"])
    std::cout << fmt::format("{:<10} {:>8} {:<10} {:>8}  {}\n", process["name"].get<std::string>(),
                             process["pid"].get<int>(), process["state"].get<std::string>(),
                             process["restarts"].get<int>(), process["last_exit"].get<std::string>());
  std::cout << "\n";
  for (const auto& [name, port] : status["ports"].items())
    std::cout << fmt::format("{:<16} 127.0.0.1:{}\n", name, port.get<int>());
}

}  // namespace

std::uint16_t port_in(const std::string& data_dir, const char* name) {
  return read_ports(data_dir).value(name, std::uint16_t{0});
}

int status(const std::string& data_dir, const std::string& run_dir, bool as_json) {
  ordered_json out = {{"ready", false}, {"running", false}, {"why", "not running"}, {"data", data_dir}};
  out["processes"] = ordered_json::array();
  out["ports"] = read_ports(data_dir);
  std::string answer;
  if (supervisor::ask(run_dir + "/supervisor.sock", "status", answer)) {
    const auto state = ordered_json::parse(answer);
    out["running"] = true;
    out["state"] = state["state"];
    for (const auto& process : state["processes"])
      if (!process["task"].get<bool>())
        out["processes"].push_back({{"name", process["name"]},
                                    {"pid", process["pid"]},
                                    {"state", process["state"]},
                                    {"restarts", process["restarts"]},
                                    {"last_exit", process["last_exit"]}});
    const Config config = load_config(data_dir + "/barid.toml");
    correct_ports(config, out["ports"]);
    const std::string why = why_not_deliverable(config, out["ports"], out["processes"]);
    out["ready"] = why.empty();
    out["why"] = why;
  }
  if (as_json)
    std::cout << out.dump() << "\n";
  else
    print_text(out, data_dir);
  return out["ready"].get<bool>() ? 0 : out["running"].get<bool>() ? 1 : 3;
}

}  // namespace barid::ctl
