#include "base/config.h"

#include <toml++/toml.h>

#include <cmath>
#include <set>
#include <stdexcept>

#include "base/limits.h"
#include "base/log.h"
#include "base/secret_file.h"

namespace barid {
namespace {

constexpr std::size_t kMediaPublicUrlBytesMax = 512;  // leaves room for the rest of limits::kMediaUrlBytesMax
constexpr std::uint32_t kMediaConnectionsMax = 4'096;

// One table of the file: hands out typed values and remembers which keys were asked for, so that a misspelt
// key is an error and not a silent default.
class Section {
 public:
  Section(const toml::table* table, std::string name, std::string file)
      : table_(table), name_(std::move(name)), file_(std::move(file)) {}

  template <class T>
  void read(const char* key, T& out) {
    known_.insert(key);
    const toml::node* node = table_ != nullptr ? table_->get(key) : nullptr;
    if (node == nullptr) return;
    if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, std::string>) {
      if (auto value = node->value_exact<T>()) {
        out = *value;
        return;
      }
    } else if constexpr (std::is_floating_point_v<T>) {
      if (auto value = node->value<double>()) {
        out = *value;
        return;
      }
    } else if constexpr (std::is_integral_v<T>) {
      auto value = node->value_exact<std::int64_t>();
      if (value && *value >= 0 && static_cast<std::uint64_t>(*value) <= std::numeric_limits<T>::max()) {
        out = static_cast<T>(*value);
        return;
      }
    }
    complain(key, "has the wrong type or is out of range");
  }
  void read(const char* key, std::chrono::seconds& out) {
    std::uint32_t value = static_cast<std::uint32_t>(out.count());
    read(key, value);
    out = std::chrono::seconds(value);
  }
  void read(const char* key, std::chrono::hours& out) {
    std::uint32_t value = static_cast<std::uint32_t>(out.count());
    read(key, value);
    out = std::chrono::hours(value);
  }
  void read(const char* key, std::vector<std::string>& out) {
    known_.insert(key);
    const toml::node* node = table_ != nullptr ? table_->get(key) : nullptr;
    if (node == nullptr) return;
    if (!node->is_array()) complain(key, "is not a list of strings");
    out.clear();
    for (const auto& item : *node->as_array()) {
      auto text = item.value_exact<std::string>();
      if (!text) complain(key, "is not a list of strings");
      out.push_back(*text);
    }
  }
  void read(const char* key, RateConfig& out) {
    known_.insert(key);
    const toml::node* node = table_ != nullptr ? table_->get(key) : nullptr;
    if (node == nullptr) return;
    if (!node->is_table()) complain(key, "is not a table { per_second, burst }");
    Section rate(node->as_table(), name_ + "." + key, file_);
    rate.read("per_second", out.per_second);
    rate.read("burst", out.burst);
    rate.finish();
    if (!std::isfinite(out.per_second) || out.per_second < 0)
      rate.complain("per_second", "must be a number of at least 0");
    if (out.per_second > 0 && !(std::isfinite(out.burst) && out.burst >= 1))
      rate.complain("burst", "must be at least 1 when per_second is not 0");
  }
  const toml::node* child(const char* key) {
    known_.insert(key);
    return table_ != nullptr ? table_->get(key) : nullptr;
  }
  void finish() const {
    if (table_ == nullptr) return;
    for (const auto& [key, value] : *table_)
      if (!known_.contains(std::string(key.str()))) complain(std::string(key.str()).c_str(), "is not a known key");
  }
  [[noreturn]] void complain(const char* key, const char* what) const {
    throw std::runtime_error(file_ + ": [" + name_ + "] " + key + " " + what);
  }

