#include "base/log.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "base/assert.h"
#include "base/config.h"
#include "base/utf8.h"

namespace barid {

void assertion_failed(const char* what, const char* file, int line) {
  spdlog::critical("bug: assertion {} does not hold at {}:{}", what, file, line);
  spdlog::default_logger()->flush();
  std::abort();
}

namespace {
// JSON lines: the message is escaped by spdlog's pattern only if we do it ourselves.
class JsonSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit JsonSink(std::string process) : process_(std::move(process)) {}

 private:
  void sink_it_(const spdlog::details::log_msg& msg) override {
    using namespace std::chrono;
    std::string line = fmt::format(R"({{"ts_ms":{},"level":"{}","process":"{}","msg":")",
                                   duration_cast<milliseconds>(msg.time.time_since_epoch()).count(),
                                   std::string_view(spdlog::level::to_string_view(msg.level).data(),
                                                    spdlog::level::to_string_view(msg.level).size()),
                                   process_);
    const std::string_view payload(msg.payload.data(), msg.payload.size());
    const bool utf8 = is_valid_utf8(payload);
    for (char c : payload) {
      if (!utf8 && static_cast<unsigned char>(c) >= 0x80) {
        line.push_back('?');  // JSON is UTF-8 or nothing
      } else if (c == '"' || c == '\\') {
        line.push_back('\\');
        line.push_back(c);
      } else if (static_cast<unsigned char>(c) < 0x20) {
        line += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
      } else {
        line.push_back(c);
      }
    }
    line += "\"}\n";
    std::fwrite(line.data(), 1, line.size(), stderr);
  }
  void flush_() override { std::fflush(stderr); }
  std::string process_;
};
}  // namespace

void init_log(const LogConfig& config, std::string_view process_name) {
  spdlog::sink_ptr sink;
  if (config.format == "json") {
    sink = std::make_shared<JsonSink>(std::string(process_name));
  } else {
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    sink->set_pattern("%Y-%m-%dT%H:%M:%S.%e %L " + std::string(process_name) + " %v");
  }
  auto logger = std::make_shared<spdlog::logger>(std::string(process_name), sink);
  logger->set_level(spdlog::level::from_str(config.level));
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(logger);
}

std::string masked_phone(std::string_view phone) {
  // Four digits stay hidden at least; what is no phone number (a client may send anything) is hidden whole.
  constexpr std::size_t kTail = 2, kHidden = 4;
  if (phone.size() < 9 || phone.find_first_not_of("+0123456789") != std::string_view::npos) return "•••";
  return std::string(phone.substr(0, std::min<std::size_t>(5, phone.size() - kTail - kHidden))) + "•••" +
         std::string(phone.substr(phone.size() - kTail));
}

std::string masked_url(std::string_view url) {
  const auto scheme = url.find("://"), at = url.rfind('@');
  if (scheme == std::string_view::npos || at == std::string_view::npos || at < scheme) return std::string(url);
  const std::string_view login = url.substr(scheme + 3, at - scheme - 3);
  const auto colon = login.find(':');
  // A login without a colon is a token, so a secret too.
  const std::string shown = colon == std::string_view::npos ? "" : std::string(login.substr(0, colon)) + ":";
  return std::string(url.substr(0, scheme + 3)) + shown + "•••" + std::string(url.substr(at));
}

std::string hex_id(std::uint64_t id) { return fmt::format("{:016x}", id); }
std::string trace_id(MessageId id) { return fmt::format("{:016x}-{}", id.device.value, id.seq); }

bool parse_hex_id(std::string_view text, std::uint64_t& id) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id, 16);
  return error == std::errc{} && end == text.data() + text.size() && !text.empty();
}

}  // namespace barid
