// SPDX-License-Identifier: Apache-2.0
#include "backend.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <cstring>

#include "check.hpp"

namespace nearfield::test {
namespace {

#if defined(__APPLE__)
constexpr const char* kSuffix = ".dylib";
#else
constexpr const char* kSuffix = ".so";
#endif

// A row is a library and the kind of device wanted of it.
struct Row {
  const char* name;
  const char* library;
  int32_t software;                  // 1: a GPU API on the CPU, 0: not that, -1: whatever comes first
  int32_t emulated;                  // 1: kernels run in the emulator of kernels-test/simt, 0: they do not
  bool library_is_emulated = false;  // the library itself is built for that, not only its driver
  bool by_dawn = false;              // Dawn serves it, by kernels-test/dawn
  bool by_name = false;              // runs when it is named
};
constexpr Row kRows[] = {
    {"cpu", "cpu", -1, 0},
    {"wgpu", "wgpu", 0, 0},
    {"wgpu+lavapipe", "wgpu", 1, 0},
    {.name = "wgpu+dawn", .library = "wgpu", .software = -1, .emulated = 0, .by_dawn = true, .by_name = true},
    {"cuda", "cuda", 0, 0},
    {"metal", "metal", 0, 0},
    {"cuda+simt", "cuda", 0, 1},
    {"metal+simt", "metal_simt", 0, 1, true},
    // Kernels of codes for CPUs other than this one.
    {.name = "cpu+sim",
     .library = "cpu_sim",
     .software = -1,
     .emulated = 1,
     .library_is_emulated = true,
     .by_name = true},
};

Row find_row(const std::string& name) {
  for (const Row& row : kRows) {
    if (name == row.name) return row;
  }
  return {name.c_str(), name.c_str(), -1, 0};  // "planted", or a backend under construction
}

template <size_t size>
bool terminated(const char (&chars)[size]) {
  return std::memchr(chars, 0, size) != nullptr;
}

}  // namespace

CallBlock::CallBlock() : error_{}, call_{} {
  error_.struct_size = sizeof(error_);
  call_.struct_size = sizeof(call_);
  call_.error = &error_;
}

Answer CallBlock::answer(nf_status status) const {
  check(terminated(error_.message), "an error message is not NUL-terminated");
  if (status != NF_OK) {
    check(error_.message[0] != 0, "status %d without an error message", status);
    check(error_.status == status, "status %d, but call->error->status is %d", status, error_.status);
  }
  return {status, error_.message};
}

void ok(const Answer& answer, const char* what) {
  check(answer.code == NF_OK, "%s: status %d: %s", what, answer.code, answer.message.c_str());
}

void fails(const Answer& answer, nf_status wanted, const char* what) {
  check(answer.code == wanted, "%s: status %d (%s), expected %d", what, answer.code,
        answer.code == NF_OK ? "ok" : answer.message.c_str(), wanted);
}

std::vector<std::string> default_rows() {
  std::vector<std::string> names;
  for (const Row& row : kRows)
    if (!row.by_name) names.push_back(row.name);
  return names;
}

bool is_emulated(const std::string& row) { return find_row(row).emulated == 1; }

bool has_own_process(const std::string& row) {
  const Row found = find_row(row);
  return found.emulated == 1 || found.by_dawn;
}

std::vector<std::pair<std::string, std::string>> environment_of(const std::string& row,
                                                                const std::string& library_dir,
                                                                bool checked) {
  if (find_row(row).by_dawn) return {{"NEARFIELD_WGPU_NATIVE", library_dir + "/../dawn/libwgpu_dawn.so"}};
  const char* const before = std::getenv("LD_LIBRARY_PATH");
  std::string path = emulated_dir(library_dir, checked) + "/cuda";
  if (before != nullptr && before[0] != 0) path += std::string(":") + before;
  return {{"LD_LIBRARY_PATH", path}};
}

std::string emulated_dir(const std::string& library_dir, bool checked) {
  return library_dir + (checked ? "/../simt_checked" : "/../simt");
}

Backend::Backend(const std::string& row, const std::string& library_dir, const std::string& path,
                 bool checked)
    : row_(row), path_(path) {
  const Row wanted = find_row(row);
  const std::string folder = wanted.library_is_emulated ? emulated_dir(library_dir, checked) : library_dir;
  const std::string file = folder + "/libnearfield_" + wanted.library + kSuffix;
  library_ = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library_ == nullptr) {
    absent_ = dlerror();
    return;
  }
  const auto get_api = reinterpret_cast<const nf_api* (*)(uint32_t)>(dlsym(library_, "nf_get_api"));
  api_ = get_api == nullptr ? nullptr : get_api(NF_ABI_MAJOR);
  if (api_ == nullptr) {
    absent_ = file + " does not speak ABI " + std::to_string(NF_ABI_MAJOR);
    return;
  }
  CallBlock call;
  int32_t count = 0;
  ok(call.answer(api_->device_count(&count, call.abi())), "device_count");
  for (int32_t device = 0; device < count; ++device) {
    info_ = {};
    info_.struct_size = sizeof(info_);
    CallBlock info_call;
    ok(info_call.answer(api_->device_info(device, &info_, info_call.abi())), "device_info");
    check(terminated(info_.name) && terminated(info_.driver), "device_info: a name is not NUL-terminated");
    if ((wanted.software < 0 || info_.software == wanted.software) && info_.emulated == wanted.emulated) {
      device_ = device;
      return;
    }
  }
  const std::string reason = call.answer(NF_OK).message;
  if (count == 0) {
    absent_ = reason.empty() ? "no devices" : reason;
  } else if (info_.emulated != wanted.emulated) {
    absent_ = std::string(wanted.emulated == 1 ? "no emulated device" : "no device but an emulated one") +
              "; there is " + info_.name;
  } else {
    absent_ = std::string(wanted.software == 1 ? "no software adapter" : "no hardware adapter") +
              "; there is " + info_.name;
  }
}

