// SPDX-License-Identifier: Apache-2.0
#include "message.hpp"

#include <charconv>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>

namespace nearfield::bench {
namespace {

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += format("\\u%04x", c);
    } else {
      out += c;
    }
  }
  return out + '"';
}

// Reads a flat object; everything else ends in Refused.
class Reader {
 public:
  explicit Reader(const std::string& line) : line_(line) {}

  std::map<std::string, std::string> object() {
    std::map<std::string, std::string> values;
    expect('{');
    if (peek() != '}') {
      do {
        const std::string key = string();
        expect(':');
        values[key] = peek() == '"' ? string() : scalar();
      } while (take(','));
    }
    expect('}');
    if (peek() != '\0') refuse();
    return values;
  }

 private:
  [[noreturn]] void refuse() const {
    throw Refused(format("command: not a flat JSON object at byte %zu of \"%.200s\"", at_, line_.c_str()));
  }
  char peek() {
    while (at_ < line_.size() && std::isspace(static_cast<unsigned char>(line_[at_])) != 0) ++at_;
    return at_ < line_.size() ? line_[at_] : '\0';
  }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) refuse();
  }
  std::string scalar() {
    const size_t start = at_;
    while (at_ < line_.size() && (std::isalnum(static_cast<unsigned char>(line_[at_])) != 0 ||
                                  line_[at_] == '-' || line_[at_] == '+' || line_[at_] == '.'))
      ++at_;
    if (at_ == start) refuse();
    return line_.substr(start, at_ - start);
  }
  std::string string() {
    expect('"');
    std::string out;
    for (;; ++at_) {
      if (at_ >= line_.size()) refuse();
      const char c = line_[at_];
      if (c == '"') break;
      if (c == '\\') {
        escape(&out);
      } else {
        out += c;
      }
    }
    ++at_;
    return out;
  }
  void escape(std::string* out) {
    if (++at_ >= line_.size()) refuse();
    switch (line_[at_]) {
      case 'n':
        *out += '\n';
        return;
      case 't':
        *out += '\t';
        return;
      case 'r':
        *out += '\r';
        return;
      case 'b':
        *out += '\b';
        return;
      case 'f':
        *out += '\f';
        return;
      case 'u':
        break;
      default:
        *out += line_[at_];
        return;
    }
    uint32_t code = 0;
    const char* digits = line_.data() + at_ + 1;
    if (at_ + 4 >= line_.size() || std::from_chars(digits, digits + 4, code, 16).ptr != digits + 4) refuse();
    at_ += 4;
    // Only paths need escapes, and the driver sends those beyond ASCII as UTF-8: U+0000 to U+007F is what is
    // left.
    if (code > 0x7f) refuse();
    *out += static_cast<char>(code);
  }

  const std::string& line_;
  size_t at_ = 0;
};

int64_t to_integer(const std::string& key, const std::string& value) {
  int64_t number = 0;
  const char* end = value.data() + value.size();
  if (std::from_chars(value.data(), end, number).ptr != end)
    throw Refused(format("command: %s=\"%.64s\" is no integer", key.c_str(), value.c_str()));
  return number;
}

}  // namespace

std::string format(const char* pattern, ...) {
  va_list arguments;
  va_start(arguments, pattern);
  char text[1024];
  std::vsnprintf(text, sizeof(text), pattern, arguments);
  va_end(arguments);
  return text;
}

Command::Command(const std::string& line) : values_(Reader(line).object()) {}

const std::string* Command::find(const std::string& key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? nullptr : &found->second;
}

std::string Command::text(const std::string& key, const std::string& fallback) const {
  const std::string* value = find(key);
  return value == nullptr ? fallback : *value;
}

std::string Command::text(const std::string& key) const {
  const std::string* value = find(key);
  if (value == nullptr) throw Refused("command: \"" + key + "\" is absent");
  return *value;
}

int64_t Command::integer(const std::string& key, int64_t fallback) const {
  const std::string* value = find(key);
  return value == nullptr ? fallback : to_integer(key, *value);
}

int64_t Command::integer(const std::string& key) const { return to_integer(key, text(key)); }

double Command::number(const std::string& key, double fallback) const {
  const std::string* value = find(key);
  if (value == nullptr) return fallback;
  char* end = nullptr;
  const double number = std::strtod(value->c_str(), &end);
  if (value->empty() || *end != '\0')
    throw Refused(format("command: %s=\"%.64s\" is no number", key.c_str(), value->c_str()));
  return number;
}

Reply& Reply::put(const std::string& key, const std::string& value) {
  body_.append(1, ',').append(quoted(key)).append(1, ':').append(value);
  return *this;
}
Reply& Reply::set(const std::string& key, const std::string& text) { return put(key, quoted(text)); }
Reply& Reply::set(const std::string& key, double number) {
  return put(key, std::isfinite(number) ? format("%.9g", number) : "null");
}
Reply& Reply::set(const std::string& key, int64_t number) { return put(key, std::to_string(number)); }
Reply& Reply::set(const std::string& key, uint64_t number) { return put(key, std::to_string(number)); }

std::string Reply::refusal(const std::string& sentence, bool unsupported) {
  return "{\"ok\":false,\"error\":" + quoted(sentence) + (unsupported ? ",\"unsupported\":true}" : "}");
}

}  // namespace nearfield::bench
