// Micro-benchmarks (Google Benchmark) of the message path's parts; items are messages, of token_check logins.
//   build/release/bin/barid-micro --benchmark_filter=delivery
#include <benchmark/benchmark.h>

#include "tests/bench/packed.h"
#include "tests/bench/workload.h"

namespace {

using barid::bench::Workload;

template <void (Workload::*Part)()>
void run(benchmark::State& state) {
  Workload workload;
  for (auto _ : state) (workload.*Part)();
  benchmark::DoNotOptimize(workload.check());
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(Workload::kBatch));
}

void token_check(benchmark::State& state) {
  Workload workload;
  for (auto _ : state) workload.token_check();
  benchmark::DoNotOptimize(workload.check());
  state.SetItemsProcessed(state.iterations() * 2);
}

// The generator's own share, to know what it takes from the cores that it shares with the server.
void generator_codec(benchmark::State& state) {
  const std::string content(Workload::kContentBytes, 'x');
  barid::bench::PackedReader reader;
  std::string out;
  std::uint64_t seq = 0;
  for (auto _ : state) {
    out.clear();
    barid::bench::append_send(out, ++seq, {barid::UserId(1ULL << 60), barid::DeviceId(1ULL << 61), 1ULL << 62}, 1,
                              content);
    benchmark::DoNotOptimize(reader.open(barid::wire::split(out)->payload));
  }
  state.SetItemsProcessed(state.iterations());
}

BENCHMARK(run<&Workload::codec>)->Name("codec");
BENCHMARK(run<&Workload::session_step>)->Name("session_step");
BENCHMARK(run<&Workload::batch>)->Name("batch");
BENCHMARK(run<&Workload::delivery_step>)->Name("delivery_step");
BENCHMARK(token_check);
BENCHMARK(run<&Workload::path>)->Name("path");
BENCHMARK(generator_codec);

}  // namespace

BENCHMARK_MAIN();