// The library stays loaded: sanitizers and drivers want their symbols until the process ends.
Backend::~Backend() {
  for (const auto& [options, context] : contexts_) api_->context_destroy(context);
}

Answer Backend::try_context(const ContextOptions& options, nf_context** out) {
  nf_context_desc desc{};
  desc.struct_size = sizeof(desc);
  desc.device = device_;
  desc.threads = options.threads;
  desc.slab_bytes = options.slab_bytes;
  desc.max_binding_bytes = options.max_binding_bytes;
  desc.memory_limit = options.memory_limit;
  desc.workspace_limit = options.workspace_limit;
  const std::string& path = options.path.empty() ? path_ : options.path;
  desc.force_path = path.empty() ? nullptr : path.c_str();
  CallBlock call;
  return call.answer(api_->context_create(&desc, out, call.abi()));
}

nf_context* Backend::context(const ContextOptions& options) {
  nf_context*& context = contexts_[options];
  if (context == nullptr) ok(try_context(options, &context), "context_create");
  return context;
}

bool Backend::supports(int32_t op, int32_t metric) {
  nf_capability what{};
  what.struct_size = sizeof(what);
  what.op = op;
  what.index_kind = NF_FLAT;
  what.metric = metric;
  what.input_dtype = what.store_dtype = what.scan_dtype = NF_F32;
  return api_->supports(context(), &what) == 1;
}

// The words of the message that name paths are those that context_create then accepts.
const std::vector<std::string>& Backend::paths() {
  if (paths_known_ || !path_.empty()) return paths_;
  paths_known_ = true;
  nf_context* none = nullptr;
  const Answer refused = try_context({.path = "no-such-path"}, &none);
  fails(refused, NF_INVALID_ARGUMENT, "context_create with force_path=\"no-such-path\"");
  std::string word;
  for (const char c : refused.message + " ") {
    if (std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_') {
      word += c;
      continue;
    }
    nf_context* context = nullptr;
    const bool known = std::find(paths_.begin(), paths_.end(), word) != paths_.end();
    if (!word.empty() && !known && try_context({.path = word}, &context).code == NF_OK) {
      paths_.push_back(word);
      contexts_[{.path = word}] = context;
    }
    word.clear();
  }
  return paths_;
}

}  // namespace nearfield::test
