// SPDX-License-Identifier: Apache-2.0
// The emulated driver's streams and events.
#include <algorithm>

#include "entry.hpp"
#include "stream.hpp"

namespace simt = nearfield::simt;
using namespace nearfield::cuda;

extern "C" {

NF_EXPORT Result cuStreamCreate(StreamHandle* stream, unsigned) {
  NF_USABLE();
  *stream = new StreamTag;
  return kSuccess;
}

NF_EXPORT Result cuStreamDestroy_v2(StreamHandle stream) {
  const Result result = stream->run();
  delete stream;
  return result;
}

NF_EXPORT Result cuEventCreate(EventHandle* event, unsigned) {
  NF_USABLE();
  *event = new EventTag;
  return kSuccess;
}

NF_EXPORT Result cuEventDestroy_v2(EventHandle event) {
  if (event->stream != nullptr) event->stream->run();
  delete event;
  return kSuccess;
}

NF_EXPORT Result cuEventRecord(EventHandle event, StreamHandle stream) {
  NF_USABLE();
  event->reached = false;
  event->stream = stream;
  // One after the other, as on a device.
  stream->ready = std::max(stream->ready, Clock::now()) + std::chrono::milliseconds(simt::fault("slow", 0));
  event->ready = stream->ready;
  stream->push([event] {
    event->reached = true;
    event->at = Clock::now();
    event->stream = nullptr;
    return kSuccess;
  });
  return kSuccess;
}

NF_EXPORT Result cuEventQuery(EventHandle event) {
  NF_USABLE();
  if (event->stream != nullptr)
    if (const Result result = event->stream->run(); result != kSuccess) return result;
  return event->reached && Clock::now() >= event->ready ? kSuccess : kNotReady;
}

// Of the host's clock: how long the emulator took.
NF_EXPORT Result cuEventElapsedTime(float* milliseconds, EventHandle begin, EventHandle end) {
  NF_USABLE();
  if (!begin->reached || !end->reached) return kNotReady;
  *milliseconds = std::chrono::duration<float, std::milli>(end->at - begin->at).count();
  return kSuccess;
}

}  // extern "C"