 private:
  const toml::table* table_;
  std::string name_, file_;
  std::set<std::string> known_;
};

// A password in a url, as user:password@ or password=. A login without a colon is a token for NATS, a name for
// Postgres.
bool holds_password(const Config& config) {
  const auto has = [](const std::string& url) {
    return masked_url(url).find(":•••@") != std::string::npos || url.find("password=") != std::string::npos;
  };
  return masked_url(config.nats.url) != config.nats.url || has(config.postgres.url) || has(config.postgres.owner_url);
}

void check(const Section& section, const MediaConfig& media) {
  if (media.public_url.size() > kMediaPublicUrlBytesMax) section.complain("public_url", "is too long");
  if (!media.public_url.empty() && media.public_url.rfind("http://", 0) != 0 &&
      media.public_url.rfind("https://", 0) != 0)
    section.complain("public_url", "must begin with http:// or https://");
  if (media.public_url.ends_with('/')) section.complain("public_url", "must not end with a slash");
  if (media.file_bytes_max == 0) section.complain("file_bytes_max", "must be at least 1");
  if (media.retention.count() < 1) section.complain("retention_h", "must be at least 1");
  if (media.unfinished.count() < 1) section.complain("unfinished_h", "must be at least 1");
  if (media.upload_url_ttl.count() < 1) section.complain("upload_url_ttl_s", "must be at least 1");
  if (media.download_url_ttl.count() < 1) section.complain("download_url_ttl_s", "must be at least 1");
  if (media.sweep_every.count() < 1) section.complain("sweep_every_s", "must be at least 1");
  if (media.idle_deadline.count() < 1) section.complain("idle_deadline_s", "must be at least 1");
  if (media.connections_max < 1 || media.connections_max > kMediaConnectionsMax)
    section.complain("connections_max", "must be from 1 to 4096: each has a thread");
}

}  // namespace

