// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.CompactionReport;
import dev.nearfield.StoredVector;
import dev.nearfield.VectorHandle;
import dev.nearfield.VectorHandles;
import dev.nearfield.internal.turn.Change;
import dev.nearfield.internal.turn.Request;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** The smaller kinds of requests: what they carry, all of it copied or immutable. */
final class Jobs {
  private Jobs() {}

  /** An insert that fits one chunk; several that wait together go to the device together. */
  static class Add extends Change<VectorHandles> {
    final float[] vectors;
    final int count;

    Add(String operation, @Nullable Duration timeout, float[] vectors, int count) {
      super(operation, timeout);
      this.vectors = vectors;
      this.count = count;
    }

    /** Takes the next inserts from their mailbox, {@code rows} at most. */
    static List<Add> take(Mailbox mailbox, int rows) {
      int[] room = {rows};
      return mailbox.takeRun(
          Add.class,
          job -> {
            // In order: nothing overtakes an insert that does not fit.
            room[0] = job.count <= room[0] ? room[0] - job.count : -1;
            return room[0] >= 0;
          });
    }
  }

  static final class Remove extends Change<Integer> {
    /** None of them twice. */
    final long[] handles;

    int next; // of `handles`: where a removal in steps goes on; in a turn
    int removed;

    Remove(String operation, @Nullable Duration timeout, long[] handles) {
      super(operation, timeout);
      this.handles = handles;
    }
  }

  static final class Replace extends Change<Optional<VectorHandle>> {
    final long handle;
    final float[] vector;

    Replace(@Nullable Duration timeout, long handle, float[] vector) {
      super("replace", timeout);
      this.handle = handle;
      this.vector = vector;
    }
  }

  static final class Get extends Request<Optional<StoredVector>> {
    final long handle;

    Get(@Nullable Duration timeout, long handle) {
      super("get", timeout);
      this.handle = handle;
    }
  }

  static class Compact extends Request<CompactionReport> {
    Compact(@Nullable Duration timeout) {
      super("compact", timeout);
    }
  }
}
