#include "ops/supervisor/spec.h"

#include <toml++/toml.h>

#include <algorithm>
#include <csignal>
#include <set>
#include <stdexcept>

namespace barid::supervisor {
namespace {

// One table of the file, with errors that say where they are. A key nobody asked for is an error.
class Table {
 public:
  Table(const toml::table& table, std::string where) : table_(table), where_(std::move(where)) {}

  std::string text(const char* key, const std::string& otherwise) {
    const toml::node* node = find(key);
    if (node == nullptr) return otherwise;
    auto value = node->value_exact<std::string>();
    if (!value) complain(key, "is not a string");
    return *value;
  }
  std::int64_t number(const char* key, std::int64_t otherwise, std::int64_t low, std::int64_t high) {
    const toml::node* node = find(key);
    if (node == nullptr) return otherwise;
    auto value = node->value_exact<std::int64_t>();
    if (!value || *value < low || *value > high)
      complain(key, ("is not a number from " + std::to_string(low) + " to " + std::to_string(high)).c_str());
    return *value;
  }
  bool flag(const char* key) {
    const toml::node* node = find(key);
    if (node == nullptr) return false;
    auto value = node->value_exact<bool>();
    if (!value) complain(key, "is neither true nor false");
    return *value;
  }
  std::vector<std::string> texts(const char* key) {
    const toml::node* node = find(key);
    std::vector<std::string> out;
    if (node == nullptr) return out;
    if (!node->is_array()) complain(key, "is not a list of strings");
    for (const toml::node& item : *node->as_array()) {
      auto value = item.value_exact<std::string>();
      if (!value) complain(key, "is not a list of strings");
      out.push_back(*value);
    }
    return out;
  }
  const toml::node* find(const char* key) {
    known_.insert(key);
    return table_.get(key);
  }
  void finish() const {
    for (const auto& [key, value] : table_)
      if (!known_.contains(std::string(key.str()))) complain(std::string(key.str()).c_str(), "is not a known key");
  }
  [[noreturn]] void complain(const char* key, const char* what) const {
    throw std::runtime_error(where_ + ": " + key + " " + what);
  }

 private:
  const toml::table& table_;
  std::string where_;
  std::set<std::string> known_;
};

int signal_of(Table& table, const char* key, const char* otherwise) {
  const std::string name = table.text(key, otherwise);
  if (name == "TERM") return SIGTERM;
  if (name == "INT") return SIGINT;
  if (name == "QUIT") return SIGQUIT;
  if (name == "KILL") return SIGKILL;
  table.complain(key, "is none of TERM, INT, QUIT, KILL");
}

bool is_plain_name(const std::string& name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_';
  });
}

ProcessSpec read_process(const toml::node& node, const std::string& path) {
  if (!node.is_table()) throw std::runtime_error(path + ": [[process]] is not a table");
  Table table(*node.as_table(), path + ": process " + (*node.as_table())["name"].value_or(std::string("?")));
  ProcessSpec spec;
  spec.name = table.text("name", "");
  if (!is_plain_name(spec.name)) table.complain("name", "must be letters, digits, - and _");
  spec.argv = table.texts("argv");
  if (spec.argv.empty()) table.complain("argv", "is empty");
  spec.env = table.texts("env");
  spec.user = table.text("user", "");
  spec.stage = static_cast<unsigned>(table.number("stage", 0, 0, 1'000));
  spec.task = table.flag("task");
  const std::string restart = table.text("restart", "always");
  if (restart != "always" && restart != "on-failure" && restart != "never")
    table.complain("restart", "is none of always, on-failure, never");
  spec.restart = restart == "always" ? Restart::always : restart == "never" ? Restart::never : Restart::on_failure;
  spec.ready = table.texts("ready");
  spec.alive = table.texts("alive");
  spec.stop_signal = signal_of(table, "stop_signal", "TERM");
  spec.death_signal = signal_of(table, "death_signal", "KILL");
  spec.stop_timeout = milliseconds(table.number("stop_timeout_ms", 10'000, 0, 600'000));
  table.finish();
  return spec;
}

}  // namespace

Spec load_spec(const std::string& path) {
  toml::table file;
  try {
    file = toml::parse_file(path);
  } catch (const toml::parse_error& error) {
    throw std::runtime_error(path + ": line " + std::to_string(error.source().begin.line) + ": " +
                             std::string(error.description()));
  }
  Spec spec;
  Table top(file, path);
  spec.log_dir = top.text("log_dir", "");
  if (spec.log_dir.empty()) top.complain("log_dir", "is missing");
  spec.log_bytes_max = static_cast<std::size_t>(top.number("log_bytes_max", 8 << 20, 4'096, 1LL << 40));
  spec.log_files_max = static_cast<unsigned>(top.number("log_files_max", 4, 1, 100));
  spec.start_timeout = milliseconds(top.number("start_timeout_ms", 60'000, 100, 3'600'000));
  const toml::node* processes = top.find("process");
  if (processes == nullptr || !processes->is_array_of_tables()) top.complain("process", "is missing: nothing to run");
  std::set<std::string> names;
  for (const toml::node& node : *processes->as_array()) {
    spec.processes.push_back(read_process(node, path));
    if (!names.insert(spec.processes.back().name).second)
      top.complain("process", ("names " + spec.processes.back().name + " twice").c_str());
  }
  if (spec.processes.size() > kProcessesMax) top.complain("process", "has too many entries (64 at most)");
  top.finish();
  std::stable_sort(spec.processes.begin(), spec.processes.end(),
                   [](const ProcessSpec& a, const ProcessSpec& b) { return a.stage < b.stage; });
  return spec;
}

}  // namespace barid::supervisor
