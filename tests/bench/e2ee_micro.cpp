// SPDX-License-Identifier: GPL-3.0-or-later
// Micro-benchmarks (Google Benchmark) of end-to-end encryption, without a store.
//   build/release/bin/barid-micro-e2ee
#include <benchmark/benchmark.h>

#include "tests/unit/e2ee_fixture.h"

namespace {

using barid::GroupId;
using barid::e2ee::test::Person;

constexpr std::size_t kPlainBytes = 200;
const std::string kPlain(kPlainBytes, 'x');

// Encrypt and decrypt, all in one direction: no new key agreement.
void one_way(benchmark::State& state) {
  Person alice(1), bob(2);
  (void)alice.sealer.start(bob.self, bob.bundle(1)).has_value();
  bob.open(alice, alice.seal(bob, "hello")).value();
  alice.open(bob, bob.seal(alice, "hello")).value();
  for (auto _ : state) benchmark::DoNotOptimize(bob.open(alice, alice.seal(bob, kPlain)).value());
}
// Each answers the other: a step of both ratchets for each message.
void ping_pong(benchmark::State& state) {
  Person alice(1), bob(2);
  (void)alice.sealer.start(bob.self, bob.bundle(1)).has_value();
  bob.open(alice, alice.seal(bob, "hello")).value();
  Person *from = &bob, *to = &alice;
  for (auto _ : state) {
    benchmark::DoNotOptimize(to->open(*from, from->seal(*to, kPlain)).value());
    std::swap(from, to);
  }
}
void in_group(benchmark::State& state) {
  Person alice(1), bob(2);
  const GroupId group(7);
  (void)bob.sealer.take_distribution(group, alice.self, alice.sealer.distribution(group, alice.self).value())
      .has_value();
  for (auto _ : state)
    benchmark::DoNotOptimize(
        bob.sealer.open_in_group(group, alice.self, alice.sealer.seal_for_group(group, alice.self, kPlain).value().body)
            .value());
}
// A bundle is verified, and the first message encrypted and decrypted.
void first_message(benchmark::State& state) {
  Person bob(2);
  const auto prekey = bob.keys.prekeys;
  Person alice(1);
  for (auto _ : state) {
    state.PauseTiming();
    bob.keys.prekeys = prekey;
    bob.keys.sessions.clear();
    alice.keys.sessions.clear();
    state.ResumeTiming();
    (void)alice.sealer.start(bob.self, bob.bundle(1)).has_value();
    benchmark::DoNotOptimize(bob.open(alice, alice.seal(bob, kPlain)).value());
  }
}
void safety_number(benchmark::State& state) {
  Person alice(1), bob(2);
  for (auto _ : state)
    benchmark::DoNotOptimize(alice.sealer.safety_number(alice.self.user, alice.keys.mine.public_key, bob.self.user,
                                                        bob.keys.mine.public_key));
}

BENCHMARK(one_way);
BENCHMARK(ping_pong);
BENCHMARK(in_group);
BENCHMARK(first_message);
BENCHMARK(safety_number);

}  // namespace

int main(int argc, char** argv) {
  barid::crypto::init_crypto();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
