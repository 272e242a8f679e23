// From what a person names (text, a file, a URL, coordinates) to the content of a message. Reads files;
// throws Failure with a sentence that says what is wrong.
#pragma once

#include <string>

#include "schemas/content.h"

namespace barid::cli {

std::string encode_or_fail(const content::Content& content);
content::Content text_content(std::string text);
// A text file's content as text if it is UTF-8 and fits, unless `as_file`; else what is known of the file before it is
// sealed: its kind, name, size and type.
content::Content file_content(const std::string& path, bool as_file);
content::Content media_content(content::MediaKind kind, const std::string& url, const std::string& caption);
content::Content location_content(const std::string& lat_lon, const std::string& place);
content::Content card_content(const std::string& name, const std::string& phone);

}  // namespace barid::cli
