// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.value;

import dev.nearfield.StoredVector;
import dev.nearfield.VectorHandle;

/** The one implementation of {@link StoredVector}; owns its array. */
public final class StoredVectorInfo implements StoredVector {
  private final VectorHandle handle;
  private final float[] vector;

  public StoredVectorInfo(VectorHandle handle, float[] vector) {
    this.handle = handle;
    this.vector = vector;
  }

  @Override
  public VectorHandle handle() {
    return handle;
  }

  @Override
  public float[] vector() {
    return vector.clone();
  }

  @Override
  public String toString() {
    return "StoredVector " + handle + " of " + vector.length + " floats";
  }
}
