// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.demo;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MiniLmTest {
  @Test
  void meaningIsDirection(@TempDir Path folder) {
    MiniLm model = MiniLm.load(folder);
    assertEquals(MiniLm.DIMENSION, model.dimension());
    float[] query = model.vector("a device for making coffee");
    assertEquals(MiniLm.DIMENSION, query.length);
    double coffee = cosine(query, model.vector("a kitchen appliance for brewing coffee"));
    double river = cosine(query, model.vector("a large natural stream of water"));
    assertTrue(coffee > river + 0.3, "coffee " + coffee + ", river " + river);
    assertThrows(IllegalArgumentException.class, () -> model.vector(" "));
  }

  private static double cosine(float[] a, float[] b) {
    double dot = 0;
    double aa = 0;
    double bb = 0;
    for (int i = 0; i < a.length; i++) {
      dot += (double) a[i] * b[i];
      aa += (double) a[i] * a[i];
      bb += (double) b[i] * b[i];
    }
    return dot / Math.sqrt(aa * bb);
  }
}