Config load_config(const std::string& path) {
  toml::table file;
  try {
    file = toml::parse_file(path);
  } catch (const toml::parse_error& error) {
    throw std::runtime_error(path + ": line " + std::to_string(error.source().begin.line) + ": " +
                             std::string(error.description()));
  }
  Config config;
  std::set<std::string> sections;
  auto section = [&](const char* name) {
    sections.insert(name);
    const toml::node* node = file.get(name);
    if (node != nullptr && !node->is_table()) throw std::runtime_error(path + ": " + name + " is not a table");
    return Section(node != nullptr ? node->as_table() : nullptr, name, path);
  };

  auto log = section("log");
  log.read("level", config.log.level);
  log.read("format", config.log.format);
  log.finish();
  static const std::set<std::string> kLevels = {"trace", "debug", "info", "warn", "error"};
  if (!kLevels.contains(config.log.level)) log.complain("level", "must be trace, debug, info, warn or error");
  if (config.log.format != "text" && config.log.format != "json") log.complain("format", "must be text or json");

  auto nats = section("nats");
  nats.read("url", config.nats.url);
  nats.read("credentials_dir", config.nats.credentials_dir);
  nats.read("partitions", config.nats.partitions);
  nats.read("inbox_shards", config.nats.inbox_shards);
  nats.read("replicas", config.nats.replicas);
  nats.finish();
  if (config.nats.partitions == 0 || (config.nats.partitions & (config.nats.partitions - 1)) != 0)
    nats.complain("partitions", "must be a power of two");
  if (config.nats.inbox_shards == 0) nats.complain("inbox_shards", "must be at least 1");

  auto postgres = section("postgres");
  postgres.read("url", config.postgres.url);
  postgres.read("password_file", config.postgres.password_file);
  postgres.read("owner_url", config.postgres.owner_url);
  postgres.read("owner_password_file", config.postgres.owner_password_file);
  postgres.read("connections", config.postgres.connections);
  postgres.finish();

  auto edge = section("edge");
  EdgeConfig& e = config.edge;
  edge.read("name", e.name);
  edge.read("threads", e.threads);
  edge.read("engine", e.engine);
  edge.read("tls_certificate_file", e.tls_certificate_file);
  edge.read("tls_key_file", e.tls_key_file);
  edge.read("tls_min_version", e.tls_min_version);
  edge.read("heartbeat_s", e.heartbeat);
  edge.read("half_open_deadline_s", e.half_open_deadline);
  edge.read("connections_max", e.connections_max);
  edge.read("connections_per_address", e.connections_per_address);
  edge.read("sends_per_device", e.sends_per_device);
  edge.read("connects_per_address", e.connects_per_address);
  edge.read("requests_per_device", e.requests_per_device);
  edge.read("requests_per_address", e.requests_per_address);
  edge.read("observe_port", e.observe_port);
  if (const toml::node* listeners = edge.child("listeners")) {
    if (!listeners->is_array_of_tables()) edge.complain("listeners", "is not a list of tables");
    for (const auto& item : *listeners->as_array()) {
      Section listener(item.as_table(), "edge.listeners", path);
      ListenerConfig l;
      listener.read("kind", l.kind);
      listener.read("address", l.address);
      listener.read("port", l.port);
      listener.read("tls", l.tls);
      listener.read("proxy_protocol", l.proxy_protocol);
      listener.finish();
      if (l.kind != "tcp" && l.kind != "websocket") listener.complain("kind", "must be tcp or websocket");
      e.listeners.push_back(l);
    }
  }
  edge.finish();
  if (e.engine != "auto" && e.engine != "io_uring" && e.engine != "epoll")
    edge.complain("engine", "must be auto, io_uring or epoll");
  if (e.tls_min_version != "1.2" && e.tls_min_version != "1.3")
    edge.complain("tls_min_version", "must be \"1.3\" or \"1.2\"");
  if (e.threads == 0) edge.complain("threads", "must be at least 1");
  if (e.heartbeat.count() == 0 || e.half_open_deadline <= e.heartbeat)
    edge.complain("half_open_deadline_s", "must be longer than heartbeat_s, which is at least 1");

  auto worker = section("worker");
  worker.read("name", config.worker.name);
  worker.read("roles", config.worker.roles);
  worker.read("bus_endpoint", config.worker.bus_endpoint);
  worker.read("lease_s", config.worker.lease);
  worker.read("ack_deadline_s", config.worker.ack_deadline);
  worker.read("presence_grace_s", config.worker.presence_grace);
  worker.read("last_seen_every_s", config.worker.last_seen_every);
  worker.read("observe_port", config.worker.observe_port);
  worker.finish();
  if (config.worker.presence_grace.count() < 1) worker.complain("presence_grace_s", "must be at least 1");
  if (config.worker.last_seen_every.count() < 1) worker.complain("last_seen_every_s", "must be at least 1");
  for (const auto& role : config.worker.roles)
    if (role != "delivery" && role != "fanout" && role != "directory")
      worker.complain("roles", "knows only delivery, fanout and directory");

  auto directory = section("directory");
  DirectoryConfig& d = config.directory;
  directory.read("secrets_dir", d.secrets_dir);
  directory.read("code_sender", d.code_sender);
  directory.read("webhook_url", d.webhook_url);
  directory.read("webhook_secret_file", d.webhook_secret_file);
  directory.read("code_ttl_s", d.code_ttl);
  directory.read("code_tries", d.code_tries);
  directory.read("code_resend_s", d.code_resend);
  directory.read("codes_per_address", d.codes_per_address);
  directory.read("failures_per_address", d.failures_per_address);
  directory.read("lookups_per_day", d.lookups_per_day);
  directory.read("token_ttl_h", d.token_ttl);
  directory.read("group_members_max", d.group_members_max);
  directory.read("groups_per_user", d.groups_per_user);
  directory.read("invite_failures_per_user", d.invite_failures_per_user);
  directory.finish();
  if (d.group_members_max < 2 || d.group_members_max > limits::kGroupMembersMax)
    directory.complain("group_members_max", "must be from 2 to 1024");
  if (d.code_sender != "log" && d.code_sender != "webhook") directory.complain("code_sender", "must be log or webhook");
  if (d.code_sender == "webhook" && (d.webhook_url.empty() || d.webhook_secret_file.empty()))
    directory.complain("webhook_url", "and webhook_secret_file are needed when code_sender is webhook");

  auto messages = section("messages");
  messages.read("ttl_s", config.messages.ttl);
  messages.read("delivery_attempts", config.messages.delivery_attempts);
  messages.read("inbox_messages_max", config.messages.inbox_messages_max);
  messages.finish();

  auto media = section("media");
  MediaConfig& m = config.media;
  media.read("name", m.name);
  media.read("address", m.address);
  media.read("port", m.port);
  media.read("observe_port", m.observe_port);
  media.read("public_url", m.public_url);
  media.read("store_dir", m.store_dir);
  media.read("file_bytes_max", m.file_bytes_max);
  media.read("quota_bytes_per_user", m.quota_bytes_per_user);
  media.read("disk_bytes_min", m.disk_bytes_min);
  media.read("retention_h", m.retention);
  media.read("unfinished_h", m.unfinished);
  media.read("upload_url_ttl_s", m.upload_url_ttl);
  media.read("download_url_ttl_s", m.download_url_ttl);
  media.read("sweep_every_s", m.sweep_every);
  media.read("idle_deadline_s", m.idle_deadline);
  media.read("connections_max", m.connections_max);
  media.read("connections_per_address", m.connections_per_address);
  media.read("uploads_per_user", m.uploads_per_user);
  media.read("downloads_per_user", m.downloads_per_user);
  media.read("cors_origin", m.cors_origin);
  media.finish();
  check(media, m);

  for (const auto& [key, value] : file)
    if (!sections.contains(std::string(key.str())))
      throw std::runtime_error(path + ": [" + std::string(key.str()) + "] is not a known section");
  if (holds_password(config)) require_private_file(path);
  return config;
}

}  // namespace barid
