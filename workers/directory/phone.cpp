#include "workers/directory/phone.h"

#include <phonenumbers/phonenumberutil.h>

#include <algorithm>

namespace barid::directory {

using i18n::phonenumbers::PhoneNumber;
using i18n::phonenumbers::PhoneNumberUtil;

namespace {

std::string explain(PhoneNumberUtil::ErrorType error) {
  switch (error) {
    case PhoneNumberUtil::INVALID_COUNTRY_CODE_ERROR:
      return "the country code after the + does not exist";
    case PhoneNumberUtil::TOO_SHORT_AFTER_IDD:
    case PhoneNumberUtil::TOO_SHORT_NSN:
      return "the phone number is too short";
    case PhoneNumberUtil::TOO_LONG_NSN:
      return "the phone number is too long";
    default:
      return "this is not a phone number";
  }
}

std::string explain_invalid(const PhoneNumberUtil& util, const PhoneNumber& number) {
  switch (util.IsPossibleNumberWithReason(number)) {
    case PhoneNumberUtil::INVALID_COUNTRY_CODE:
      return "the country code after the + does not exist";
    case PhoneNumberUtil::TOO_SHORT:
      return "the phone number is too short";
    case PhoneNumberUtil::TOO_LONG:
      return "the phone number is too long";
    default:
      return "the phone number does not exist in its country's numbering plan";
  }
}

bool starts_with_plus(std::string_view text) {
  return text.rfind('+', 0) == 0 || text.rfind("\xef\xbc\x8b", 0) == 0;  // U+FF0B, the full-width plus
}

}  // namespace

Result<std::string, std::string> normalise_phone(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  if (text.size() > kPhoneTextBytesMax) return fail<std::string>("the phone number is too long");
  if (!starts_with_plus(text))
    return fail<std::string>("write the phone number with + and its country code, like +49 1512 3456789");
  // libphonenumber reads letters as on a keypad (+1 800 FLOWERS) and takes extensions; neither gets a code by
  // SMS.
  if (std::any_of(text.begin(), text.end(),
                  [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == ';' || c == '\0'; }))
    return fail<std::string>("a phone number has no letters or extensions");

  const PhoneNumberUtil& util = *PhoneNumberUtil::GetInstance();
  PhoneNumber number;
  const auto error = util.Parse(std::string(text), "ZZ", &number);
  if (error != PhoneNumberUtil::NO_PARSING_ERROR) return fail(explain(error));
  if (number.has_extension()) return fail<std::string>("a phone number has no letters or extensions");
  if (!util.IsValidNumber(number)) return fail(explain_invalid(util, number));
  std::string e164;
  util.Format(number, PhoneNumberUtil::E164, &e164);
  return e164;
}

}  // namespace barid::directory
