#include "base/log.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/config.h"
#include "base/utf8.h"

namespace barid {
namespace {

std::string logged(const LogConfig& config, const std::string& message) {
  const auto before = spdlog::default_logger();
  init_log(config, "test");
  testing::internal::CaptureStderr();
  spdlog::info("{}", message);
  spdlog::default_logger()->flush();
  std::string out = testing::internal::GetCapturedStderr();
  spdlog::set_default_logger(before);
  return out;
}

TEST(JsonLog, EveryMessageIsOneLineOfJsonThatSaysTheSame) {
  std::string controls;
  for (char c = 0; c < 0x20; ++c) controls.push_back(c);
  for (const std::string& message :
       {std::string("plain"), std::string("say \"hi\" \\ bye"), std::string("two\nlines\ttab"), controls,
        std::string("\x7f grüße 你好 👋"), std::string()}) {
    const std::string line = logged({"info", "json"}, message);
    EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
    const auto json = nlohmann::json::parse(line);
    EXPECT_EQ(json.at("msg"), message);
    EXPECT_EQ(json.at("level"), "info");
    EXPECT_EQ(json.at("process"), "test");
    EXPECT_GT(json.at("ts_ms").get<std::int64_t>(), 1'600'000'000'000);
  }
}

TEST(JsonLog, BytesThatAreNotUtf8StayValidJson) {
  const auto json = nlohmann::json::parse(logged({"info", "json"}, "caf\xe9 \xff ok"));
  EXPECT_EQ(json.at("msg"), "caf? ? ok");
}

TEST(Log, LevelsBelowTheConfiguredOneAreSilent) {
  EXPECT_EQ(logged({"warn", "text"}, "quiet"), "");
  EXPECT_NE(logged({"info", "text"}, "loud").find("test loud"), std::string::npos);
}

TEST(MaskedPhone, ShowsTheEndsAndHidesAtLeastFourDigits) {
  EXPECT_EQ(masked_phone("+4915112345623"), "+4915•••23");
  EXPECT_EQ(masked_phone("+97150123456"), "+9715•••56");
  EXPECT_EQ(masked_phone("+12345678"), "+12•••78");
  EXPECT_EQ(masked_phone("+1234567"), "•••");
  EXPECT_EQ(masked_phone(""), "•••");
  for (std::size_t digits = 0; digits <= 15; ++digits) {
    const std::string phone = "+" + std::string("123456789012345").substr(0, digits);
    const std::string masked = masked_phone(phone);
    const auto shown = std::count_if(masked.begin(), masked.end(), [](char c) { return c >= '0' && c <= '9'; });
    EXPECT_TRUE(shown == 0 || shown + 4 <= static_cast<long>(digits)) << phone << " " << masked;
  }
}

TEST(MaskedPhone, NeverCutsThroughACharacter) {
  for (const std::string phone : {"+491é1112345623", "ééééééééééé", "+4915112345é"}) {
    EXPECT_TRUE(is_valid_utf8(masked_phone(phone))) << phone;
  }
}

TEST(TraceIds, NameADeviceAndItsNumber) {
  EXPECT_EQ(trace_id({DeviceId(0xabc), 42}), "0000000000000abc-42");
  EXPECT_EQ(hex_id(0), "0000000000000000");
  EXPECT_EQ(hex_id(~0ULL), "ffffffffffffffff");
}

TEST(TraceIds, HexIdsAreReadBack) {
  std::uint64_t id = 1;
  for (const std::uint64_t value : {0ULL, 1ULL, 0xdeadbeefULL, ~0ULL}) {
    EXPECT_TRUE(parse_hex_id(hex_id(value), id));
    EXPECT_EQ(id, value);
  }
  for (const char* bad : {"", "g", "0x1", "-1", " 1", "1 ", "11112222333344445"})
    EXPECT_FALSE(parse_hex_id(bad, id)) << bad;
}

}  // namespace
}  // namespace barid
