#include <iostream>
#include <pqxx/pqxx>

#include "broker/control.h"
#include "broker/roles.h"
#include "broker/topology.h"
#include "ops/baridctl/commands.h"
#include "ops/supervisor/probe.h"
#include "storage/url.h"

namespace barid::ctl {
namespace {

constexpr std::chrono::seconds kPatience{2};

// libpq's messages span lines; the first says what is wrong.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// libpq takes the last of two settings in a keyword string; a URI has its own syntax and is left as it is.
std::string impatient(const std::string& url) {
  return url.find("://") == std::string::npos ? url + " connect_timeout=" + std::to_string(kPatience.count()) : url;
}

}  // namespace

std::string why_not_nats(const Config& config) try {
  broker::Control control(broker::as_role(config.nats, broker::kOperatorRole), "baridctl", kPatience);
  const auto partitions = control.get(broker::kMetaBucket, broker::kMetaPartitions);
  return partitions ? "" : "the topology was never applied: baridctl topology apply";
} catch (const std::exception& error) {
  return first_line(error.what());
}

std::string why_not_postgres(const Config& config) try {
  pqxx::connection connection(impatient(storage::directory_url(config.postgres)));
  pqxx::nontransaction session(connection);
  const auto row = session.exec1("SELECT to_regclass('schema_migrations') IS NOT NULL");
  return row[0].as<bool>() ? "" : "the schema was never applied: baridctl migrate";
} catch (const std::exception& error) {
  return first_line(error.what());
}

std::string why_not_ready(std::uint16_t observe_port) {
  const std::string target = "127.0.0.1:" + std::to_string(observe_port);
  if (supervisor::answers(target + "/readyz")) return "";
  return supervisor::answers(target + "/healthz") ? "runs, but is not ready: its log says what it waits for"
                                                  : "does not answer on " + target;
}

int health(const Config& config) {
  bool fine = true;
  const auto report = [&](const char* part, const std::string& why) {
    std::cout << part << ": " << (why.empty() ? "ok" : why) << "\n";
    fine = fine && why.empty();
  };
  report("postgres", why_not_postgres(config));
  report("nats", why_not_nats(config));
  report("worker", why_not_ready(config.worker.observe_port));
  report("edge", why_not_ready(config.edge.observe_port));
  return fine ? 0 : 1;
}

}  // namespace barid::ctl
