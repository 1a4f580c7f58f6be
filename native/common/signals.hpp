// SPDX-License-Identifier: Apache-2.0
// Threads started while this lives take no signal sent to the process: the host's handlers run on the host's
// threads. Faults of a thread itself stay unblocked, so that the host can report them.
#pragma once

#if !defined(_WIN32)
#include <csignal>
#endif

namespace nearfield {

class SignalsBlocked {
 public:
#if defined(_WIN32)
  SignalsBlocked() = default;
#else
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP}) sigdelset(&all, fault);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
#endif
};

}  // namespace nearfield
