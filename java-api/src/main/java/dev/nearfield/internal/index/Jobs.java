// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.index;

import dev.nearfield.CompactionReport;
import dev.nearfield.StoredVector;
import dev.nearfield.VectorHandle;
import dev.nearfield.VectorHandles;
import dev.nearfield.internal.turn.Change;
import dev.nearfield.internal.turn.Request;
import java.util.List;
import java.util.Optional;

/** The smaller kinds of requests: what they carry, all of it copied or immutable. */
public final class Jobs {
  private Jobs() {}

  /** An insert that fits one chunk; several that wait together go to the device together. */
  static final class Add extends Change<VectorHandles> {
    final float[] vectors;
    final int count;

    Add(String operation, float[] vectors, int count) {
      super(operation);
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

    Remove(String operation, long[] handles) {
      super(operation);
      this.handles = handles;
    }
  }

  static final class Replace extends Change<Optional<VectorHandle>> {
    final long handle;
    final float[] vector;

    Replace(long handle, float[] vector) {
      super("replace");
      this.handle = handle;
      this.vector = vector;
    }
  }

  static final class Get extends Request<Optional<StoredVector>> {
    final long handle;

    Get(long handle) {
      super("get", null);
      this.handle = handle;
    }
  }

  static final class Compact extends Request<CompactionReport> {
    Compact() {
      super("compact", null);
    }
  }
}
