// SPDX-License-Identifier: Apache-2.0
// One line of the worker protocol (bench/README.md): a flat JSON object.
#pragma once

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>

namespace nearfield::bench {

// A command that cannot be done; what() is the one sentence that the driver shows.
class Refused : public std::runtime_error {
 public:
  explicit Refused(const std::string& sentence, bool unsupported = false)
      : std::runtime_error(sentence), unsupported_(unsupported) {}
  bool unsupported() const { return unsupported_; }

 private:
  bool unsupported_;
};

// printf into a string.
[[gnu::format(printf, 1, 2)]] std::string format(const char* pattern, ...);

class Command {
 public:
  explicit Command(const std::string& line);  // throws Refused when the line is no flat JSON object
  std::string text(const std::string& key, const std::string& fallback) const;
  std::string text(const std::string& key) const;  // throws Refused when the key is absent
  int64_t integer(const std::string& key, int64_t fallback) const;
  int64_t integer(const std::string& key) const;
  double number(const std::string& key, double fallback) const;

 private:
  const std::string* find(const std::string& key) const;
  std::map<std::string, std::string> values_;  // strings unescaped, everything else as written
};

class Reply {
 public:
  Reply& set(const std::string& key, const std::string& text);
  Reply& set(const std::string& key, const char* text) { return set(key, std::string(text)); }
  Reply& set(const std::string& key, double number);
  Reply& set(const std::string& key, int64_t number);
  Reply& set(const std::string& key, uint64_t number);
  Reply& set(const std::string& key, int number) { return set(key, static_cast<int64_t>(number)); }
  std::string line() const { return "{\"ok\":true" + body_ + "}"; }
  static std::string refusal(const std::string& sentence, bool unsupported);

 private:
  Reply& put(const std::string& key, const std::string& value);
  std::string body_;
};

}  // namespace nearfield::bench
