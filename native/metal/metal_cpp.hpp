// SPDX-License-Identifier: Apache-2.0
// metal-cpp, for the files that call it: device.cpp, commands.cpp, pipeline.cpp. It calls Objective-C, which
// hands out autoreleased objects: every entry of those files, the ends of objects included, has a pool of its
// own, for the caller's thread may have none.
#pragma once

// The system's headers that metal-cpp includes, before the names below go, which they compare versions by.
#include <CoreFoundation/CoreFoundation.h>
#include <IOSurface/IOSurfaceRef.h>
#include <TargetConditionals.h>
#include <dispatch/dispatch.h>
#include <dlfcn.h>
#include <mach/mach.h>
#include <objc/message.h>
#include <objc/runtime.h>
// Without them metal-cpp looks its constants up by dlsym(): some are newer than macOS 14, and none is used
// here.
#undef __MAC_26_0
#undef __IPHONE_26_0
#undef __TVOS_26_0

#include <Foundation/Foundation.hpp>
#include <Metal/Metal.hpp>
#include <string>

namespace nearfield::metal {

class Pool {
 public:
  Pool() : pool_(NS::AutoreleasePool::alloc()->init()) {}
  ~Pool() { pool_->release(); }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

 private:
  NS::AutoreleasePool* pool_;
};

inline NS::String* string(const char* text) { return NS::String::string(text, NS::UTF8StringEncoding); }

// One line, for one sentence: compilers report over several.
inline std::string text(NS::Error* e) {
  const char* words = e == nullptr || e->localizedDescription() == nullptr
                          ? nullptr
                          : e->localizedDescription()->utf8String();
  std::string line = words == nullptr ? "no reason given" : words;
  for (char& c : line)
    if (c == '\n' || c == '\r' || c == '\t') c = ' ';
  return line;
}

}  // namespace nearfield::metal
