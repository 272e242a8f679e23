// SPDX-License-Identifier: GPL-3.0-or-later
// One device behind standard input and output, for axolotl_test.py: a command a line, its answer a line, bytes in hex.
#include <iostream>
#include <sstream>

#include "tests/unit/e2ee_fixture.h"

using namespace barid;
using e2ee::CipherType;
using e2ee::Device;

namespace {

const Device kThem{UserId(2), DeviceId(20)};
const GroupId kGroup(7);

std::string hex(const std::string& bytes) { return bytes.empty() ? "-" : crypto::to_hex(bytes); }

std::string answer(e2ee::test::Person& me, std::istringstream& in, const std::string& word) {
  const auto bytes = [&] {
    std::string text, raw;
    in >> text;
    return text == "-" || !crypto::from_hex(text, raw) ? std::string() : raw;
  };
  const auto number = [&] {
    std::uint32_t n = 0;
    in >> n;
    return n;
  };
  const auto said = [](const Result<std::string, e2ee::Errc>& r) {
    return r ? hex(*r) : "error " + std::to_string(static_cast<int>(r.error()));
  };
  if (word == "bundle") {
    const e2ee::Bundle b = me.bundle(1);
    return std::to_string(b.registration) + " " + hex(b.identity) + " " + std::to_string(b.signed_prekey_id) + " " +
           hex(b.signed_prekey) + " " + hex(b.signature) + " " + std::to_string(b.prekey_id) + " " + hex(b.prekey);
  }
  if (word == "start") {
    e2ee::Bundle b;
    b.registration = number(), b.identity = bytes(), b.signed_prekey_id = number(), b.signed_prekey = bytes();
    b.signature = bytes(), b.prekey_id = number(), b.prekey = bytes();
    return me.sealer.start(kThem, b) ? "ok" : "error";
  }
  if (word == "seal") {
    const auto c = me.sealer.seal(kThem, bytes()).value();
    return std::to_string(static_cast<int>(c.type)) + " " + hex(c.body);
  }
  if (word == "open") {
    const auto type = static_cast<CipherType>(number());
    return said(me.sealer.open(kThem, type, bytes()));
  }
  if (word == "distribution") return said(me.sealer.distribution(kGroup, me.self));
  if (word == "take") return me.sealer.take_distribution(kGroup, kThem, bytes()) ? "ok" : "error";
  if (word == "seal_for_group") return hex(me.sealer.seal_for_group(kGroup, me.self, bytes()).value().body);
  if (word == "open_in_group") return said(me.sealer.open_in_group(kGroup, kThem, bytes()));
  return "what?";
}

}  // namespace

int main() {
  crypto::init_crypto();
  e2ee::test::Person me(1);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream in(line);
    std::string word;
    in >> word;
    std::cout << answer(me, in, word) << std::endl;
  }
}
