// schemas/vectors/*.json are what clients in other languages are written against: both directions must hold
// for ever.
#include <gtest/gtest.h>

#include <fstream>

#include "base/crypto.h"
#include "base/partition.h"
#include "schemas/vectors/bridge.h"

namespace barid::vectors {
namespace {

Json load(const std::string& name) {
  std::ifstream file(std::string(BARID_VECTORS_DIR) + "/" + name + ".json");
  if (!file) throw std::runtime_error("cannot read " + name + ".json");
  return Json::parse(file);
}
std::string bytes(const Json& json, const char* key) { return unhex(json.at(key).get<std::string>()); }
std::uint64_t number(const Json& json, const char* key) { return std::stoull(json.at(key).get<std::string>()); }
template <std::size_t N>
std::array<std::uint8_t, N> array(const Json& json, const char* key) {
  const std::string raw = bytes(json, key);
  std::array<std::uint8_t, N> out{};
  EXPECT_EQ(raw.size(), N);
  std::copy_n(raw.begin(), std::min(raw.size(), N), out.begin());
  return out;
}

TEST(Vectors, EveryFrameEncodesToItsBytes) {
  for (const Json& v : load("frames"))
    EXPECT_EQ(crypto::to_hex(encode_frame(frame_from_json(v))), v.at("hex")) << v.at("name");
}

TEST(Vectors, EveryFrameDecodesToItsValues) {
  for (const Json& v : load("frames")) {
    const std::string whole = bytes(v, "hex");
    const auto raw = wire::split(whole);
    ASSERT_TRUE(raw) << v.at("name");
    EXPECT_EQ(raw->bytes, whole.size());
    const auto frame = wire::decode(*raw);
    ASSERT_TRUE(frame) << v.at("name") << " " << wire::name_of(frame.error());
    const Json got = to_json(*frame);
    EXPECT_EQ(got.at("type"), v.at("type"));
    EXPECT_EQ(got.at("values"), v.at("values")) << v.at("name");
  }
}

TEST(Vectors, CoverEveryFrameTypeAndEveryRequestAndResponse) {
  std::set<std::string> types, requests, responses;
  for (const Json& v : load("frames")) {
    types.insert(v.at("type").get<std::string>());
    for (const auto& [key, value] : v.at("values").items()) {
      if (v.at("type") == "request" && key != "id") requests.insert(key);
      if (v.at("type") == "response" && key != "id") responses.insert(key);
    }
  }
  EXPECT_EQ(types.size(), std::variant_size_v<wire::Frame>);
  EXPECT_EQ(requests.size(), std::variant_size_v<decltype(wire::Request::body)>);
  EXPECT_EQ(responses.size(), std::variant_size_v<decltype(wire::Response::body)>);
}

TEST(Vectors, EveryContentTypeEncodesAndDecodes) {
  std::set<std::string> types;
  for (const Json& v : load("content")) {
    types.insert(v.at("type").get<std::string>());
    const auto encoded = content::encode(content_from_json(v));
    ASSERT_TRUE(encoded) << v.at("name");
    EXPECT_EQ(crypto::to_hex(*encoded), v.at("hex")) << v.at("name");
    const auto decoded = content::decode(bytes(v, "hex"));
    ASSERT_TRUE(decoded) << v.at("name");
    EXPECT_EQ(to_json(*decoded).at("type"), v.at("type"));
    EXPECT_EQ(to_json(*decoded).at("values"), v.at("values")) << v.at("name");
  }
  EXPECT_EQ(types, (std::set<std::string>{"text", "image", "audio", "video", "document", "location", "contact",
                                          "sealed", "senderKey", "retry", "again"}));
}

TEST(Vectors, TheLoginSignatureIsOverTheDocumentedBytes) {
  crypto::init_crypto();
  const Json v = load("login");
  const auto pair = crypto::key_pair_from_seed(array<32>(v, "deviceSeed"));
  EXPECT_EQ(crypto::to_hex(crypto::view(pair.public_key)), v.at("devicePublicKey"));
  const std::string token = bytes(v, "token");
  const std::string message = wire::login_message(array<32>(v, "nonce"), SessionNo(number(v, "sessionNo")), token);
  EXPECT_EQ(crypto::to_hex(message), v.at("signedBytes"));
  EXPECT_EQ(message, "barid-login-v1" + bytes(v, "nonce") + std::string(7, '\0') + '\x07' + token);
  EXPECT_EQ(crypto::to_hex(crypto::view(crypto::sign(message, pair.secret_key))), v.at("signature"));
  EXPECT_TRUE(crypto::verify(message, bytes(v, "signature"), pair.public_key));
}

TEST(Vectors, TheTokenIsSealedAndOpenedAsRecorded) {
  crypto::init_crypto();
  const Json v = load("token");
  const auto pair = crypto::key_pair_from_seed(array<32>(v, "directorySeed"));
  EXPECT_EQ(crypto::to_hex(crypto::view(pair.public_key)), v.at("directoryPublicKey"));
  EXPECT_EQ(crypto::to_hex(token::seal(token_from_json(v.at("values")), pair.secret_key)), v.at("hex"));
  const auto opened = token::open(bytes(v, "hex"), pair.public_key);
  ASSERT_TRUE(opened);
  EXPECT_EQ(to_json(*opened), v.at("values"));
}

TEST(Vectors, TagsAndPartitionsStayWhereTheyAre) {
  const Json v = load("addresses");
  const auto key = array<16>(v, "addressKey");
  for (const Json& t : v.at("tags"))
    EXPECT_EQ(token::address_tag(UserId(number(t, "user")), DeviceId(number(t, "device")), key), number(t, "tag"));
  std::size_t checked = 0;
  for (const Json& p : v.at("partitions"))
    for (const auto& [name, partition] : p.items()) {
      if (!name.starts_with("of ")) continue;
      const auto count = static_cast<std::uint16_t>(std::stoul(name.substr(3)));
      EXPECT_EQ(partition_of(UserId(number(p, "user")), count).value, partition.get<std::uint16_t>()) << p << name;
      ++checked;
    }
  EXPECT_GE(checked, 40U);
}

// What a reader makes of the batch's envelopes: one for each recipient.
std::vector<Json> letters(const Json& envelopes) {
  std::vector<Json> out;
  for (Json e : envelopes) {
    const Json recipients = std::exchange(e["recipients"], Json::array());
    if (recipients.empty()) out.push_back(e);
    for (const Json& to : recipients) {
      e["toUser"] = to.at("user"), e["toDevice"] = to.at("device");
      out.push_back(e);
    }
  }
  return out;
}

TEST(Vectors, ABatchIsReadAsOneLetterARecipientAndWrittenToTheSameBytes) {
  const Json v = load("batch");
  const auto batch = envelope::Batch::decode(bytes(v, "hex"));
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->origin(), number(v, "origin"));
  EXPECT_EQ(batch->number(), number(v, "number"));
  std::vector<Json> read;
  for (const auto& e : batch->envelopes()) read.push_back(to_json(e));
  EXPECT_EQ(read, letters(v.at("envelopes")));
  EXPECT_GT(read.size(), v.at("envelopes").size());
  const std::size_t count = v.at("envelopes").size();
  std::vector<std::string> frames(count);
  std::vector<std::vector<envelope::Recipient>> recipients(count);
  std::vector<envelope::Envelope> envelopes;
  for (std::size_t i = 0; i < count; ++i)
    envelopes.push_back(envelope_from_json(v.at("envelopes")[i], frames[i], recipients[i]));
  std::string encoded;
  envelope::encode_batch(encoded, number(v, "origin"), number(v, "number"), envelopes);
  EXPECT_EQ(crypto::to_hex(encoded), v.at("hex"));
}

TEST(Vectors, ABatchWrittenBeforeThereWereGroupsIsStillRead) {
  const Json v = load("batch");
  const auto batch = envelope::Batch::decode(bytes(v, "olderHex"));
  ASSERT_TRUE(batch);
  ASSERT_EQ(batch->envelopes().size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    Json read = to_json(batch->envelopes()[i]), expected = v.at("envelopes")[i];
    read.erase("frame"), expected.erase("frame");  // encoded then
    EXPECT_EQ(read, expected);
    EXPECT_TRUE(wire::decode(*wire::split(batch->envelopes()[i].frame)));
  }
}

}  // namespace
}  // namespace barid::vectors
