// SPDX-License-Identifier: Apache-2.0
#include "searcher.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "commands.hpp"
#include "pages.hpp"
#include "parallel.hpp"

namespace nearfield::bench {

nf_matrix matrix(const Fbin& file, int64_t first, int64_t count) {
  auto m = sized<nf_matrix>();
  m.dtype = NF_F32;
  m.data = const_cast<float*>(file.row(first));  // an input: never written to
  m.rows = count;
  m.cols = file.dim();
  m.row_stride = file.dim() * static_cast<int64_t>(sizeof(float));
  return m;
}

namespace {

int32_t scan_dtype_of(const Command& command) {
  const std::string name = command.text("scan_dtype", "f32");
  if (name == "f32") return NF_F32;
  if (name == "i8") return NF_I8;
  throw Refused("command: scan_dtype=\"" + name + "\" is neither f32 nor i8");
}

}  // namespace

int64_t at_least(const Command& command, const char* key, int64_t fallback, int64_t least) {
  const int64_t value = command.integer(key, fallback);
  if (value < least)
    throw Refused(format("command: %s=%lld, the least is %lld", key, static_cast<long long>(value),
                         static_cast<long long>(least)));
  return value;
}

void Latencies::add(const Latencies& other) {
  seconds_.insert(seconds_.end(), other.seconds_.begin(), other.seconds_.end());
}

void Latencies::write(Reply* to) {
  std::sort(seconds_.begin(), seconds_.end());
  const auto at = [&](double part) {  // nearest rank
    const double rank = std::ceil(part * static_cast<double>(seconds_.size()));
    return seconds_[static_cast<size_t>(std::max(rank, 1.0)) - 1];
  };
  to->set("p50_s", at(0.5)).set("p90_s", at(0.9)).set("p99_s", at(0.99)).set("max_s", seconds_.back());
}

Reply Searcher::hello(const Command& command) {
  index_.reset();
  int threads = static_cast<int>(at_least(command, "threads", 0, 0));
  if (threads == 0) threads = usable_threads();
  const std::string path = command.text("path", "");
  library_ =
      std::make_unique<Library>(command.text("library"), command.text("backend", "cpu"), path, threads);
  const nf_device_info& info = library_->info();
  return Reply()
      .set("system", "nearfield")
      .set("version", library_->api().build)
      .set("backend", library_->api().backend)
      .set("device", info.name)
      .set("driver", info.driver)
      .set("software", info.software)
      .set("emulated", info.emulated)
      .set("settings", (path.empty() ? info.driver : path) + format(", %d threads", threads))
      .set("threads", threads);
}

nf_index_desc Searcher::describe(int32_t metric, int64_t dim, int64_t rows, int32_t scan_dtype,
                                 int64_t lists) {
  if (!library_) throw Refused("load: hello comes first");
  if (dim > INT32_MAX) throw Refused(format("load: dim=%lld", static_cast<long long>(dim)));
  auto desc = sized<nf_index_desc>();
  desc.kind = lists > 0 ? NF_IVF : NF_FLAT;
  desc.metric = metric;
  desc.dim = static_cast<int32_t>(dim);
  desc.store_dtype = NF_F32;
  desc.scan_dtype = scan_dtype;
  desc.capacity = rows;
  return desc;
}

Searcher::Index Searcher::create(const nf_index_desc& desc) {
  nf_index* index = nullptr;
  Call call;
  call.check(library_->api().index_create(library_->context(), &desc, &index, call.abi()));
  return Index(index, Destroy{&library_->api()});
}

void Searcher::warm_memory(const nf_index_desc& desc) {
  uint64_t peak = 0, bytes = 0;
  Call call;
  call.check(library_->api().index_estimate(library_->context(), &desc, &peak, &bytes, call.abi()));
  const Pages pages(bytes, true);
  std::memset(pages.data(), 1, bytes);
}

void Searcher::add(nf_index* index, const Fbin& base, int64_t from, int64_t count) {
  const nf_matrix rows = matrix(base, from, count);
  auto request = sized<nf_add>();
  request.rows = &rows;
  int64_t first = 0;
  Call call;
  call.check(library_->api().index_add(index, &request, &first, call.abi()));
}

Searcher::Fit Searcher::train(nf_index* index, const nf_train& request) {
  auto step = sized<nf_step>();
  step.budget_ns = kStepNanos;
  Fit fit;
  while (step.done == 0) {
    const double start = now();
    Call call;
    call.check(library_->api().index_train(index, &request, &step, call.abi()));
    const double seconds = now() - start;
    ++fit.steps;
    fit.seconds += seconds;
    fit.longest = std::max(fit.longest, seconds);
  }
  return fit;
}

nf_index_info Searcher::info(nf_index* index) {
  auto found = sized<nf_index_info>();
  Call call;
  call.check(library_->api().index_info(index, &found, call.abi()));
  return found;
}

Reply Searcher::load(const Command& command) {
  index_.reset();
  queries_.reset();
  const Fbin base(command.text("base"));
  const int32_t scan_dtype = scan_dtype_of(command);
  const int64_t lists = at_least(command, "lists", 0, 0);
  index_ =
      create(describe(metric_number(command.text("metric")), base.dim(), base.rows(), scan_dtype, lists));
  dim_ = base.dim();
  coded_ = scan_dtype != NF_F32;
  listed_ = lists > 0;
  removed_ = 0;
  reach_ = {};
  const double start = now();
  add(index_.get(), base, 0, base.rows());
  const double seconds = now() - start;
  const Fit fit = listed_  ? train_lists(index_.get(), command)
                  : coded_ ? train(index_.get(), sized<nf_train>())
                           : Fit();
  const nf_index_info made = info(index_.get());
  Reply reply;
  reply.set("rows", made.rows)
      .set("dim", dim_)
      .set("seconds", seconds)
      .set("device_bytes", made.device_bytes)
      .set("workspace_bytes", made.workspace_bytes);
  if (coded_ || listed_)
    reply.set("fit_s", fit.seconds).set("fit_steps", fit.steps).set("fit_longest_step_s", fit.longest);
  if (coded_)
    reply.set("code_bytes", made.code_bytes).set("rotated", made.rotated).set("level_dims", made.level_dims);
  if (listed_) {
    reply.set("build_s", seconds + fit.seconds)
        .set("lists", made.lists)
        .set("smallest_list", made.smallest_list)
        .set("largest_list", made.largest_list);
  }
  return reply;
}

Reply Searcher::workload(const Command& command) {
  need_index("workload");
  queries_.reset();
  auto queries = std::make_unique<Fbin>(command.text("queries"));
  if (queries->dim() != dim_)
    throw Refused(format("workload: the queries have %lld dimensions, the base has %lld",
                         static_cast<long long>(queries->dim()), static_cast<long long>(dim_)));
  batch_ = at_least(command, "batch", 1, 1);
  clients_ = at_least(command, "clients", 1, 1);
  k_ = static_cast<int32_t>(std::min<int64_t>(at_least(command, "k", 10, 1), INT32_MAX));
  max_oversample_ = static_cast<float>(command.number("max_oversample", 0));
  if (queries->rows() < batch_)
    throw Refused(format("workload: batch=%lld, the file has %lld queries", static_cast<long long>(batch_),
                         static_cast<long long>(queries->rows())));
  queries_ = std::move(queries);
  next_.clear();
  const int64_t batches = queries_->rows() / batch_;
  for (int64_t c = 0; c < clients_; ++c) next_.push_back(batches * c / clients_ * batch_);
  return Reply();
}

Searcher::Results Searcher::room(int64_t queries) const {
  const auto size = static_cast<size_t>(queries * k_), each = static_cast<size_t>(queries);
  const size_t coded = coded_ ? each : 0, listed = listed_ ? each : 0;
  return {std::vector<int64_t>(size),  std::vector<float>(size),     std::vector<uint8_t>(coded),
          std::vector<int32_t>(coded), std::vector<int32_t>(listed), std::vector<float>(listed)};
}

void Searcher::search(int64_t first_query, int64_t count, Results* to, Answered* answered) {
  const nf_matrix queries = matrix(*queries_, first_query, count);
  auto result = sized<nf_result>();
  result.k = k_;
  result.rows = to->rows.data();
  result.distances = to->distances.data();
  result.row_stride = k_;
  if (coded_) {
    result.certified = to->certified.data();
    result.rescored = to->rescored.data();
  }
  if (listed_) {
    result.lists_scanned = to->lists_scanned.data();
    result.recall_estimate = to->recall_estimate.data();
  }
  auto search = sized<nf_search>();
  search.queries = &queries;
  search.max_oversample = max_oversample_;
  search.probes = reach_.probes;
  search.target_recall = reach_.target_recall;
  if (reach_.exact) search.flags = NF_EXACT;
  search.result = &result;
  Call call;
  call.check(library_->api().index_search(index_.get(), &search, call.abi()));
  if (answered != nullptr) answered->add(*to, count);
}

void Searcher::Answered::add(const Results& results, int64_t count) {
  queries += count;
  if (!results.rescored.empty()) {
    rescored.insert(rescored.end(), results.rescored.begin(), results.rescored.begin() + count);
    certified += std::count(results.certified.begin(), results.certified.begin() + count, uint8_t{1});
  }
  if (results.lists_scanned.empty()) return;
  const auto end = results.lists_scanned.begin() + count;
  lists_scanned += std::accumulate(results.lists_scanned.begin(), end, int64_t{0});
  recall_estimate +=
      std::accumulate(results.recall_estimate.begin(), results.recall_estimate.begin() + count, 0.0);
}

void Searcher::Answered::add(const Answered& other) {
  rescored.insert(rescored.end(), other.rescored.begin(), other.rescored.end());
  certified += other.certified;
  queries += other.queries;
  lists_scanned += other.lists_scanned;
  recall_estimate += other.recall_estimate;
}

void Searcher::Answered::write_lists(Reply* to) const {
  const auto each = static_cast<double>(std::max<int64_t>(queries, 1));
  to->set("lists_scanned", static_cast<double>(lists_scanned) / each)
      .set("recall_estimate", recall_estimate / each);
}

Reply Searcher::run(const Command& command) {
  need_workload("run");
  const int64_t calls = at_least(command, "calls", 1, 1);
  std::vector<Latencies> latencies(static_cast<size_t>(clients_));
  std::vector<Results> results(static_cast<size_t>(clients_), room(batch_));
  std::vector<Answered> answered(static_cast<size_t>(clients_));
  const nf_index_info before = info(index_.get());
  const auto client = [&](int c, int) {
    const auto mine = static_cast<size_t>(c);
    for (int64_t i = 0; i < calls; ++i) {
      const double start = now();
      search(next_[mine], batch_, &results[mine], &answered[mine]);
      latencies[mine].add(now() - start);
      next_[mine] += batch_;
      if (next_[mine] + batch_ > queries_->rows()) next_[mine] = 0;
    }
  };
  double seconds = 0;
  if (clients_ == 1) {  // on this thread, as a single caller would
    const double start = now();
    client(0, 1);
    seconds = now() - start;
  } else {
    seconds = parallel(static_cast<int>(clients_), client);
  }
  for (size_t c = 1; c < latencies.size(); ++c) latencies[0].add(latencies[c]);
  Reply reply;
  reply.set("seconds", seconds);
  latencies[0].write(&reply);
  for (size_t c = 1; c < answered.size(); ++c) answered[0].add(answered[c]);
  if (listed_) answered[0].write_lists(&reply);
  if (!coded_) return reply;
  std::vector<int32_t>& rescored = answered[0].rescored;
  const auto middle = rescored.begin() + static_cast<int64_t>(rescored.size() / 2);
  std::nth_element(rescored.begin(), middle, rescored.end());
  const nf_index_info after = info(index_.get());
  return reply.set("queries", static_cast<int64_t>(rescored.size()))
      .set("certified", answered[0].certified)
      .set("rescored_p50", *middle)
      .set("scanned_bytes", after.scanned_bytes - before.scanned_bytes)
      .set("whole_bytes", after.whole_bytes - before.whole_bytes);
}

Reply Searcher::answers(const Command& command) {
  need_workload("answers");
  int64_t count = at_least(command, "count", 0, 0);
  count = count == 0 ? queries_->rows() : std::min(count, queries_->rows());
  Output rows(command.text("to") + ".rows"), distances(command.text("to") + ".distances");
  Answered answered;
  for (int64_t from = 0; from < count; from += batch_) {
    const int64_t part = std::min(batch_, count - from);
    Results results = room(part);
    search(from, part, &results, &answered);
    for (int64_t& row : results.rows) row = row < removed_ ? row : row - removed_;
    rows.write(results.rows.data(), results.rows.size() * sizeof(int64_t));
    distances.write(results.distances.data(), results.distances.size() * sizeof(float));
  }
  rows.close();
  distances.close();
  Reply reply;
  reply.set("count", count);
  if (listed_) answered.write_lists(&reply);
  return reply;
}

Reply Searcher::insert(const Command& command) {
  const Fbin base(command.text("base"));
  int64_t batch = at_least(command, "batch", 0, 0);
  if (batch == 0) batch = base.rows();
  const int64_t before = at_least(command, "before", 0, 0);
  if (before >= base.rows())
    throw Refused(format("insert: before=%lld, the file has %lld rows", static_cast<long long>(before),
                         static_cast<long long>(base.rows())));
  const int32_t scan_dtype = scan_dtype_of(command);
  const nf_index_desc desc =
      describe(metric_number(command.text("metric")), base.dim(), base.rows(), scan_dtype);
  const Index index = create(desc);
  if (before > 0) {
    add(index.get(), base, 0, before);
    if (scan_dtype != NF_F32) train(index.get(), sized<nf_train>());
  }
  warm_memory(desc);
  Latencies latencies;
  const double start = now();
  for (int64_t from = before; from < base.rows(); from += batch) {
    const double begun = now();
    add(index.get(), base, from, std::min(batch, base.rows() - from));
    latencies.add(now() - begun);
  }
  Reply reply;
  reply.set("rows", base.rows() - before).set("seconds", now() - start);
  latencies.write(&reply);
  return reply;
}

void Searcher::need_index(const char* operation) const {
  if (!index_) throw Refused(std::string(operation) + ": load comes first");
}

void Searcher::need_workload(const char* operation) const {
  if (!queries_) throw Refused(std::string(operation) + ": workload comes first");
}

}  // namespace nearfield::bench
