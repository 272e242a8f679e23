// What a run prints at its end: a table for people, one JSON object for scripts.
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "tests/bench/runner.h"

namespace barid::bench {

using nlohmann::ordered_json;

Verdict Runner::judge() const {
  Verdict all;
  for (const auto& plan : plans_) all += plan->verdict;
  return all;
}

void Runner::add_common(ordered_json& json, const Window& w, Counted counted) const {
  json["scenario"] = options_.scenario;
  json["system"] = options_.label;
  json["protocol"] = options_.protocol;
  json["transport"] = options_.transport;
  json["clients"] = options_.clients;
  json["in_flight"] = options_.in_flight;
  json["bytes"] = options_.size;
  json["in_flight_until"] = options_.until_receipt ? "receipt" : "delivered";
  json["seconds"] = w.seconds;
  const char* per_second = counted == Counted::online ? "logins_per_s" : "delivered_per_s";
  json[counted == Counted::accepted ? "accepted_per_s" : per_second] = w.per_second();
  json["server_cpu_us_per_message"] = w.server_us_all;
  for (const auto& [name, us] : w.server_us) json["server_cpu_us_per_message_by_process"][name] = us;
  json["server_cpu_share"] = w.server_share;
  json["generator_cpu_us_per_message"] = w.own_us;
  json["generator_cpu_share"] = w.own_share;
  if (count_of(w.latency) == 0) return;
  for (const auto& [key, share] :
       {std::pair{"p50_ms", 0.5}, {"p90_ms", 0.9}, {"p99_ms", 0.99}, {"p999_ms", 0.999}, {"max_ms", 1.0}})
    json[key] = percentile_ms(w.latency, share);
}

int Runner::finish(ordered_json& json, const Verdict& v) const {
  for (const auto& [key, value] : {std::pair{"sent", v.sent},
                                   {"delivered", v.delivered},
                                   {"unaccepted", v.unaccepted},
                                   {"lost", v.lost},
                                   {"doubled", v.doubled},
                                   {"reordered", v.reordered},
                                   {"corrupted", v.corrupted},
                                   {"receipts_missing", v.receipts_missing}})
    json[key] = value;
  json["ok"] = v.good();
  std::printf("\n%s, %s: %u clients, %u in flight each, %u bytes\n", options_.label.c_str(), options_.scenario.c_str(),
              options_.clients, options_.in_flight, options_.size);
  for (const char* key : {"delivered_per_s", "accepted_per_s", "logins_per_s", "p50_ms", "p99_ms", "p999_ms",
                          "server_cpu_us_per_message", "generator_cpu_us_per_message", "copies_per_s",
                          "server_cpu_us_per_copy", "copy_p99_ms", "drained_per_s", "first_message_p99_ms"})
    if (json.contains(key) && json[key].get<double>() != 0)
      std::printf("  %-32s %14.3f\n", key, json[key].get<double>());
  if (json.contains("server_cpu_us_per_message_by_process"))
    for (const auto& [name, us] : json["server_cpu_us_per_message_by_process"].items())
      std::printf("    %-30s %14.3f\n", name.c_str(), us.get<double>());
  std::printf(
      "  sent %llu, delivered %llu, lost %llu, doubled %llu, reordered %llu, corrupted %llu, unaccepted %llu, "
      "receipts missing %llu: %s\n",
      static_cast<unsigned long long>(v.sent), static_cast<unsigned long long>(v.delivered),
      static_cast<unsigned long long>(v.lost), static_cast<unsigned long long>(v.doubled),
      static_cast<unsigned long long>(v.reordered), static_cast<unsigned long long>(v.corrupted),
      static_cast<unsigned long long>(v.unaccepted), static_cast<unsigned long long>(v.receipts_missing),
      v.good() ? "all promises kept" : "A PROMISE WAS BROKEN");
  if (options_.json) std::cout << json.dump() << std::endl;
  return v.good() ? 0 : 1;
}

}  // namespace barid::bench
