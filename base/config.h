// The configuration: one TOML file for every process of an instance (ops/barid.toml.example documents each
// key). Loaded once in main, then passed down by const reference.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace barid {

struct LogConfig {
  std::string level = "info";   // trace, debug, info, warn, error
  std::string format = "text";  // text or json
};

struct NatsConfig {
  std::string url = "nats://127.0.0.1:4222";
  std::string credentials_dir;      // ROLE.password for each role; empty: what the url says, or nothing
  std::string user, password;       // not of the file: filled in by broker::as_role()
  std::uint16_t partitions = 4;     // a power of two; topology writes it into KV, processes compare
  std::uint16_t inbox_shards = 64;  // streams that inboxes are spread over
  std::uint8_t replicas = 1;
};

struct PostgresConfig {
  std::string url = "postgresql:///barid";  // libpq connection string: of the directory, which reads and writes rows
  std::string password_file;                // its password; empty: none, or in the url
  std::string owner_url;                    // of the owner of the tables, who changes the schema; empty: url
  std::string owner_password_file;
  std::uint16_t connections = 4;  // of one directory worker
};

struct ListenerConfig {
  std::string kind = "tcp";  // tcp or websocket
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;
  bool tls = false;
  bool proxy_protocol = false;  // PROXY protocol v2 header required as the first bytes
};

struct RateConfig {
  double per_second = 0;  // refill; 0 switches the limit off
  double burst = 0;       // bucket size
};

struct EdgeConfig {
  std::string name = "edge-1";
  std::uint16_t threads = 1;
  std::string engine = "auto";  // auto, io_uring or epoll
  std::vector<ListenerConfig> listeners;
  std::string tls_certificate_file, tls_key_file;
  std::string tls_min_version = "1.3";          // or 1.2
  std::chrono::seconds heartbeat{20};           // the client pings at least this often when idle
  std::chrono::seconds half_open_deadline{30};  // nothing heard for this long: closed
  std::uint32_t connections_max = 200'000;
  std::uint32_t connections_per_address = 20'000;
  RateConfig sends_per_device{200, 1'000};
  RateConfig connects_per_address{50, 500};
  RateConfig requests_per_device{20, 100};
  RateConfig requests_per_address{5, 30};  // before login: codes and registrations
  std::uint16_t observe_port = 0;
};

struct WorkerConfig {
  std::string name = "worker-1";
  std::vector<std::string> roles = {"delivery", "fanout", "directory"};
  std::string bus_endpoint = "ipc:///tmp/barid-worker-1.sock";  // ZeroMQ, ipc:// or tcp://
  std::chrono::seconds lease{3};             // a silent worker's partitions are taken over after this
  std::chrono::seconds ack_deadline{30};     // delivered to a device and not acknowledged: session closed, mail parked
  std::chrono::seconds presence_grace{10};   // who is back this soon has not been offline in the eyes of others
  std::chrono::seconds last_seen_every{10};  // how often last-seen times are written
  std::uint16_t observe_port = 0;
};

struct DirectoryConfig {
  std::string secrets_dir;          // signing.key, otp.key, address.key: made by ops/up, mode 0600
  std::string code_sender = "log";  // log (development) or webhook
  std::string webhook_url, webhook_secret_file;
  std::chrono::seconds code_ttl{600};
  std::uint16_t code_tries = 5;
  std::chrono::seconds code_resend{60};       // between two codes for one number; doubles with each
  RateConfig codes_per_address{0.2, 200};     // codes asked for from one client address, whatever the number
  RateConfig failures_per_address{0.02, 30};  // wrong codes from one client address, whatever the number
  std::uint32_t lookups_per_day = 5'000;      // phone numbers one device may look up
  std::chrono::hours token_ttl{24 * 365};
  std::uint16_t group_members_max = 1'024;        // at most limits::kGroupMembersMax
  std::uint16_t groups_per_user = 1'000;          // that one may be in
  RateConfig invite_failures_per_user{0.02, 30};  // wrong invites
};

struct MediaConfig {
  std::string name = "media-1";
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;
  std::uint16_t observe_port = 0;
  std::string public_url;  // what signed URLs begin with, as clients reach barid-media (or the proxy before it);
                           // empty: there is no media service, and requests for media are refused
  std::string store_dir;   // ciphertexts, by digest
  std::uint64_t file_bytes_max = 2'147'483'648;         // of one file
  std::uint64_t quota_bytes_per_user = 10'737'418'240;  // kept for one user at a time, uploads under way included
  std::uint64_t disk_bytes_min = 536'870'912;           // uploads are refused when less would be left on the disk
  std::chrono::hours retention{30 * 24};                // from the upload (or the last one who uploaded it again)
  std::chrono::hours unfinished{24};                    // an upload that nobody has gone on with is removed after this
  std::chrono::seconds upload_url_ttl{3'600};           // then the client asks for another one, and goes on
  std::chrono::seconds download_url_ttl{3'600};         // at least; rounded up, so that caches see few different URLs
  std::chrono::seconds sweep_every{60};                 // how often what has ended is removed
  std::chrono::seconds idle_deadline{30};               // a connection on which nothing moves is closed
  std::uint32_t connections_max = 256;                  // each has a thread
  std::uint32_t connections_per_address = 64;           // 0: no limit, behind a proxy
  RateConfig uploads_per_user{0.5, 200};                // asked for over the message connection
  RateConfig downloads_per_user{2, 1'000};              // likewise
  std::string cors_origin = "*";                        // of the web client; the URL is what gives access
};

struct MessagesConfig {
  std::chrono::seconds ttl{30 * 24 * 3600};  // then failed(expired) to the sender
  std::uint16_t delivery_attempts = 5;       // sessions that saw a message and did not acknowledge it, then dead letter
  std::uint32_t inbox_messages_max = 100'000;  // per device
};

struct Config {
  LogConfig log;
  NatsConfig nats;
  PostgresConfig postgres;
  EdgeConfig edge;
  WorkerConfig worker;
  DirectoryConfig directory;
  MessagesConfig messages;
  MediaConfig media;
};

// Throws std::runtime_error whose text names the file, the key and what is wrong. Unknown keys are errors.
Config load_config(const std::string& path);

}  // namespace barid
